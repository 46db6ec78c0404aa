//! Who may import whom, as ARCHITECTURE.md says it: read from the `use crate::` lines of the source.

use std::fs;
use std::path::{Path, PathBuf};

/// Each room and what it may use; `clock` is open to all.
const MAY_USE: &[(&str, &[&str])] = &[
    (
        "api",
        &[
            "authz",
            "config",
            "domain",
            "error",
            "keystone",
            "oslo::policy",
            "service",
            "store::Page",
            "telemetry",
        ],
    ),
    (
        "app",
        &[
            "api",
            "authz",
            "config",
            "domain",
            "keystone",
            "oslo::policy",
            "schema",
            "server",
            "service",
            "store",
        ],
    ),
    ("authz", &["authz", "domain", "oslo::policy"]),
    (
        "cli",
        &[
            "api",
            "app",
            "authz",
            "cli",
            "config",
            "oslo",
            "schema",
            "store",
            "telemetry",
        ],
    ),
    ("clock", &[]),
    ("config", &["config", "oslo"]),
    ("domain", &["domain"]),
    ("error", &["authz", "domain", "keystone", "store"]),
    ("keystone", &["authz", "config", "oslo"]),
    ("maintenance", &["schema", "store"]),
    ("oslo", &["oslo"]),
    ("schema", &["domain", "store"]),
    ("server", &["config"]),
    (
        "service",
        &["authz", "domain", "error", "keystone", "store"],
    ),
    (
        "store",
        &["config", "domain", "oslo::database_url", "store"],
    ),
    ("telemetry", &["config"]),
];

/// Crates that a room must not name.
const MUST_NOT_NAME: &[(&str, &[&str])] = &[
    ("authz", &["axum", "hyper", "reqwest", "sqlx"]),
    ("domain", &["axum", "hyper", "reqwest", "sqlx", "tokio"]),
    ("keystone", &["axum", "sqlx"]),
    ("maintenance", &["axum", "hyper", "reqwest"]),
    ("oslo", &["axum", "hyper", "reqwest", "sqlx"]),
    ("schema", &["axum", "hyper", "reqwest"]),
    ("service", &["axum", "hyper", "reqwest", "sqlx"]),
    ("store", &["axum", "hyper", "reqwest"]),
];

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

/// The room of a file: the first part of its path below `src`.
fn room(file: &Path) -> String {
    let first = file
        .components()
        .next()
        .unwrap()
        .as_os_str()
        .to_string_lossy()
        .into_owned();
    first.trim_end_matches(".rs").to_owned()
}

/// What a line imports from our own crate: `crate::a::b` gives `a::b`.
fn imports(line: &str) -> impl Iterator<Item = &str> {
    line.match_indices("crate::").map(|(start, word)| {
        let rest = &line[start + word.len()..];
        let end = rest
            .find(|c: char| !c.is_alphanumeric() && c != '_' && c != ':')
            .unwrap_or(rest.len());
        &rest[..end]
    })
}

fn is_allowed(import: &str, allowed: &[&str]) -> bool {
    import.starts_with("clock")
        || allowed
            .iter()
            .any(|room| import == *room || import.starts_with(&format!("{room}::")))
}

#[test]
fn rooms_import_what_they_may() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = Vec::new();
    let mut seen = 0;
    for file in rust_files(&src) {
        let place = file.strip_prefix(&src).unwrap();
        let room = room(place);
        if matches!(room.as_str(), "bin" | "lib") {
            continue;
        }
        let (_, allowed) = MAY_USE
            .iter()
            .find(|(name, _)| *name == room)
            .unwrap_or_else(|| panic!("{room} is no room of ARCHITECTURE.md"));
        for (number, line) in (1..).zip(fs::read_to_string(&file).unwrap().lines()) {
            if line.trim_start().starts_with("//") {
                continue;
            }
            for import in imports(line) {
                seen += 1;
                if !is_allowed(import, allowed) && !import.starts_with(&room) {
                    wrong.push(format!(
                        "{}:{number}: {room} uses crate::{import}",
                        place.display()
                    ));
                }
            }
            for (_, forbidden) in MUST_NOT_NAME.iter().filter(|(name, _)| *name == room) {
                for name in forbidden
                    .iter()
                    .filter(|name| line.contains(&format!("{name}::")))
                {
                    wrong.push(format!("{}:{number}: {room} names {name}", place.display()));
                }
            }
        }
    }
    assert!(seen > 100, "the reader of imports is broken: {seen}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn handlers_do_not_know_the_engine() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/api");
    for file in rust_files(&folder) {
        let text = fs::read_to_string(&file).unwrap();
        assert!(!text.contains("Engine"), "{}", file.display());
    }
}

#[test]
fn programs_are_short() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/bin");
    for file in rust_files(&folder) {
        let lines = fs::read_to_string(&file).unwrap().lines().count();
        assert!(lines <= 20, "{} has {lines} lines", file.display());
    }
}
