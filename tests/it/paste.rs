//! The file of Paste Deploy that the Python service needs, and what operators set in it.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::server::{Connection, ask, start};
use crate::support::{Database, Engine, python};

#[tokio::test]
async fn the_health_check_is_where_and_what_the_file_says() {
    let database = Database::create(Engine::Sqlite).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("api-paste.ini");
    fs::write(
        &file,
        "[composite:main]\nuse = egg:Paste#urlmap\n/ = api\n/alive = health\n\
         [pipeline:api]\npipeline = audit root\n\
         [app:root]\npaste.app_factory = freezer_api.service:freezer_appv2_factory\n\
         [app:health]\npaste.app_factory = oslo_middleware:Healthcheck.app_factory\n\
         backends = disable_by_file\ndisable_by_file_path = %(here)s/disabled\n\
         [filter:audit]\npaste.filter_factory = keystonemiddleware.audit:filter_factory\n",
    )
    .unwrap();
    let options = format!(
        "[paste_deploy]\nconfig_file = {}\n[healthcheck]\npath = /other\n",
        file.display()
    );
    let server = start(&database, &options);
    let status = |path| ask(&server, "GET", path, "").status;
    assert_eq!([status("/alive"), status("/other")], [200, 404]);
    fs::write(folder.path().join("disabled"), "").unwrap();
    assert_eq!(status("/alive"), 503);
    server.wait_for_output("api-paste.ini:1: without effect in this program: [filter:audit]");

    let server = start(&database, "[paste_deploy]\nconfig_file = none.ini\n");
    server.wait_for_output("[paste_deploy] config_file: there is no none.ini");
}

#[tokio::test]
async fn there_may_be_several_health_checks() {
    let database = Database::create(Engine::Sqlite).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("api-paste.ini");
    fs::write(
        &file,
        "[composite:main]\nuse = egg:Paste#urlmap\n/ = api\n/live = live\n/ready = ready\n/live/ = ready\n\
         [app:api]\npaste.app_factory = freezer_api.service:freezer_appv2_factory\n\
         [app:live]\nuse = egg:oslo.middleware#healthcheck\n\
         [app:ready]\npaste.app_factory = oslo_middleware:Healthcheck.app_factory\n\
         backends = disable_by_file\ndisable_by_file_path = %(here)s/disabled\n",
    )
    .unwrap();
    let options = format!(
        "[paste_deploy]\nconfig_file = {}\n[healthcheck]\ndetailed = true\n",
        file.display()
    );
    let server = start(&database, &options);
    let status = |path| ask(&server, "GET", path, "").status;
    assert_eq!(
        ["/live", "/ready", "/healthcheck"].map(status),
        [200, 200, 404]
    );
    fs::write(folder.path().join("disabled"), "").unwrap();
    assert_eq!(["/live", "/ready"].map(status), [200, 503]);
    server.wait_for_output("api-paste.ini:6: /live/ has a health check already");

    // The document of the interface has them where they are.
    let document = ask(&server, "GET", "/v2/openapi.json", "").body;
    let document: serde_json::Value = serde_json::from_str(&document).unwrap();
    let id = |path: &str| document["paths"][path]["get"]["operationId"].as_str();
    assert_eq!(
        ["/live", "/ready", "/healthcheck"].map(id),
        [Some("check_health"), Some("check_health_2"), None]
    );
}

#[tokio::test]
async fn the_health_check_is_for_those_whom_it_is_for() {
    let database = Database::create(Engine::Sqlite).await;
    for (options, status, proxied) in [
        ("allowed_source_ranges = 192.0.2.0/24, ::1", 404, 404),
        ("allowed_source_ranges = 192.0.2.0/24, 127.0.0.1", 200, 200),
        ("ignore_proxied_requests = true", 200, 404),
    ] {
        let server = start(&database, &format!("[healthcheck]\n{options}\n"));
        assert_eq!(ask(&server, "GET", "/healthcheck", "").status, status);
        let mut connection = Connection::open(&server);
        connection.send(
            "GET /healthcheck HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n",
        );
        assert_eq!(connection.answer().unwrap().status, proxied, "{options}");
    }
}

#[test]
#[ignore = "needs Python with the reference: ./test installs it"]
fn the_file_of_the_reference_is_understood() {
    let environment = python();
    let environment = Path::new(&environment).parent().unwrap().parent().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("freezer.conf");
    let paste = environment.join("etc/freezer/freezer-paste.ini");
    fs::write(
        &file,
        format!("[paste_deploy]\nconfig_file = {}\n", paste.display()),
    )
    .unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_freezer-manage"))
        .arg("--config-file")
        .arg(&file)
        .args(["policy", "list"])
        .output()
        .unwrap();
    assert!(output.status.success());
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}
