use proptest::prelude::*;
use secrecy::ExposeSecret;

use super::*;

fn url(text: &str) -> DatabaseUrl {
    text.parse()
        .unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn error(text: &str) -> DatabaseUrlError {
    text.parse::<DatabaseUrl>().unwrap_err()
}

/// Engine, user, password, host, port and database.
type Parts<'a> = (
    Engine,
    Option<&'a str>,
    Option<&'a str>,
    Option<&'a str>,
    Option<u16>,
    &'a str,
);

fn parts(url: &DatabaseUrl) -> Parts<'_> {
    (
        url.engine,
        url.user.as_deref(),
        url.password.as_ref().map(ExposeSecret::expose_secret),
        url.host.as_deref(),
        url.port,
        &url.database,
    )
}

#[test]
fn the_forms_that_operators_have() {
    use Engine::{MySql, Postgres, Sqlite};
    let cases: &[(&str, Parts<'_>)] = &[
        (
            "mysql+pymysql://u:p%40ss@h:3306/db?charset=utf8",
            (MySql, Some("u"), Some("p@ss"), Some("h"), Some(3306), "db"),
        ),
        (
            "mysql://u@h/db",
            (MySql, Some("u"), None, Some("h"), None, "db"),
        ),
        (
            "mysql+mysqldb://u:@h/db",
            (MySql, Some("u"), Some(""), Some("h"), None, "db"),
        ),
        (
            "mysql+mysqlconnector://u:a:b/c@h/db",
            (MySql, Some("u"), Some("a:b/c"), Some("h"), None, "db"),
        ),
        ("mariadb://h/db", (MySql, None, None, Some("h"), None, "db")),
        (
            "mariadb+pymysql://u:a?b@h/db",
            (MySql, Some("u"), Some("a?b"), Some("h"), None, "db"),
        ),
        (
            "mysql://u:a+b@[fe80::1]:33/d%2Fb",
            (
                MySql,
                Some("u"),
                Some("a+b"),
                Some("fe80::1"),
                Some(33),
                "d/b",
            ),
        ),
        (
            "postgresql://u:p@[::1]/db",
            (Postgres, Some("u"), Some("p"), Some("::1"), None, "db"),
        ),
        (
            "postgresql+psycopg2://u:p@/db",
            (Postgres, Some("u"), Some("p"), None, None, "db"),
        ),
        (
            "postgresql+psycopg://h:1/db",
            (Postgres, None, None, Some("h"), Some(1), "db"),
        ),
        (
            "postgresql+asyncpg://u@x@h/db",
            (Postgres, Some("u@x"), None, Some("h"), None, "db"),
        ),
        (
            "postgres://:p@h/db",
            (Postgres, Some(""), Some("p"), Some("h"), None, "db"),
        ),
        (
            "sqlite:///relative.db",
            (Sqlite, None, None, None, None, "relative.db"),
        ),
        (
            "sqlite:////a/b@c.db?timeout=5",
            (Sqlite, None, None, None, None, "/a/b@c.db"),
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(&parts(&url(text)), expected, "{text}");
    }
}

#[test]
fn parameters_of_mysql() {
    let url = url(
        "mysql+pymysql://h/db?charset=utf8&ssl_ca=/ca.pem&ssl_cert=/c+d.pem&ssl_key=%2Fk.pem&ssl_check_hostname=False\
         &unix_socket=/run/m.sock&read_timeout=30&write_timeout=2.5&connect_timeout=10&plugin=dbcounter",
    );
    assert_eq!(
        url.tls,
        Tls {
            mode: None,
            ca: Some("/ca.pem".into()),
            cert: Some("/c d.pem".into()),
            key: Some("/k.pem".into()),
            check_hostname: Some(false),
            ..Tls::default()
        }
    );
    assert_eq!(url.socket, Some("/run/m.sock".into()));
    assert_eq!(
        (url.connect_timeout, url.read_timeout),
        (Some(Duration::from_secs(10)), Some(Duration::from_secs(30)),)
    );
    assert_eq!(url.ignored, ["write_timeout", "plugin"]);
}

#[test]
fn parameters_that_a_template_left_empty() {
    let full = url("mysql+pymysql://h/db?charset=utf8");
    for query in [
        "ssl_ca=&charset=utf8&ssl_key=",
        "charset=utf8&ssl_ca",
        "ssl_verify_cert=&nothing=",
        "&&",
        "=",
    ] {
        let url = url(&format!("mysql+pymysql://h/db?{query}"));
        assert_eq!(
            (&url.tls, &url.ignored),
            (&full.tls, &full.ignored),
            "{query}"
        );
    }
    let url = url("postgresql://h/db?sslmode=&host=&port=&options=");
    assert_eq!((url.host.as_deref(), url.port), (Some("h"), None));
    assert_eq!(url.tls, Tls::default());
}

#[test]
fn parameters_of_postgresql() {
    let with_tls = url(
        "postgresql://h/db?sslmode=verify-full&sslrootcert=/ca.pem&sslcert=/c.pem&sslkey=/k.pem&client_encoding=utf8",
    );
    assert_eq!(
        with_tls.tls,
        Tls {
            mode: Some(SslMode::VerifyFull),
            ca: Some("/ca.pem".into()),
            cert: Some("/c.pem".into()),
            key: Some("/k.pem".into()),
            ..Tls::default()
        }
    );
    assert_eq!(
        url("postgresql:///db?host=/run/pg").socket,
        Some("/run/pg".into())
    );
    assert_eq!(
        url("postgresql:///db?host=other").host.as_deref(),
        Some("other")
    );
}

#[test]
fn settings_of_postgresql() {
    let setting = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    for (options, settings) in [
        ("-csearch_path%3Dfz", vec![setting("search_path", "fz")]),
        ("-c%20search_path%3Dfz", vec![setting("search_path", "fz")]),
        ("--search-path%3Dfz", vec![setting("search_path", "fz")]),
        (
            "-c+search_path%3Da,b\\+c++-cstatement_timeout%3D5s",
            vec![
                setting("search_path", "a,b c"),
                setting("statement_timeout", "5s"),
            ],
        ),
        ("", vec![]),
    ] {
        let text = format!("postgresql://h/db?options={options}");
        assert_eq!(url(&text).settings, settings, "{text}");
    }
    for wrong in ["-cfsync", "-c", "-e", "fz", "-c%3Dx", "-ca;b%3D1"] {
        let text = format!("postgresql://h/db?options={wrong}");
        assert!(
            matches!(error(&text), DatabaseUrlError::Parameter { .. }),
            "{text}"
        );
    }
}

#[test]
fn mysqlclient_has_a_mode_of_tls() {
    let tls = |mode: &str| url(&format!("mysql://h/db?ssl_mode={mode}")).tls;
    let verified = |cert: bool, hostname: bool| Tls {
        verify_cert: Some(cert),
        check_hostname: Some(hostname),
        ..Tls::default()
    };
    assert!(tls("DISABLED").disabled);
    assert_eq!(tls("PREFERRED"), Tls::default());
    assert_eq!(tls("required"), verified(false, false));
    assert_eq!(tls("VERIFY_CA"), verified(true, false));
    assert_eq!(tls("VERIFY_IDENTITY"), verified(true, true));
    assert!(matches!(
        error("mysql://h/db?ssl_mode=verify-full"),
        DatabaseUrlError::Parameter { .. }
    ));
}

/// What could say where or how to work is obeyed or refused.
#[test]
fn no_parameter_is_left_out() {
    for (text, name) in [
        (
            "mysql://h/db?read_default_file=/etc/my.cnf",
            "read_default_file",
        ),
        ("mysql://h/db?sql_mode=ANSI", "sql_mode"),
        ("mysql://h/db?sslmode=require", "sslmode"),
        ("postgresql://h/db?service=main", "service"),
        ("postgresql://h/db?read_timeout=3", "read_timeout"),
        (
            "postgresql://h/db?load_balance_hosts=random",
            "load_balance_hosts",
        ),
        ("postgresql://h/db?sslnegotiation=direct", "sslnegotiation"),
        ("sqlite:///f.db?mode=ro", "mode"),
        ("sqlite:///f.db?uri=true", "uri"),
    ] {
        assert!(
            matches!(error(text), DatabaseUrlError::Unsupported { name: refused, .. } if refused == name),
            "{text}"
        );
    }
    for several in [
        "mysql://a,b/db",
        "mysql://a:1,b:1/db",
        "mysql:///db?host=a,b",
    ] {
        assert_eq!(error(several), DatabaseUrlError::SeveralHosts, "{several}");
    }
    let moved = url(
        "postgresql://a:1/x?host=b&port=2&dbname=y&application_name=z&load_balance_hosts=disable",
    );
    assert_eq!(
        (moved.host.as_deref(), moved.port, moved.database.as_str()),
        (Some("b"), Some(2), "y")
    );
    assert_eq!(moved.application_name.as_deref(), Some("z"));
    assert_eq!(moved.ignored, ["load_balance_hosts"]);
    let waits = url("sqlite:///f.db?timeout=2.5").lock_timeout;
    assert_eq!(waits, Some(Duration::from_millis(2500)));
}

/// Each means to us what it means to libpq or, where that reads it otherwise, to SQLAlchemy with psycopg2.
#[test]
fn hosts_of_postgresql() {
    for (text, hosts) in [
        ("u:p@a:1,b:2/db", "a:1,b:2"),
        ("u:p@a:1,b/db", "a:1,b"),
        ("u:p@a,b/db", "a,b"),
        // SQLAlchemy tells libpq one port, which then is that of all.
        ("u:p@a,b:2/db", "a:2,b:2"),
        ("u:p@[::1]:1,[::2]/db", "[::1]:1,[::2]"),
        ("u:p@/db?host=a:1&host=b:2", "a:1,b:2"),
        ("u:p@/db?host=a&host=b:2", "a,b:2"),
        ("u:p@c:9/db?host=a&host=b", "a,b"),
        ("u:p@/db?host=a,b&port=1,2", "a:1,b:2"),
        ("u:p@/db?host=a,b&port=1,", "a:1,b"),
        ("u:p@/db?host=a&host=b&port=1&port=2", "a:1,b:2"),
        ("u:p@/db?host=a,b&port=1", "a:1,b:1"),
        ("u:p@a,b/db?port=1", "a:1,b:1"),
        ("u:p@/db?host=[::1]:1&host=::2", "[::1]:1,[::2]"),
        ("u:p@c/db?host=a:1", "a:1"),
        ("u:p@c:1/db?host=a", "a:1"),
        ("u:p@c,d/db?host=a", "a"),
        ("u:p@/db?host=::1", "[::1]"),
        // SQLAlchemy leaves out what is empty.
        ("u:p@/db?host=a&host=", "a"),
        ("u:p@/db?host=a&port=", "a"),
    ] {
        let url = url(&format!("postgresql://{text}"));
        let shown = format!("postgresql://u:***@{hosts}/db");
        assert_eq!(url.to_string(), shown, "{text}");
        let servers: Vec<String> = url.servers().iter().map(DatabaseUrl::to_string).collect();
        let each: Vec<String> = hosts
            .split(',')
            .map(|host| format!("postgresql://u:***@{host}/db"))
            .collect();
        assert_eq!(servers, each, "{text}");
    }
    for (text, expected) in [
        ("a:0,b/db", DatabaseUrlError::Port),
        ("a:1,b:x/db", DatabaseUrlError::Port),
        ("a,,b/db", DatabaseUrlError::Host),
        ("a,[::1/db", DatabaseUrlError::Host),
        ("/db?host=a&host=/run/pg", DatabaseUrlError::Host),
    ] {
        assert_eq!(error(&format!("postgresql://{text}")), expected, "{text}");
    }
    for text in [
        "/db?host=a,b&port=1,2,3",
        "/db?host=a&port=1,2",
        "/db?host=a:1&host=b&port=2",
        "/db?host=a,b&port=1,x",
    ] {
        let error = error(&format!("postgresql://{text}"));
        assert!(
            matches!(&error, DatabaseUrlError::Parameter { name, .. } if name == "port"),
            "{text}: {error}"
        );
    }
}

/// The service writes, so it takes no server that is for reading.
#[test]
fn targets_of_postgresql() {
    for (text, target) in [
        ("", None),
        ("?target_session_attrs=any", None),
        ("?target_session_attrs=", None),
        (
            "?target_session_attrs=read-write",
            Some(TargetSession::ReadWrite),
        ),
        (
            "?target_session_attrs=primary",
            Some(TargetSession::Primary),
        ),
    ] {
        assert_eq!(url(&format!("postgresql://h/db{text}")).target, target);
    }
    for wrong in ["read-only", "standby", "prefer-standby", "x"] {
        let text = format!("postgresql://h/db?target_session_attrs={wrong}");
        assert!(
            matches!(error(&text), DatabaseUrlError::Parameter { .. }),
            "{text}"
        );
    }
}

#[test]
fn one_host_in_common_is_the_same_database() {
    let ours = url("postgresql://a,b/db");
    for (other, is_same) in [
        ("postgresql://b,c/db", true),
        ("postgresql://b/db", true),
        ("postgresql://b/other", false),
        ("postgresql://c/db", false),
        ("mysql://b/db", false),
    ] {
        assert_eq!(ours.is_same_database(&url(other)), is_same, "{other}");
    }
}

#[test]
fn what_cannot_be_used_is_refused() {
    assert_eq!(error("h/db"), DatabaseUrlError::NoScheme);
    assert_eq!(
        error("oracle://h/db"),
        DatabaseUrlError::Database("oracle".to_owned())
    );
    assert!(
        matches!(error("mysql+foo://h/db"), DatabaseUrlError::Driver { driver, .. } if driver == "foo")
    );
    assert!(matches!(
        error("postgresql+pymysql://h/db"),
        DatabaseUrlError::Driver { .. }
    ));
    for memory in ["sqlite://", "sqlite:///", "sqlite:///:memory:"] {
        assert_eq!(error(memory), DatabaseUrlError::InMemory, "{memory}");
    }
    assert_eq!(error("sqlite://file.db"), DatabaseUrlError::SqliteHost);
    assert_eq!(
        error("mysql://h"),
        DatabaseUrlError::NoDatabase("mysql".to_owned())
    );
    for port in ["", "0", "65536", "x", "-1"] {
        assert_eq!(
            error(&format!("mysql://h:{port}/db")),
            DatabaseUrlError::Port,
            "{port}"
        );
    }
    for host in ["[::1", "[::1]x", "[::1]3306"] {
        assert_eq!(
            error(&format!("mysql://{host}/db")),
            DatabaseUrlError::Host,
            "{host}"
        );
    }
    assert_eq!(error("mysql://u:p@ss@h/db"), DatabaseUrlError::SecondAt);
    assert_eq!(
        error("mysql://u:%ff@h/db"),
        DatabaseUrlError::NotUtf8("password")
    );
    for parameter in [
        "read_timeout=0",
        "read_timeout=x",
        "connect_timeout=-1",
        "ssl_check_hostname=2",
    ] {
        assert!(
            matches!(
                error(&format!("mysql://h/db?{parameter}")),
                DatabaseUrlError::Parameter { .. }
            ),
            "{parameter}"
        );
    }
    assert!(matches!(
        error("postgresql://h/db?sslmode=on"),
        DatabaseUrlError::Parameter { .. }
    ));
}

#[test]
fn later_parameters_win() {
    let mut url = url("mysql://h/db?read_timeout=1");
    url.add_parameters("read_timeout=2").unwrap();
    assert_eq!(url.read_timeout, Some(Duration::from_secs(2)));
    assert!(url.add_parameters("x=1").is_err());
}

#[test]
fn the_address_is_shown_without_the_password() {
    for (text, shown) in [
        (
            "mysql+pymysql://u:hunter2@[::1]:1/db?ssl_ca=/x",
            "mysql+pymysql://u:***@[::1]:1/db",
        ),
        ("postgresql://u@h/db", "postgresql://u@h/db"),
        ("sqlite:////var/f.db", "sqlite:////var/f.db"),
    ] {
        assert_eq!(url(text).to_string(), shown);
    }
}

/// What SQLAlchemy itself reads in awkward URLs (tests/oracle/configuration.py). We may refuse what it takes, but what
/// both take must mean the same.
#[test]
fn addresses_mean_what_they_mean_to_sqlalchemy() {
    let oracle: serde_json::Value =
        serde_json::from_str(include_str!("../../../tests/oracle/configuration.json")).unwrap();
    for case in oracle["urls"].as_array().unwrap() {
        // What follows the address must be a parameter that is known here.
        let text = &case[0].as_str().unwrap().replace("?x=y@z", "?charset=y@z");
        let expected = &case[1];
        let said = |index: usize| expected[index].as_str().unwrap_or_default();
        match text.parse::<DatabaseUrl>() {
            Ok(url) => {
                let (_, user, password, host, port, database) = parts(&url);
                let read = serde_json::json!([user, password, host, port, database]);
                assert_eq!(*expected, read, "{text}");
            }
            Err(DatabaseUrlError::Unsupported { .. }) => {}
            // Without a database, or with an @ in the host, which is a password that was not escaped.
            Err(error) => assert!(
                said(4).is_empty() || said(2).contains('@'),
                "{text}: {error}"
            ),
        }
    }
}

proptest! {
    #[test]
    fn no_password_is_ever_shown(scheme in "mysql|postgresql|sqlite|foo|mysql\\+x", rest in "[@/:,?\\[\\]]{0,3}", host in "(h|\\[::1\\]|)(:1)?") {
        let text = format!("{scheme}://user:hunter2{rest}hunter2@{host}/name");
        let shown = match text.parse::<DatabaseUrl>() {
            Ok(url) => format!("{url} {url:?}"),
            Err(error) => format!("{error} {error:?}"),
        };
        // In a path of SQLite, and behind the first `@` of a URL in the path, there is no password to SQLAlchemy.
        let in_database = text.parse::<DatabaseUrl>().is_ok_and(|url| url.database.contains("hunter2"));
        prop_assert!(in_database || !shown.contains("hunter2"), "{}", shown);
    }

    #[test]
    fn any_text_is_read_or_refused(text in "(mysql|sqlite)?(:|/|@|\\[|\\]|\\?|%|.){0,30}") {
        let _ = text.parse::<DatabaseUrl>();
    }
}
