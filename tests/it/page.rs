//! `/ui/`: the web page as a browser gets it, and who may use its sessions.

mod attacks;
mod logins;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use axum::body::Body;
use ring::digest::{SHA256, digest};

use crate::support::api::request;
use crate::support::{Answer, Database, Engine, Service};

/// What a browser asks for with.
const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

/// What the whole page may weigh, compressed.
const MOST: usize = 80_000;

fn web() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("web")
}

async fn service() -> (Database, Service) {
    let database = Database::create(Engine::Sqlite).await;
    let service = Service::start(&database).await;
    (database, service)
}

async fn get(service: &Service, path: &str, headers: &[(&str, &str)]) -> Answer {
    service
        .send(request("GET", path, headers, Body::empty()))
        .await
}

/// The addresses in a document, as they stand in `src` and `href`.
fn addresses(document: &str) -> BTreeSet<String> {
    let quoted = ["src=\"", "href=\""].into_iter().flat_map(|mark| {
        document
            .split(mark)
            .skip(1)
            .filter_map(|rest| rest.split('"').next())
    });
    quoted.map(str::to_owned).collect()
}

#[tokio::test]
async fn the_page_and_its_files_are_served() {
    let (_database, service) = service().await;
    let index = get(&service, "/ui/", &[]).await.expect(200);
    assert_eq!(
        index.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    assert_eq!(index.header("cache-control"), Some("no-cache"));
    let files = addresses(&index.text());
    assert!(files.len() > 10, "{files:?}");
    let mut weight = 0;
    for file in &files {
        assert!(
            !file.starts_with('/') && !file.contains(':') && file.starts_with("assets/"),
            "{file} is not below the page"
        );
        let path = format!("/ui/{file}");
        let asset = get(&service, &path, &[]).await.expect(200);
        let lifetime = asset.header("cache-control").unwrap();
        assert!(lifetime.contains("immutable"), "{file}: {lifetime}");
        let name = file.splitn(3, '/').nth(2).unwrap();
        assert_eq!(asset.body, fs::read(web().join(name)).unwrap(), "{name}");
        let compressed = get(&service, &path, &[("accept-encoding", "gzip, br")]).await;
        assert_eq!(compressed.header("content-encoding"), Some("gzip"));
        assert_eq!(compressed.header("vary"), Some("Accept-Encoding"));
        weight += compressed.body.len();
        let other = path.replace(file.split('/').nth(1).unwrap(), "0000000000000000");
        let of_another_release = get(&service, &other, &[]).await.expect(200);
        assert_eq!(of_another_release.header("cache-control"), Some("no-store"));
    }
    weight += get(&service, "/ui/", &[("accept-encoding", "gzip")])
        .await
        .body
        .len();
    assert!(weight <= MOST, "the page weighs {weight} bytes");

    let etag = index.header("etag").unwrap();
    let again = get(&service, "/ui/", &[("if-none-match", etag)]).await;
    assert_eq!((again.status, again.body.len()), (304, 0));
    get(&service, "/ui/assets/x/../index.html", &[])
        .await
        .expect(404);
    get(&service, "/ui/assets/x/nothing.js", &[])
        .await
        .expect(404);
    service.raw("POST", "/ui/", "").await.expect(405);
    let allowed = service.raw("OPTIONS", "/ui/session", "").await.expect(200);
    assert_eq!(
        allowed.header("allow"),
        Some("GET, POST, PUT, DELETE, HEAD")
    );
}

/// Every script that the page imports is there, by a relative path, and is loaded without being found one by one.
#[test]
fn scripts_import_what_is_there() {
    let mut imports = 0;
    for file in files_below(&web()).iter().filter(|file| ends(file, "js")) {
        let text = fs::read_to_string(file).unwrap();
        if file.parent() != Some(&web().join("vendor")) {
            let lines = text.lines().count();
            assert!(lines <= 200, "{} has {lines} lines", file.display());
            for hole in [
                "innerHTML",
                "unsafe",
                "eval(",
                "style=",
                "http://",
                "https://",
            ] {
                assert!(!text.contains(hole), "{}: {hole}", file.display());
            }
        }
        for rest in text.split(" from \"").skip(1) {
            let name = rest.split('"').next().unwrap();
            assert!(name.starts_with("./") || name.starts_with("../"), "{name}");
            assert!(file.parent().unwrap().join(name).is_file(), "{name}");
            imports += 1;
        }
    }
    assert!(imports > 30, "{imports}");
}

#[test]
fn libraries_are_those_that_were_reviewed() {
    let vendor = web().join("vendor");
    let sums = fs::read_to_string(vendor.join("SHA256SUMS")).unwrap();
    let mut known = BTreeSet::from(["SHA256SUMS".to_owned(), "README.md".to_owned()]);
    for line in sums.lines() {
        let (sum, name) = line.split_once("  ").unwrap();
        let content = digest(&SHA256, &fs::read(vendor.join(name)).unwrap());
        let hex: String = content
            .as_ref()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(hex, sum, "{name}");
        known.insert(name.to_owned());
        if let Some(library) = name.strip_suffix(".js") {
            assert!(
                vendor.join(format!("{library}.LICENSE")).is_file(),
                "{name}"
            );
        }
    }
    for file in files_below(&vendor) {
        let name = file.file_name().unwrap().to_str().unwrap().to_owned();
        assert!(known.contains(&name), "{name} has no checksum");
    }
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| {
            if path.is_dir() {
                files_below(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}

fn ends(file: &Path, extension: &str) -> bool {
    file.extension().is_some_and(|found| found == extension)
}

#[tokio::test]
async fn browsers_are_told_what_the_page_may_do() {
    let (_database, service) = service().await;
    for path in [
        "/ui",
        "/ui/",
        "/ui/assets/x/app.js",
        "/ui/assets/x/none",
        "/ui/session",
    ] {
        let answer = get(&service, path, &[]).await;
        let policy = answer.header("content-security-policy").unwrap();
        assert!(
            policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self'"),
            "{policy}"
        );
        assert!(
            policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"),
            "{policy}"
        );
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{path}");
        }
    }
    let session = get(&service, "/ui/session", &[]).await.expect(200);
    assert_eq!(session.header("cache-control"), Some("no-store"));
    assert_eq!(session.json()["login"], "none");
    // The API's answers stay what they were.
    let jobs = service.get("jobs").await.expect(200);
    assert_eq!(jobs.header("content-security-policy"), None);
}

/// Behind any prefix, and to nowhere else.
#[tokio::test]
async fn browsers_find_the_page_and_programs_the_versions() {
    let (_database, service) = service().await;
    let sent = get(&service, "/", &[("accept", BROWSER)]).await.expect(303);
    assert_eq!(sent.header("location"), Some("ui/"));
    assert_eq!(sent.header("vary"), Some("Accept"));
    for accept in ["*/*", "application/json", "", "application/json, text/html"] {
        let answer = get(&service, "/", &[("accept", accept)]).await.expect(300);
        assert!(answer.json()["versions"].is_array());
    }
    service.raw("OPTIONS", "/", "").await.expect(200);
    for path in [
        "/ui",
        "//ui",
        "/ui?next=https://evil.example.com",
        "/x/../ui",
    ] {
        let sent = get(&service, path, &[("host", "evil.example.com")])
            .await
            .expect(308);
        assert_eq!(sent.header("location"), Some("ui/"), "{path}");
    }
}

#[tokio::test]
async fn an_operator_may_have_no_page() {
    let database = Database::create(Engine::Sqlite).await;
    let service = Service::with(&database, |config| config.ui.enabled = false).await;
    get(&service, "/", &[("accept", "*/*, text/html")])
        .await
        .expect(300);
    for path in ["/ui", "/ui/", "/ui/session", "/ui/assets/x/app.js"] {
        get(&service, path, &[]).await.refused(404, "404 Not Found");
    }
}
