//! Where the programs log to.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::server::{PATIENCE, ask, configuration, refusal};
use crate::support::process::Server;
use crate::support::{Database, Engine};

fn start(configuration: &str, arguments: &[&str]) -> Server {
    let arguments = [&["--dev"], arguments].concat();
    Server::start(configuration, &arguments).unwrap_or_else(|ended| panic!("{}", ended.output))
}

/// Waits until a file contains a text.
fn wait_for(path: &Path, text: &str) {
    let start = Instant::now();
    loop {
        let written = fs::read_to_string(path).unwrap_or_default();
        if written.contains(text) {
            return;
        }
        assert!(start.elapsed() < PATIENCE, "no {text:?} in:\n{written}");
        thread::sleep(Duration::from_millis(20));
    }
}

#[tokio::test]
async fn the_command_line_wins_and_logrotate_is_followed() {
    let database = Database::create(Engine::Sqlite).await;
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let options = format!(
        "[DEFAULT]\npublish_errors = true\nuse_json = false\nlog_file = {}\n",
        path("other.log").display()
    );
    let server = start(
        &configuration(&database, &options),
        &[
            "--debug",
            "--use-json",
            "--log-date-format",
            "%H h",
            "--log-dir",
            folder.path().to_str().unwrap(),
            "--log-file",
            "api.log",
        ],
    );
    assert_eq!(ask(&server, "GET", "/v2/p/clients", "").status, 200);
    wait_for(&path("api.log"), "method");
    fs::rename(path("api.log"), path("api.log.1")).unwrap();
    server.signal(Signal::HUP);
    wait_for(&path("api.log"), "the log level was read again");
    assert!(server.stop().status.success());
    assert!(!path("other.log").exists());
    let read = |name: &str| fs::read_to_string(path(name)).unwrap();
    let lines: Vec<Value> = read("api.log.1")
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let levels: Vec<&str> = lines
        .iter()
        .map(|line| line["levelname"].as_str().unwrap())
        .collect();
    assert!(levels.contains(&"DEBUG"), "{levels:?}");
    assert!(lines[0]["asctime"].as_str().unwrap().ends_with(" h"));
    assert!(
        read("api.log")
            .lines()
            .any(|line| line.contains("stopping"))
    );
}

#[tokio::test]
async fn a_python_logging_file_says_where_the_log_goes() {
    let database = Database::create(Engine::Sqlite).await;
    let folder = tempfile::tempdir().unwrap();
    let (log, file) = (
        folder.path().join("api.log"),
        folder.path().join("logging.conf"),
    );
    let write = |level: &str| {
        let text = format!(
            "[loggers]\nkeys = root, freezer_api, amqp\n[logger_root]\nhandlers = \n\
             [logger_freezer_api]\nqualname = freezer_api\nlevel = {level}\nhandlers = file, stdout\n[logger_amqp]\nqualname = amqp\n\
             [handler_file]\nclass = handlers.WatchedFileHandler\nargs = ('{}',)\nformatter = short\n\
             [handler_stdout]\nclass = StreamHandler\nargs = (sys.stdout,)\nlevel = WARNING\n[formatter_short]\nformat = <%(levelname)s> %(message)s\n",
            log.display()
        );
        fs::write(&file, text).unwrap();
    };
    write("WARNING");
    let options = format!(
        "[DEFAULT]\nuse_syslog = true\nlog_config_append = {}\n",
        file.display()
    );
    let server = start(&configuration(&database, &options), &[]);
    assert_eq!(ask(&server, "GET", "/v2/p/clients", "").status, 200);
    write("INFO");
    server.signal(Signal::HUP);
    wait_for(&log, "<INFO> the log level was read again");
    assert_eq!(ask(&server, "GET", "/v2/p/clients", "").status, 200);
    let stopped = server.stop();
    let text = fs::read_to_string(&log).unwrap();
    let ignored = "log_config_append: [logger_amqp] has no effect in this program";
    assert!(text.contains(&format!("<WARNING> {ignored}")), "{text}");
    let request = "<INFO> request remote=127.0.0.1 method=GET";
    assert_eq!(text.matches(request).count(), 1, "{text}");
    let told = stopped.output;
    assert!(
        told.contains(ignored) && !told.contains("request remote"),
        "{told}"
    );

    fs::write(&file, "[loggers]\nkeys = root\n").unwrap();
    let ended = refusal(&configuration(&database, &options), &["--dev"]);
    assert!(
        ended
            .output
            .contains("logging.conf: there is no section [logger_root]"),
        "{}",
        ended.output
    );
}

