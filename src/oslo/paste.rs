//! Files of Paste Deploy (`api-paste.ini`), as far as they set options of oslo.middleware: those of the health check, and whether
//! the headers of proxies count. In Python they win over the configuration files.

use std::path::Path;

use super::ini::{self, Entry, SyntaxError};

/// The options of the health check.
const HEALTHCHECK: [&str; 8] = [
    "allowed_source_ranges",
    "backends",
    "detailed",
    "disable_by_file_path",
    "disable_by_file_paths",
    "enable_by_file_paths",
    "ignore_proxied_requests",
    "path",
];

/// The options of `HTTPProxyToWSGI`.
const PROXY: [&str; 1] = ["enable_proxy_headers_parsing"];

/// The keys that name what a section is.
const FACTORIES: [&str; 4] = [
    "paste.app_factory",
    "paste.filter_factory",
    "paste.composite_factory",
    "use",
];

/// What is always there, by a part of the name of its factory. Options of it stand in the configuration.
const BUILT_IN: [&str; 5] = [
    "freezer_api.",
    "keystonemiddleware.auth_token",
    "keystonemiddleware:",
    "oslo_middleware:RequestId",
    "oslo_middleware.request_id",
];

/// What a file sets.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Paste {
    /// Options, under the sections that they have in a configuration file.
    pub entries: Vec<Entry>,
    /// What has no effect here.
    pub not_taken: Vec<String>,
}

/// What a section of the file is to this program.
enum Part {
    /// The options of this section of a configuration file, of which these exist.
    Options(&'static str, &'static [&'static str]),
    /// Something that is not there.
    Foreign,
}

impl Paste {
    /// Reads a file, which lies in `folder`.
    ///
    /// # Errors
    /// The first line that does not fit.
    pub fn parse(text: &str, folder: &Path) -> Result<Paste, SyntaxError> {
        let file = ini::parse(text)?;
        let mut paste = Paste::default();
        for entry in &file {
            let name = entry.section.split_once(':');
            match name {
                Some(("app" | "filter", _)) => paste.add(&file, entry),
                Some(("composite", "main")) if is_healthcheck(&file, &entry.value) => {
                    paste.entries.push(Entry {
                        section: "healthcheck".to_owned(),
                        key: "path".to_owned(),
                        value: entry.key.clone(),
                        line: entry.line,
                    });
                }
                _ => {}
            }
        }
        for entry in &mut paste.entries {
            entry.value = entry.value.replace("%(here)s", &folder.to_string_lossy());
        }
        paste.not_taken.dedup();
        Ok(paste)
    }

    /// Adds an entry of an application or a filter.
    fn add(&mut self, file: &[Entry], entry: &Entry) {
        let (section, key) = (&entry.section, entry.key.as_str());
        match part(file, section) {
            Part::Options(..) if FACTORIES.contains(&key) => {}
            Part::Options(target, options) if options.contains(&key) => self.entries.push(Entry {
                section: target.to_owned(),
                ..entry.clone()
            }),
            Part::Options(..) => self.not_taken.push(format!("[{section}] {key}")),
            Part::Foreign => self.not_taken.push(format!("[{section}]")),
        }
    }
}

fn part(file: &[Entry], section: &str) -> Part {
    let factory = factory(file, section).unwrap_or_default();
    if factory.to_lowercase().contains("healthcheck") {
        Part::Options("healthcheck", &HEALTHCHECK)
    } else if factory.contains("HTTPProxyToWSGI") || factory.contains("http_proxy_to_wsgi") {
        Part::Options("oslo_middleware", &PROXY)
    } else if BUILT_IN.iter().any(|part| factory.contains(part)) {
        Part::Options("", &[])
    } else {
        Part::Foreign
    }
}

fn factory<'a>(file: &'a [Entry], section: &str) -> Option<&'a str> {
    let mut entries = file.iter();
    let entry = entries
        .find(|entry| entry.section == section && FACTORIES.contains(&entry.key.as_str()))?;
    Some(&entry.value)
}

/// Whether an application of this name is the health check.
fn is_healthcheck(file: &[Entry], name: &str) -> bool {
    let section = ini::normalize_section(&format!("app:{name}"));
    factory(file, &section).is_some_and(|factory| factory.to_lowercase().contains("healthcheck"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "\
[composite:main]
use = egg:Paste#urlmap
/: api
/alive = health

[pipeline:api]
pipeline = proxy cors authtoken root

[app:root]
paste.app_factory = freezer_api.service:freezer_appv2_factory

[app:health]
paste.app_factory = oslo_middleware:Healthcheck.app_factory
backends = disable_by_file
disable_by_file_path = %(here)s/disabled
colour = green

[filter:proxy]
paste.filter_factory = oslo_middleware:HTTPProxyToWSGI.factory
enable_proxy_headers_parsing = True

[filter:authtoken]
paste.filter_factory = keystonemiddleware.auth_token:filter_factory
auth_url = http://keystone

[filter:cors]
paste.filter_factory = oslo_middleware.cors:filter_factory
allowed_origin = *
";

    #[test]
    fn options_of_middleware_stand_where_a_configuration_has_them() {
        let paste = Paste::parse(FILE, Path::new("/etc/freezer")).unwrap();
        let entries: Vec<String> = paste
            .entries
            .iter()
            .map(|entry| {
                format!(
                    "{}: [{}] {} = {}",
                    entry.line, entry.section, entry.key, entry.value
                )
            })
            .collect();
        assert_eq!(
            entries,
            [
                "4: [healthcheck] path = /alive",
                "14: [healthcheck] backends = disable_by_file",
                "15: [healthcheck] disable_by_file_path = /etc/freezer/disabled",
                "20: [oslo_middleware] enable_proxy_headers_parsing = True",
            ]
        );
        assert_eq!(
            paste.not_taken,
            [
                "[app:health] colour",
                "[filter:authtoken] auth_url",
                "[filter:cors]"
            ]
        );
    }

    #[test]
    fn the_health_check_may_be_a_filter() {
        let text = "[filter:hc]\npaste.filter_factory = oslo_middleware:Healthcheck.factory\npath = /up\ndetailed = true\n";
        let paste = Paste::parse(text, Path::new("/")).unwrap();
        let keys: Vec<&str> = paste
            .entries
            .iter()
            .map(|entry| entry.key.as_str())
            .collect();
        assert_eq!(keys, ["path", "detailed"]);
        assert!(Paste::parse("nothing", Path::new("/")).is_err());
    }
}
