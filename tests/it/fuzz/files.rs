//! What operators write: configuration, policies, addresses, formats.

use freezer_api::domain::document;
use freezer_api::oslo::database_url::DatabaseUrl;
use freezer_api::oslo::ini;
use freezer_api::oslo::log_format::LogFormat;
use freezer_api::oslo::policy::{Credentials, Enforcer, Options};
use serde_json::{Map, Value, json};

use super::text_target;

#[test]
fn configuration_files() {
    let seeds = &[
        "[DEFAULT]\nbind_host = 0.0.0.0\nbind_port=9090\n# comment\n[database]\nconnection = mysql+pymysql://u:p@h/n\n",
        "[a]\nkey = one\n  two\n\tthree\nlist = a,b,c\nquoted = \"x\"\nreference = $key ${a.key}\n",
        "\u{feff}[x]\r\nk: v\r\n;c\r\n",
    ];
    let words = &[
        "[",
        "]",
        "=",
        ":",
        "\n",
        "\r",
        " ",
        "\t",
        "#",
        ";",
        "\"",
        "'",
        "$",
        "${",
        "}",
        "[DEFAULT]",
        "\n ",
        "\u{feff}",
        "\u{85}",
        "\u{2028}",
        "\0",
    ];
    text_target("configuration files", seeds, words, |text| {
        for entry in ini::parse(text).into_iter().flatten() {
            assert!(
                !entry.section.is_empty() && !entry.key.contains(['\n', '\r']),
                "{text:?}: {entry:?}"
            );
            ini::normalize_section(&entry.section);
        }
    });
}

/// Credentials of a member, and of nobody.
fn credentials() -> [Credentials; 2] {
    [
        json!({"roles": ["member", "reader"], "project_id": "p", "user_id": "u", "system_scope": null, "deep": {"a": [{"b": 1}]}}),
        json!({}),
    ]
    .map(|values| Credentials::from_values(values.as_object().unwrap().clone()))
}

#[test]
fn policies() {
    let seeds = &[
        "admin: role:admin\nowner: project_id:%(project_id)s\nread: rule:admin or rule:owner and not role:guest\ndeny: \"!\"\nallow: \"@\"\n",
        "{\"a\": \"(role:x or 'Member':%(role.name)s) and is_admin:True\", \"b\": [[\"role:x\", \"rule:a\"], [\"@\"]], \"c\": \"\"}",
        "a: http://h/%(x)s\nb: user.id:%(target.user.id)s\nc: None:%(x)s\nd: \"1:%(n)d\"\n",
    ];
    let words = &[
        "role:",
        "rule:",
        "not ",
        " and ",
        " or ",
        "(",
        ")",
        "!",
        "@",
        "%(",
        ")s",
        "%",
        "'",
        "\"",
        ":",
        "\n",
        "- ",
        "[",
        "]",
        "{",
        "}",
        ",",
        "&a ",
        "*a",
        "!!str ",
        "|",
        "~",
        "null",
        "true",
        "rule:a",
        "rule:read",
        "  ",
        "# ",
        "%%",
        "None",
        "[[",
        "]]",
        "http://",
    ];
    let credentials = credentials();
    let target: Map<String, Value> =
        json!({"project_id": "p", "x": null, "n": 1, "target": {"user": {"id": "u"}}})
            .as_object()
            .unwrap()
            .clone();
    text_target("policies", seeds, words, move |text| {
        let Ok(enforcer) = Enforcer::from_text(text, Options::default()) else {
            return;
        };
        let names: Vec<String> = enforcer
            .rules()
            .iter()
            .map(|rule| rule.name.clone())
            .collect();
        for name in names.iter().map(String::as_str).chain(["none"]) {
            for credentials in &credentials {
                let decision = enforcer.authorize(name, &target, credentials);
                let explained = enforcer.explain(name, &target, credentials);
                assert_eq!(
                    decision.is_allowed(),
                    explained.decision.is_allowed(),
                    "{name}: {text:?}"
                );
            }
        }
    });
}

#[test]
fn database_urls() {
    let seeds = &[
        "mysql+pymysql://user:p%40ss@host:3306/name?charset=utf8mb4&ssl_ca=/x&read_timeout=5",
        "postgresql+psycopg2://user:pass@[::1]:5432/name?options=-csearch_path%3Dx&sslmode=require",
        "sqlite:////var/lib/freezer.sqlite?timeout=5",
        "mysql://host/name",
    ];
    let words = &[
        "://",
        "/",
        ":",
        "@",
        "?",
        "&",
        "=",
        "%",
        "%2",
        "%00",
        "%ff",
        "[",
        "]",
        "::1",
        "sqlite",
        "mysql",
        "postgresql",
        "+",
        "ssl_ca=",
        "host=",
        "port=",
        "#",
        "65536",
        "unix_socket=/x",
        "99999999999999999999",
    ];
    text_target("database URLs", seeds, words, |text| {
        if let Ok(url) = text.parse::<DatabaseUrl>() {
            assert!(
                url.is_same_database(&url.clone()),
                "{text:?}: {url} {url:?}"
            );
        }
    });
}

#[test]
fn log_formats() {
    let seeds = &[
        "%(asctime)s.%(msecs)03d %(process)d %(levelname)s %(name)s [%(request_id)s %(user_identity)s] %(instance)s%(message)s",
        "%(x)10.3s%%%(y)-5d",
    ];
    let words = &[
        "%",
        "%(",
        ")s",
        ")d",
        "(",
        ")",
        "03",
        "-",
        ".",
        "99999999999999999999",
        "%%",
        "f",
        "*",
        "x",
        "message",
    ];
    text_target("log formats", seeds, words, |text| {
        if let Ok(format) = LogFormat::parse(text) {
            assert_eq!(format.as_str(), text);
        }
    });
}

#[test]
fn stored_texts() {
    let seeds = &[
        r#"{"a": NaN, "b": "\ud83d\ude00", "c": [1, -0.0, 1e308], "d": {"": null}}"#,
        r#"{"status": "completed", "x": -Infinity, "y": "\ud800", "n": 18446744073709551616}"#,
        "null",
    ];
    let words = &[
        "{", "}", "[", "]", "\"", "\\", "\\u", "\\ud800", "\\udc00", ":", ",", "NaN", "Infinity",
        "-", "1e999", "0", ".", " ", "\0", "[[[[[[[[", "null", "true",
    ];
    text_target("stored texts", seeds, words, |text| {
        let shown = document::stored(text);
        // No change of a document begins with less than is shown of it.
        let value = document::stored_value(text);
        let is_shown = shown.get().trim_start().starts_with(['{', '[']);
        assert!(!is_shown || !value.is_null(), "{text:?}: {shown}");
        document::stored_object(Some(text));
        if let Ok(Value::Object(object)) = document::parse(text.as_bytes()) {
            // What a body says comes back as it was.
            let again = document::parse(document::to_text(&object).as_bytes());
            assert_eq!(again, Ok(Value::Object(object)), "{text:?}");
        }
    });
}