/// A program that sees `/dev/log` and the journal's socket in this folder.
fn among_daemons(folder: &Path) -> Command {
    let mut command = Command::new("unshare");
    let script = "mount -t tmpfs none /run && mkdir -p /run/systemd/journal && ln -s \"$1/journal\" /run/systemd/journal/socket \
                  && mount -t tmpfs none /dev && ln -s \"$1/log\" /dev/log && shift && exec \"$@\"";
    command
        .args(["-rm", "sh", "-c", script, "sh"])
        .arg(folder)
        .arg(env!("CARGO_BIN_EXE_freezer-api"));
    command
}

/// The first datagram that contains a text.
fn datagram(socket: &UnixDatagram, text: &str) -> String {
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    loop {
        let mut buffer = [0; 65536];
        let length = socket.recv(&mut buffer).unwrap();
        let datagram = String::from_utf8(buffer[..length].to_vec()).unwrap();
        if datagram.contains(text) {
            return datagram;
        }
    }
}

#[tokio::test]
#[ignore = "needs unshare with user namespaces: ./test looks for them"]
async fn syslog_and_the_journal_get_lines() {
    let database = Database::create(Engine::Sqlite).await;
    let folder = tempfile::tempdir().unwrap();
    let bind = |name: &str| UnixDatagram::bind(folder.path().join(name)).unwrap();
    let (syslog, journal) = (bind("log"), bind("journal"));
    let options = "[DEFAULT]\nuse_journal = true\nlogging_default_format_string = %(message)s\n";
    let server = Server::start_by(
        among_daemons(folder.path()),
        &configuration(&database, options),
        &["--dev", "--use-syslog", "--syslog-log-facility", "local3"],
    );
    let server = server.unwrap_or_else(|ended| panic!("{}", ended.output));
    assert_eq!(ask(&server, "GET", "/v2/p/clients", "").status, 200);
    let line = datagram(&syslog, "method=GET");
    // LOG_LOCAL3 and LOG_INFO.
    assert!(line.starts_with("<158>freezer-api: 20"), "{line}");
    let fields = datagram(&journal, "method=GET");
    for field in [
        "MESSAGE=20",
        "PRIORITY=6\n",
        "SYSLOG_FACILITY=19\n",
        "SYSLOG_IDENTIFIER=freezer-api\n",
        "LOGGER_NAME=freezer_api.access\n",
        "REQUEST_ID=req-",
    ] {
        assert!(fields.contains(field), "no {field:?} in:\n{fields}");
    }
    // One that is started anew gets the lines that follow.
    drop(syslog);
    fs::remove_file(folder.path().join("log")).unwrap();
    let syslog = bind("log");
    server.terminate();
    assert_eq!(
        datagram(&syslog, "asked to use"),
        "<158>freezer-api: stopping: clients are asked to use other servers"
    );
    assert!(server.end().status.success());
}

#[tokio::test]
#[ignore = "needs unshare with user namespaces: ./test looks for them"]
async fn without_the_daemons_standard_error_gets_lines() {
    let database = Database::create(Engine::Sqlite).await;
    // In this folder is neither.
    let folder = tempfile::tempdir().unwrap();
    let options = "[DEFAULT]\nuse_journal = true\nuse_syslog = true\n";
    let server = Server::start_by(
        among_daemons(folder.path()),
        &configuration(&database, options),
        &["--dev"],
    );
    let server = server.unwrap_or_else(|ended| panic!("{}", ended.output));
    server.wait_for_output("there is no /dev/log");
    server.wait_for_output("there is no /run/systemd/journal/socket");
    assert_eq!(ask(&server, "GET", "/v2/p/clients", "").status, 200);
    server.wait_for_output("request remote");
}

#[tokio::test]
async fn commands_log_where_the_service_does() {
    let database = Database::create(Engine::Sqlite).await;
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("policy.yaml"), "a: '@'\na: '!'\n").unwrap();
    let options = format!(
        "[oslo_policy]\npolicy_file = {}\n",
        path("policy.yaml").display()
    );
    fs::write(path("api.conf"), configuration(&database, &options)).unwrap();
    let manage = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_freezer-manage"))
            .arg("--config-file")
            .arg(path("api.conf"))
            .args(arguments)
            .args(["policy", "list"])
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    let told = manage(&[]);
    assert!(
        told.contains("WARNING") && told.contains("first_line"),
        "{told}"
    );
    let log_dir = folder.path().to_str().unwrap();
    assert_eq!(manage(&["--log-dir", log_dir]), "");
    let logged = fs::read_to_string(path("freezer-manage.log")).unwrap();
    assert!(logged.contains("first_line"), "{logged}");
    // A log that cannot be written does not keep anybody from mending a database.
    let told = manage(&["--log-dir", "/proc/none"]);
    assert!(
        told.starts_with("warning: cannot open the log file /proc/none/freezer-manage.log"),
        "{told}"
    );
}
