mod checks;

use std::ffi::OsStr;
use std::fs;
use std::net::IpAddr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;
use secrecy::ExposeSecret;
use tempfile::TempDir;

use super::*;
use crate::oslo::database_url::Engine;

/// A folder that is also the home folder, so that no file of the machine is read.
fn home(files: &[(&str, &str)]) -> TempDir {
    let home = TempDir::new().unwrap();
    for (name, text) in files {
        let path = home.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    home
}

fn load(
    home: &Path,
    sources: &Sources,
    variables: &[(&str, &str)],
) -> Result<(Config, Vec<Warning>), ConfigError> {
    let home = [("HOME", home.to_str().unwrap())];
    let variables = home.iter().chain(variables);
    let variables = variables.map(|(name, value)| (name.into(), value.into()));
    Config::load_with(sources, variables.collect())
}

#[test]
fn a_variable_that_is_no_text_is_refused_by_its_name() {
    let value = OsStr::from_bytes(b"\xff").to_owned();
    let load = |name: &str| {
        let variables = vec![(name.into(), value.clone())];
        Config::load_with(&Sources::default(), variables)
    };
    let error = load("OS_DATABASE__CONNECTION").unwrap_err().to_string();
    assert_eq!(
        error,
        "environment variable OS_DATABASE__CONNECTION: its value is not UTF-8"
    );
}

/// One file, named on the command line.
fn read(text: &str) -> Result<(Config, Vec<Warning>), ConfigError> {
    read_with(text, &[])
}

fn read_with(
    text: &str,
    variables: &[(&str, &str)],
) -> Result<(Config, Vec<Warning>), ConfigError> {
    let home = home(&[("a.conf", text)]);
    let sources = Sources {
        config_files: vec![home.path().join("a.conf")],
        ..Sources::default()
    };
    load(home.path(), &sources, variables)
}

fn config(text: &str) -> Config {
    let (config, warnings) = read(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    assert!(warnings.is_empty(), "{warnings:?}");
    config
}

/// The messages, each with the name of its file instead of its path.
fn messages(lines: impl IntoIterator<Item = impl ToString>) -> Vec<String> {
    lines
        .into_iter()
        .map(|line| {
            let line = line.to_string();
            line.find("a.conf")
                .and_then(|start| line.get(start..))
                .unwrap_or(&line)
                .to_owned()
        })
        .collect()
}

fn wrong(text: &str) -> Vec<String> {
    match read(text).unwrap_err() {
        ConfigError::Wrong(wrong) => messages(wrong),
        error => panic!("{error}"),
    }
}

#[test]
fn an_operators_file_is_read() {
    let config = config(
        "[DEFAULT]
bind_host = ::
bind_port: 9091
debug = Yes
log_dir = /var/log/freezer
log_file = $log_dir/${storage.backend}.log
use_json = on

[storage]
backend = sqlalchemy
driver = sqlalchemy

[database]
connection = mysql+pymysql://freezer:p%40ss@db.example.com:3306/freezer?charset=utf8
max_pool_size = 10
max_overflow = -1
pool_timeout = 2.5
connection_recycle_time = -1
mysql_sql_mode =
mysql_wsrep_sync_wait = 3
connection_parameters = ssl_ca=/etc/ssl/ca.pem&read_timeout=9

[keystone_authtoken]
www_authenticate_uri = https://keystone.example.com/v3
auth_url = https://keystone.example.com/v3
auth_type = password
username = freezer
password = \"se$$cret \"
project_name = service
user_domain_name = Default
project_domain_name = Default
memcached_servers = a:11211, b:11211,
service_token_roles_required = false
interface = public

[oslo_policy]
policy_dirs = one
policy_dirs = two

[cors]
allowed_origin = https://a.example.com,https://b.example.com
",
    );
    assert_eq!(config.default.bind_host, "::".parse::<IpAddr>().unwrap());
    assert_eq!(config.default.bind_port, 9091);
    assert!(config.default.debug && config.default.use_json);
    assert_eq!(
        config.default.log_file.as_deref(),
        Some(Path::new("/var/log/freezer/sqlalchemy.log"))
    );
    let url = config.database.connection.as_ref().unwrap();
    assert_eq!(url.engine, Engine::MySql);
    assert_eq!(url.password.as_ref().unwrap().expose_secret(), "p@ss");
    assert_eq!(url.tls.ca.as_deref(), Some(Path::new("/etc/ssl/ca.pem")));
    assert_eq!(url.read_timeout, Some(Duration::from_secs(9)));
    assert_eq!(config.database.max_pool_size, 10);
    assert_eq!(config.database.max_overflow, -1);
    assert_eq!(
        config.database.pool_timeout,
        Some(Duration::from_millis(2500))
    );
    assert_eq!(config.database.connection_recycle_time, -1);
    assert_eq!(config.database.mysql_sql_mode, "");
    assert_eq!(config.database.mysql_wsrep_sync_wait, Some(3));
    assert_eq!(config.service_auth.auth_type, Some(AuthType::Password));
    assert_eq!(
        config
            .service_auth
            .password
            .as_ref()
            .unwrap()
            .expose_secret(),
        "se$cret "
    );
    assert_eq!(config.trustee_auth.username.as_deref(), Some("freezer"));
    assert_eq!(
        config.keystone_authtoken.memcached_servers,
        ["a:11211", "b:11211"]
    );
    assert!(!config.keystone_authtoken.service_token_roles_required);
    assert_eq!(config.keystone_authtoken.interface, Interface::Public);
    assert_eq!(config.oslo_policy.policy_dirs.0, ["one", "two"]);
    assert_eq!(config.cors.allowed_origin.len(), 2);
    let shown = format!("{config:?}");
    assert!(
        !shown.contains("p@ss") && !shown.contains("p%40ss") && !shown.contains("se$cret"),
        "{shown}"
    );
}

#[test]
fn an_empty_file_gives_the_defaults() {
    let config = config("[DEFAULT]\n");
    assert_eq!(config.default.bind_port, 9090);
    assert_eq!(config.database.max_overflow, 50);
    assert_eq!(config.oslo_policy.policy_dirs.0, ["policy.d"]);
    assert_eq!(
        config.centralized_scheduler.trusts_delegated_roles,
        ["member"]
    );
    assert!(config.database.connection.is_none());
}

#[test]
fn every_wrong_value_is_told_with_its_place() {
    let found = wrong(
        "[DEFAULT]
bind_host = localhost
bind_port = 70000
debug = maybe
[database]
connection = mysql+pymysql://u:hunter2@h:x/db
max_pool_size = -5
connection_debug = 101
mysql_wsrep_sync_wait = many
[storage]
backend = elasticsearch
[api]
request_timeout = 0
max_limit = 5000000000
[keystone_authtoken]
auth_type = v3kerberos
",
    );
    insta::assert_snapshot!(found.join("\n"), @r#"
    a.conf:2: [DEFAULT] bind_host is "localhost"; wanted is an IPv4 or IPv6 address, such as 0.0.0.0 or ::
    a.conf:3: [DEFAULT] bind_port is "70000"; wanted is a whole number from 0 to 65535
    a.conf:4: [DEFAULT] debug is "maybe"; wanted is true or false (or yes, no, on, off, 1, 0)
    a.conf:6: [database] connection has a value that is not shown; wanted is a database URL such as mysql+pymysql://user:password@host/name, but the port is not a whole number from 1 to 65535 (is the @ before the host missing?)
    a.conf:7: [database] max_pool_size is "-5"; wanted is a whole number from 0 to 1000000
    a.conf:8: [database] connection_debug is "101"; wanted is a whole number from 0 to 100
    a.conf:9: [database] mysql_wsrep_sync_wait is "many"; wanted is a whole number from 0 to 15
    a.conf:11: [storage] backend is "elasticsearch"; wanted is sqlalchemy: documents are no longer kept in Elasticsearch. Set it to sqlalchemy, name a SQL database in [database] connection, make its tables with freezer-manage db sync, and take the documents there with: freezer-manage import elasticsearch --dry-run --url http://localhost:9200
    a.conf:13: [api] request_timeout is "0"; wanted is a number of seconds from 1 to 86400
    a.conf:14: [api] max_limit is "5000000000"; wanted is a whole number from 1 to 1000000
    a.conf:16: [keystone_authtoken] auth_type is "v3kerberos"; wanted is one of password, v3password, v3applicationcredential, v3token, token
    "#);
}

#[test]
fn a_secret_is_never_part_of_a_message() {
    for text in [
        "[keystone_authtoken]\npassword = a$hunter2",
        "[database]\nconnection = mysql://u:a$hunter2@h/db",
        "[database]\nconnection = hunter2",
        "[database]\nconnection = mysql://u:hunter2/@@h/db",
        "[DEFAULT]\nbind_port = ${keystone_authtoken.password}\n[keystone_authtoken]\npassword = hunter2",
    ] {
        let message = read(text).unwrap_err();
        assert!(
            !format!("{message} {message:?}").contains("hunter2"),
            "{message}"
        );
    }
}

#[test]
fn references() {
    let told = |text: &str| config(text).keystone_authtoken.region_name.unwrap();
    assert_eq!(
        told("[keystone_authtoken]\nregion_name = $bind_port"),
        "9090"
    );
    assert_eq!(
        told("[DEFAULT]\nbind_port = 1\n[keystone_authtoken]\nregion_name = x${bind_port}y"),
        "x1y"
    );
    assert_eq!(
        told("[keystone_authtoken]\nservice_type = a\nregion_name = $service_type"),
        "a"
    );
    assert_eq!(
        told("[keystone_authtoken]\nregion_name = <${DEFAULT.log_file}>"),
        "<>"
    );
    assert_eq!(
        told("[DEFAULT]\nlog_file = f\n[keystone_authtoken]\nregion_name = \\$a $$b $log_file")
            .as_str(),
        "$a $b f"
    );
    insta::assert_snapshot!(wrong("[keystone_authtoken]\nregion_name = a$service_type\nservice_type = $region_name").join("\n"), @r#"
    a.conf:2: [keystone_authtoken] region_name is "a$service_type"; wanted is a value without a circle of references, but keystone_authtoken.region_name refers to itself
    a.conf:3: [keystone_authtoken] service_type is "$region_name"; wanted is a value without a circle of references, but keystone_authtoken.service_type refers to itself
    "#);
    insta::assert_snapshot!(wrong("[keystone_authtoken]\nregion_name = $nothing").join("\n"), @r#"a.conf:2: [keystone_authtoken] region_name is "$nothing"; wanted is the name of an option after each $, but there is no option nothing; a dollar sign itself is written $$"#);
}

#[test]
fn a_later_file_wins_and_the_environment_over_all() {
    let home = home(&[
        (
            "a.conf",
            "[DEFAULT]\nbind_port = 1\nbind_port = 2\ndebug = true\n[oslo_policy]\npolicy_dirs = a",
        ),
        (
            "b.conf",
            "[DEFAULT]\nbind_port = 3\nuse_json = true\n[oslo_policy]\npolicy_dirs = b\npolicy_dirs = c",
        ),
        ("d/2.conf", "[api]\nmax_limit = 2"),
        ("d/1.conf", "[api]\nmax_limit = 1\nmax_connections = 7"),
        ("d/.3.conf", "[api]\nmax_limit = 3"),
        ("d/4.conf~", "[api]\nmax_limit = 4"),
    ]);
    let sources = Sources {
        config_files: vec!["~/a.conf".into(), home.path().join("b.conf")],
        config_dirs: vec![home.path().join("d")],
        ..Sources::default()
    };
    let (config, warnings) = load(home.path(), &sources, &[]).unwrap();
    assert!(warnings.is_empty());
    assert_eq!(config.default.bind_port, 3);
    assert!(config.default.debug && config.default.use_json);
    assert_eq!((config.api.max_limit, config.api.max_connections), (2, 7));
    assert_eq!(config.oslo_policy.policy_dirs.0, ["a", "b", "c"]);

    let variables = [
        ("OS_DEFAULT__BIND_PORT", "4"),
        ("OS_KEYSTONE_AUTHTOKEN__PASSWORD", "p"),
        ("OS_PASSWORD", "no"),
    ];
    let (config, _) = load(home.path(), &sources, &variables).unwrap();
    assert_eq!(config.default.bind_port, 4);
    assert_eq!(config.service_auth.password.unwrap().expose_secret(), "p");

    let Err(ConfigError::Wrong(wrong)) = load(home.path(), &sources, &[("OS_API__MAX_LIMIT", "x")])
    else {
        panic!("accepted");
    };
    insta::assert_snapshot!(messages(wrong).join("\n"), @r#"environment variable OS_API__MAX_LIMIT: [api] max_limit is "x"; wanted is a whole number from 1 to 1000000"#);
}

#[test]
fn an_old_name_is_used_and_told() {
    let (config, warnings) =
        read("[DEFAULT]\nlogdir = /x\n[keystone_authtoken]\ntenant_name = t").unwrap();
    assert_eq!(config.default.log_dir.as_deref(), Some(Path::new("/x")));
    assert_eq!(config.service_auth.project_name.as_deref(), Some("t"));
    assert!(
        warnings
            .iter()
            .all(|warning| warning.kind == WarningKind::Deprecated)
    );
    insta::assert_snapshot!(messages(warnings).join("\n"), @r#"
    a.conf:2: [DEFAULT] logdir is the old name of log_dir
    a.conf:4: [keystone_authtoken] tenant_name is the old name of project_name
    "#);
    let (config, _) = read("[DEFAULT]\nlog_dir = /new\nlogdir = /old").unwrap();
    assert_eq!(config.default.log_dir.as_deref(), Some(Path::new("/new")));
}

#[test]
fn unknown_names_are_told_and_foreign_ones_only_in_debug() {
    let (_, warnings) = read(
        "[DEFAULT]
bind-port = 1
transport_url = rabbit://
[databse]
connection = sqlite:///x.db
[database]
connection = mysql://h/db?plugin=dbcounter&write_timeout=3
slave_connection = mysql://h/db
[oslo_messaging_notifications]
driver = noop
[storage]
backend = sqlachemy
[keystone_authtoken]
auth_section = creds
memcache_pool_maxsize = 3
[creds]
username = u
cafile = /x
usrname = u
",
    )
    .unwrap();
    let lines = warnings
        .iter()
        .map(|warning| format!("{:?} {warning}", warning.kind));
    let lines: Vec<String> = lines
        .map(|line| {
            let (kind, rest) = line.split_once(' ').unwrap();
            format!("{kind} {}", messages([rest]).join(""))
        })
        .collect();
    insta::assert_snapshot!(lines.join("\n"), @r#"
    Unknown a.conf:2: [DEFAULT] bind-port is not a known option and is not used; the name is written with _ instead of -
    Ignored a.conf:3: [DEFAULT] transport_url has no meaning in this program and is not used
    Unknown a.conf:5: [databse] connection is not a known option and is not used
    Ignored a.conf:7: [database] connection: the parameter plugin has no meaning in this program and is not used
    Ignored a.conf:7: [database] connection: the parameter write_timeout has no meaning in this program and is not used
    Unknown a.conf:8: [database] slave_connection is not used: all requests read from [database] connection
    Ignored a.conf:10: [oslo_messaging_notifications] driver has no meaning in this program and is not used
    Unknown a.conf:12: [storage] backend is "sqlachemy"; the storage is the SQL database of [database] connection, whose name here is sqlalchemy
    Ignored a.conf:15: [keystone_authtoken] memcache_pool_maxsize has no meaning in this program and is not used
    Unknown a.conf:19: [creds] usrname is not a known option and is not used
    "#);
}

#[test]
fn credentials_stand_where_auth_section_says() {
    let config = config(
        "[keystone_authtoken]
auth_section = Service
[service]
username = checker
[centralized_scheduler]
auth_section = trustee
[trustee]
auth_section = other
username = not_this
[other]
auth_type = v3applicationcredential
application_credential_id = id
application_credential_secret = hunter2
",
    );
    assert_eq!(config.service_auth.username.as_deref(), Some("checker"));
    assert_eq!(
        config.trustee_auth.auth_type,
        Some(AuthType::ApplicationCredential)
    );
    assert_eq!(
        config.trustee_auth.application_credential_id.as_deref(),
        Some("id")
    );
    assert_eq!(config.trustee_auth.username, None);
}

#[test]
fn the_default_files_are_found() {
    let home = home(&[
        (".freezer/freezer-api.conf", "[DEFAULT]\nbind_port = 1"),
        ("freezer-api.conf", "[DEFAULT]\nbind_port = 2"),
        ("freezer.conf", "[DEFAULT]\nbind_port = 3\ndebug = true"),
        (
            ".freezer-api/freezer-api.conf.d/x.conf",
            "[api]\nmax_limit = 5",
        ),
        (".freezer/policy.yaml", ""),
    ]);
    let (config, _) = load(home.path(), &Sources::default(), &[]).unwrap();
    assert_eq!(config.default.bind_port, 1);
    assert!(config.default.debug);
    assert_eq!(config.api.max_limit, 5);
    assert_eq!(
        config.find_file(&config.oslo_policy.policy_file),
        Some(home.path().join(".freezer/policy.yaml"))
    );
    assert_eq!(config.find_file(Path::new("missing.yaml")), None);
}

#[test]
fn a_file_that_cannot_be_read_is_told() {
    let home = home(&[("a.conf", "[DEFAULT]\nbind_port 1"), ("b.conf", "")]);
    let told = |files: &[&str], dirs: &[&str]| {
        let paths = |names: &[&str]| names.iter().map(|name| home.path().join(name)).collect();
        let sources = Sources {
            config_files: paths(files),
            config_dirs: paths(dirs),
            ..Sources::default()
        };
        let error = load(home.path(), &sources, &[]).unwrap_err().to_string();
        error.replace(home.path().to_str().unwrap(), "~")
    };
    insta::assert_snapshot!(told(&["a.conf"], &[]), @"~/a.conf:2: expected key = value, but there is neither = nor :");
    insta::assert_snapshot!(told(&["missing.conf"], &[]), @"cannot read ~/missing.conf: No such file or directory (os error 2)");
    insta::assert_snapshot!(told(&["b.conf"], &["missing.d"]), @"cannot read ~/missing.d: No such file or directory (os error 2)");
}

#[test]
fn the_sample_file_is_fresh() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("etc/freezer-api.conf.sample");
    let written = fs::read_to_string(&path).unwrap_or_default();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, sample()).unwrap();
    } else {
        assert_eq!(
            written,
            sample(),
            "run the test with UPDATE_GOLDEN=1 to rewrite it"
        );
    }
}

/// The sample is a file that can be used: as it is, and with every default taken out of its comment.
#[test]
fn the_sample_gives_the_defaults() {
    let shown = |text: &str| {
        let config = config(text);
        format!(
            "{:#?}",
            Config {
                more_healthchecks: Vec::new(),
                search_dirs: Vec::new(),
                ..config
            }
        )
    };
    let defaults = format!("{:#?}", Config::default());
    assert_eq!(shown(&sample()), defaults);
    let uncommented: String = sample()
        .lines()
        .map(|line| {
            line.strip_prefix('#')
                .filter(|rest| !rest.starts_with(' '))
                .unwrap_or(line)
        })
        .filter(|line| !line.ends_with("<None>"))
        .map(|line| format!("{line}\n"))
        .collect();
    assert!(uncommented.contains("\nbind_port = 9090\n"));
    assert_eq!(shown(&uncommented), defaults);
}

#[test]
fn no_option_is_named_twice() {
    let mut names: Vec<(&str, &str)> = options::GROUPS
        .iter()
        .flat_map(|group| {
            group
                .options
                .iter()
                .flat_map(|option| option.names().into_iter().map(|name| (group.section, name)))
        })
        .collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
    for (section, name) in names {
        assert!(!ignored::contains(section, name), "[{section}] {name}");
    }
}

/// Section and name of every option.
fn option_names() -> Vec<(&'static str, &'static str)> {
    let names = |group: &'static table::GroupSpec| {
        group
            .options
            .iter()
            .map(|option| (group.section, option.name))
    };
    options::GROUPS.iter().flat_map(names).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the values, the file is read or each wrong one is told with its own line.
    #[test]
    fn any_values_are_read_or_refused(
        entries in prop::collection::vec((prop::sample::select(option_names()), "([$.{}a-z0-9,:/@-]|[^\\p{C}]){0,12}"), 1..8)
    ) {
        let text: String = entries.iter().map(|((section, name), value)| format!("[{section}]\n{name} = {value}\n")).collect();
        match read(&text) {
            Ok(_) => {}
            Err(ConfigError::Wrong(wrong)) => {
                for wrong in wrong {
                    let Location::File { line, .. } = wrong.location else { panic!("{}", wrong.location) };
                    let ((section, name), _) = entries[line / 2 - 1];
                    prop_assert_eq!((section, name), (wrong.section.as_str(), wrong.key.as_str()));
                }
            }
            Err(error) => prop_assert!(false, "{}", error),
        }
    }

    #[test]
    fn no_secret_is_ever_shown(
        key in prop::sample::select(vec!["password", "application_credential_secret", "token", "trust_id"]),
        before in "[$@{:/a.]{0,6}",
        after in "[$@}:/a.?]{0,6}",
    ) {
        let secret = format!("{before}hunter2{after}");
        let shown = |text: &str| match read(text) {
            Ok((config, warnings)) => format!("{config:?} {warnings:?}"),
            Err(error) => format!("{error} {error:?}"),
        };
        let credentials = shown(&format!("[keystone_authtoken]\n{key} = {secret}\n"));
        prop_assert!(!credentials.contains("hunter2"), "{}", credentials);
        let url = shown(&format!("[database]\nconnection = mysql://u:{}@h/name\n", secret.replace('@', "%40")));
        prop_assert!(!url.contains("hunter2"), "{}", url);
    }
}
