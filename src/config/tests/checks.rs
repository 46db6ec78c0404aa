//! Values that are of the right type and cannot work.

use std::path::PathBuf;

use tempfile::TempDir;

use super::{config, home, load, wrong};
use crate::config::{Config, Sources, WarningKind};

#[test]
fn the_health_check_has_a_path_that_can_be_asked_for() {
    let path = |text: &str| {
        config(&format!("[healthcheck]\npath = {text}"))
            .healthcheck
            .path
    };
    for (text, expected) in [
        ("/healthcheck", "/healthcheck"),
        ("/health/", "/health"),
        ("/a/B_1.~-", "/a/B_1.~-"),
        ("/v2.1", "/v2.1"),
    ] {
        assert_eq!(path(text).as_str(), expected);
    }
    for text in [
        "", "/", "//", "health", "/a//b", "/./a", "/a/..", "/{a}", "/:a", "/*", "/a b", "/a?b",
        "/%41", "/v2", "/v2/a",
    ] {
        let found = wrong(&format!("[healthcheck]\npath = {text}"));
        assert!(
            found[0].starts_with(&format!(
                "a.conf:2: [healthcheck] path is {text:?}; wanted is a path such as /healthcheck: it begins with /"
            )),
            "{found:?}"
        );
    }
    let both = "[healthcheck]\nbackends = disable_by_file, enable_by_files\ndisable_by_file_paths = 9090:/a,b";
    insta::assert_snapshot!(wrong(both).join("\n"), @r#"
    a.conf:2: [healthcheck] backends is "disable_by_file, enable_by_files"; wanted is disable_by_file or enable_by_files, not both
    a.conf:3: [healthcheck] disable_by_file_paths is "9090:/a,b"; wanted is a list of port:path, such as 9090:/run/freezer/disabled
    "#);
    let unknown = wrong("[healthcheck]\nbackends = disable_by_fil");
    insta::assert_snapshot!(unknown.join("\n"), @r#"a.conf:2: [healthcheck] backends is "disable_by_fil"; wanted is one of disable_by_file, disable_by_files_ports, enable_by_files"#);
}

#[test]
fn a_security_strategy_needs_a_key() {
    for strategy in ["MAC", "encrypt"] {
        let text = format!("[keystone_authtoken]\nmemcache_security_strategy = {strategy}");
        let found = wrong(&text);
        assert_eq!(
            found,
            [format!(
                "a.conf:2: [keystone_authtoken] memcache_security_strategy is {strategy:?}; wanted is None, or a memcache_secret_key beside it"
            )]
        );
        config(&format!("{text}\nmemcache_secret_key = k"));
    }
    wrong("[keystone_authtoken]\nmemcache_security_strategy = SHA1\nmemcache_secret_key = k");
    for (more, trusts) in [("", true), ("memcache_secret_key = k", false)] {
        let text = format!(
            "[keystone_authtoken]\nmemcached_servers = a:11211\nmemcache_security_strategy = none\n{more}"
        );
        assert_eq!(config(&text).keystone_authtoken.trusts_memcached(), trusts);
    }
    assert!(!config("").keystone_authtoken.trusts_memcached());
}

#[test]
fn names_of_headers_and_methods_are_checked() {
    let found = wrong(
        "[cors]\nallow_headers = X-Auth-Token, X Y\nallow_methods = GET,P(ST\nexpose_headers = ä",
    );
    insta::assert_snapshot!(found.join("\n"), @r#"
    a.conf:2: [cors] allow_headers is "X-Auth-Token, X Y"; wanted is names without blanks, separated by commas
    a.conf:3: [cors] allow_methods is "GET,P(ST"; wanted is names without blanks, separated by commas
    a.conf:4: [cors] expose_headers is "ä"; wanted is names without blanks, separated by commas
    "#);
}

#[test]
fn the_policy_in_json_is_taken_where_there_is_no_other() {
    let files = |more: &[(&str, &str)]| {
        let base = [
            (".freezer/freezer.conf", ""),
            (".freezer/policy.json", "{}"),
        ];
        home(&[&base, more].concat())
    };
    let policy_file = |home: &TempDir, variables: &[(&str, &str)]| {
        let (config, warnings) = load(home.path(), &Sources::default(), variables).unwrap();
        let told = warnings.iter().any(|warning| {
            let text = warning.to_string();
            text.contains(".freezer/policy.json:1: is taken as [oslo_policy] policy_file")
        });
        (config.oslo_policy.policy_file.display().to_string(), told)
    };
    let old = ("policy.json".to_owned(), true);
    let new = ("policy.yaml".to_owned(), false);
    assert_eq!(policy_file(&files(&[]), &[]), old);
    assert_eq!(
        policy_file(&files(&[(".freezer/policy.yaml", "")]), &[]),
        new
    );
    // Who names the default means it.
    let named = (
        ".freezer/freezer.conf",
        "[oslo_policy]\npolicy_file = policy.yaml",
    );
    assert_eq!(policy_file(&files(&[named]), &[]), new);
    let variables = [("OS_OSLO_POLICY__POLICY_FILE", "policy.yaml")];
    assert_eq!(policy_file(&files(&[]), &variables), new);
}

#[test]
fn memcached_without_the_protection_that_is_asked_for_is_told() {
    let told = |text: &str, variables: &[(&str, &str)]| -> Vec<String> {
        let text = format!("[keystone_authtoken]\n{text}");
        let home = home(&[(".freezer/freezer.conf", &text)]);
        let (_, warnings) = load(home.path(), &Sources::default(), variables).unwrap();
        let texts = warnings.iter().map(|warning| warning.message.clone());
        texts
            .filter(|text| text.contains("memcached_servers"))
            .collect()
    };
    let servers = "memcached_servers = cache:11211\n";
    let tls = "[keystone_authtoken] memcache_tls_enabled has no effect in this program: memcached_servers are asked without TLS";
    assert_eq!(
        told(&format!("{servers}memcache_tls_enabled = True"), &[]),
        [tls]
    );
    let variables = [("OS_KEYSTONE_AUTHTOKEN__MEMCACHE_SASL_ENABLED", "yes")];
    let sasl = told(servers, &variables);
    assert!(
        sasl[0].ends_with("memcached_servers are asked without a password"),
        "{sasl:?}"
    );
    for quiet in [
        format!("{servers}memcache_tls_enabled = false"),
        "memcache_tls_enabled = true".to_owned(),
    ] {
        assert!(told(&quiet, &[]).is_empty(), "{quiet}");
    }
}

/// As to oslo.config: a template left it empty.
#[test]
fn an_empty_number_is_not_set() {
    let found = config(
        "[DEFAULT]\nbind_port =\n[database]\nmax_pool_size = \nmax_overflow =''\nretry_interval =\npool_timeout =\n\
         [keystone_authtoken]\ntoken_cache_time =\n[api]\nrequest_timeout =",
    );
    let default = Config::default();
    assert_eq!(found.default.bind_port, default.default.bind_port);
    let (ours, theirs) = (&found.database, &default.database);
    assert_eq!(ours.max_pool_size, theirs.max_pool_size);
    assert_eq!(ours.max_overflow, theirs.max_overflow);
    assert_eq!(ours.retry_interval, theirs.retry_interval);
    assert_eq!(ours.pool_timeout, None);
    assert_eq!(found.keystone_authtoken.token_cache_time, 300);
    assert_eq!(found.api.request_timeout, default.api.request_timeout);
    for text in ["[DEFAULT]\ndebug =", "[DEFAULT]\nbind_host ="] {
        wrong(text);
    }
}

#[test]
fn authorities_of_the_environment_are_trusted_where_no_cafile_is_named() {
    let home = home(&[
        ("ca.pem", ""),
        ("named.conf", "[keystone_authtoken]\ncafile = /named.pem"),
        ("insecure.conf", "[keystone_authtoken]\ninsecure = true"),
    ]);
    let ca = home.path().join("ca.pem");
    let ca = ca.to_str().unwrap();
    let cafile = |file: Option<&str>, variables: &[(&str, &str)]| {
        let sources = Sources {
            config_files: file
                .map(|file| home.path().join(file))
                .into_iter()
                .collect(),
            ..Sources::default()
        };
        let (config, warnings) = load(home.path(), &sources, variables).unwrap();
        (config.keystone_authtoken.cafile, warnings)
    };
    for variables in [
        &[("REQUESTS_CA_BUNDLE", ca)][..],
        &[("CURL_CA_BUNDLE", ca)],
        &[("REQUESTS_CA_BUNDLE", ""), ("CURL_CA_BUNDLE", ca)],
        &[("CURL_CA_BUNDLE", "/other.pem"), ("REQUESTS_CA_BUNDLE", ca)],
    ] {
        let (found, warnings) = cafile(None, variables);
        assert_eq!(found, Some(PathBuf::from(ca)), "{variables:?}");
        assert_eq!(warnings, []);
    }
    let bundle = [("REQUESTS_CA_BUNDLE", ca)];
    let (named, _) = cafile(Some("named.conf"), &bundle);
    assert_eq!(named, Some("/named.pem".into()));
    assert_eq!(cafile(Some("insecure.conf"), &bundle).0, None);
    assert_eq!(
        cafile(None, &[("REQUESTS_CA_BUNDLE", "")]),
        (None, Vec::new())
    );

    let (found, warnings) = cafile(None, &[("REQUESTS_CA_BUNDLE", "/nowhere.pem")]);
    assert_eq!(found, None);
    let [warning] = warnings.as_slice() else {
        panic!("{warnings:?}")
    };
    assert_eq!(warning.kind, WarningKind::Unknown);
    assert_eq!(
        warning.to_string(),
        "environment variable REQUESTS_CA_BUNDLE: /nowhere.pem is no file and is not used; [keystone_authtoken] cafile names a \
         file of authorities"
    );
}
