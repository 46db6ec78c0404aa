//! What a configuration says of the Elasticsearch that older releases used, for whoever leaves it.

use crate::oslo::settings::Settings;

/// What to do where the storage is Elasticsearch: with the command that reads what the configuration names.
pub(super) fn instead(settings: &Settings) -> String {
    format!(
        "sqlalchemy: documents are no longer kept in Elasticsearch. Set it to sqlalchemy, name a SQL database in [database] \
         connection, make its tables with freezer-manage db sync, and take the documents there with: {}",
        import_command(settings)
    )
}

fn import_command(settings: &Settings) -> String {
    let value = |section: &str, names: &[&'static str]| {
        let found = settings.find(section, names)?;
        let text = found.value().trim();
        (!text.is_empty()).then(|| text.to_owned())
    };
    let either =
        |names: &[&'static str]| value("elasticsearch", names).or_else(|| value("storage", names));
    let hosts =
        either(&["hosts", "endpoint"]).unwrap_or_else(|| "http://localhost:9200".to_owned());
    let mut command = "freezer-manage import elasticsearch --dry-run".to_owned();
    let hosts = hosts.trim_matches(['[', ']']).split(',');
    let hosts = hosts.map(|host| host.trim().trim_matches(['\'', '"']));
    for host in hosts.filter(|host| !host.is_empty()) {
        command += &format!(" --url {}", quoted(&without_secrets(host)));
    }
    // Releases up to 18.0.0 wrote to the index `freezer` whatever the option said.
    match either(&["index"]) {
        Some(index) if index != "freezer" => {
            command += &format!(" --index {}", quoted(&format!("freezer,{index}")))
        }
        _ => {}
    }
    if let Some(file) = either(&["ca_certs"]) {
        command += &format!(" --ca-file {}", quoted(&file));
    }
    command
}

/// A URL without user and password, which are no part of a message.
fn without_secrets(host: &str) -> String {
    let (scheme, rest) = host.split_once("://").unwrap_or(("http", host));
    let authority_ends = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at(authority_ends);
    let authority = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    format!("{scheme}://{authority}{path}")
}

/// A word of a shell.
fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.:/,".contains(c);
    if text.chars().all(is_plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::oslo::ini;

    fn command(text: &str) -> String {
        let mut settings = Settings::default();
        settings.add_entries(Path::new("a.conf"), ini::parse(text).unwrap());
        import_command(&settings)
    }

    #[test]
    fn the_command_names_what_the_configuration_holds() {
        let dry = "freezer-manage import elasticsearch --dry-run";
        assert_eq!(command(""), format!("{dry} --url http://localhost:9200"));
        let text = "[elasticsearch]\nhosts = http://u:hunter2@a:9200,b:9200\nindex = backup\nca_certs = /etc/a b.pem\n";
        assert_eq!(
            command(text),
            format!(
                "{dry} --url http://a:9200 --url http://b:9200 --index freezer,backup --ca-file '/etc/a b.pem'"
            )
        );
        let old = "[storage]\nendpoint = https://es:9200/x\nindex = freezer\n";
        assert_eq!(command(old), format!("{dry} --url https://es:9200/x"));
    }
}
