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
    /// Options, under the sections that they have in a configuration file. Of the health checks, those of the first.
    pub entries: Vec<Entry>,
    /// The options of each further health check that has a path of its own.
    pub more_healthchecks: Vec<Vec<Entry>>,
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
        let mounted = mounted_healthchecks(&file);
        let of_others = |section: &str| {
            let mut others = mounted.iter().skip(1);
            others.any(|(_, name)| name == section)
                && mounted.first().is_none_or(|(_, name)| name != section)
        };
        let mut paste = Paste::default();
        for entry in &file {
            if !matches!(entry.section.split_once(':'), Some(("app" | "filter", _))) {
                continue;
            }
            // What of them has no effect is told all the same.
            let taken = paste.entries.len();
            paste.add(&file, entry);
            if of_others(&entry.section) {
                paste.entries.truncate(taken);
            }
        }
        for (index, (path, section)) in mounted.iter().enumerate() {
            if index == 0 {
                paste.entries.push(path.clone());
            } else {
                let mut own = Paste::default();
                let entries = file.iter().filter(|entry| entry.section == *section);
                entries.for_each(|entry| own.add(&file, entry));
                own.entries.push(path.clone());
                paste.more_healthchecks.push(own.entries);
            }
        }
        let more = paste.more_healthchecks.iter_mut().flatten();
        for entry in paste.entries.iter_mut().chain(more) {
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

/// The health checks of the application that is served, in their order: the option that says where one is, and its section.
fn mounted_healthchecks(file: &[Entry]) -> Vec<(Entry, String)> {
    let entries = file.iter().filter(|entry| {
        let name = entry.section.split_once(':');
        name == Some(("composite", "main")) && !FACTORIES.contains(&entry.key.as_str())
    });
    let mounted = entries.map(|entry| {
        let path = Entry {
            section: "healthcheck".to_owned(),
            key: "path".to_owned(),
            value: entry.key.clone(),
            line: entry.line,
        };
        let section = ini::normalize_section(&format!("app:{}", entry.value));
        (path, section)
    });
    mounted
        .filter(|(_, section)| {
            factory(file, section)
                .is_some_and(|factory| factory.to_lowercase().contains("healthcheck"))
        })
        .collect()
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
                "14: [healthcheck] backends = disable_by_file",
                "15: [healthcheck] disable_by_file_path = /etc/freezer/disabled",
                "20: [oslo_middleware] enable_proxy_headers_parsing = True",
                "4: [healthcheck] path = /alive",
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

    #[test]
    fn each_health_check_has_its_own_options() {
        let text = "[composite:main]\n/live = live\n/ready = ready\n/up = live\n\
                    [app:live]\nuse = egg:oslo.middleware#healthcheck\ndetailed = true\n\
                    [app:ready]\nuse = egg:oslo.middleware#healthcheck\nbackends = disable_by_file\ncolour = red\n";
        let paste = Paste::parse(text, Path::new("/")).unwrap();
        let shown = |entries: &[Entry]| -> Vec<String> {
            let shown = entries.iter();
            shown
                .map(|entry| format!("{}={}", entry.key, entry.value))
                .collect()
        };
        assert_eq!(shown(&paste.entries), ["detailed=true", "path=/live"]);
        let more: Vec<Vec<String>> = paste
            .more_healthchecks
            .iter()
            .map(|more| shown(more))
            .collect();
        assert_eq!(
            more,
            [
                ["backends=disable_by_file", "path=/ready"],
                ["detailed=true", "path=/up"]
            ]
        );
        assert_eq!(paste.not_taken, ["[app:ready] colour"]);
    }
}
