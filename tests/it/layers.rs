//! Which module may use which: the rules, read from the paths in the source. No two files of `src` use each other in a
//! circle, and the table in ARCHITECTURE.md is what the source says.

mod sources;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use sources::{Sources, rust_files};

const TABLE_BEGINS: &str = "<!-- written by tests/it/layers.rs -->\n";
const TABLE_ENDS: &str = "<!-- end -->\n";

/// Each module and what it may use beside itself; `clock` is open to all.
const MAY_USE: &[(&str, &[&str])] = &[
    (
        "api",
        &[
            "authz",
            "config",
            "domain",
            "error",
            "keystone",
            "metrics",
            "oslo::policy",
            "pace",
            "service",
            "store::list",
            "store::memory",
            "store::pages",
            "store::shares",
            "store::sink",
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
            "pace",
            "schema",
            "server",
            "service",
            "store",
        ],
    ),
    ("authz", &["domain", "oslo::policy"]),
    (
        "cli",
        &[
            "api",
            "app",
            "authz",
            "config",
            "domain",
            "elasticsearch",
            "keystone",
            "maintenance",
            "oslo",
            "schema",
            "store",
            "telemetry",
        ],
    ),
    ("clock", &[]),
    ("config", &["oslo"]),
    ("domain", &[]),
    ("error", &["authz", "domain", "keystone", "store"]),
    ("keystone", &["authz", "config"]),
    ("elasticsearch", &[]),
    (
        "maintenance",
        &[
            "domain",
            "elasticsearch",
            "oslo::database_url",
            "schema",
            "store",
        ],
    ),
    ("pace", &[]),
    ("metrics", &["domain"]),
    ("oslo", &[]),
    ("schema", &["domain", "oslo::database_url", "store"]),
    ("server", &["config", "pace"]),
    (
        "service",
        &["authz", "domain", "error", "keystone", "store"],
    ),
    ("store", &["config", "domain", "oslo::database_url"]),
    (
        "telemetry",
        &["config", "oslo::log_format", "oslo::logging_file"],
    ),
];

/// Crates that a module must not name.
const MUST_NOT_NAME: &[(&str, &[&str])] = &[
    ("authz", &["axum", "hyper", "reqwest", "sqlx"]),
    ("domain", &["axum", "hyper", "reqwest", "sqlx", "tokio"]),
    ("elasticsearch", &["axum", "sqlx"]),
    ("keystone", &["axum", "sqlx"]),
    ("maintenance", &["axum", "hyper", "reqwest"]),
    ("metrics", &["axum", "hyper", "reqwest", "sqlx"]),
    ("oslo", &["axum", "hyper", "reqwest", "sqlx"]),
    ("schema", &["axum", "hyper", "reqwest"]),
    ("service", &["axum", "hyper", "reqwest", "sqlx"]),
    ("store", &["axum", "hyper", "reqwest"]),
];

fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn is_allowed(target: &str, allowed: &[&str]) -> bool {
    allowed
        .iter()
        .any(|module| target == *module || target.starts_with(&format!("{module}::")))
}

/// What the files of each module use of other modules: `(file, target)`, both as `a::b`.
fn dependencies(sources: &Sources) -> BTreeMap<String, Vec<(String, String)>> {
    let mut dependencies: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
    for module in sources.0.keys() {
        let from = dependencies.entry(module[0].clone()).or_default();
        for target in sources.uses(module) {
            if target[0] != module[0] {
                from.push((module.join("::"), target.join("::")));
            }
        }
    }
    dependencies
}

#[test]
fn modules_use_what_they_may() {
    let dependencies = dependencies(&Sources::read(&src()));
    let number: usize = dependencies.values().map(Vec::len).sum();
    assert!(number > 100, "the reader of imports is broken: {number}");
    let mut wrong = Vec::new();
    for (module, uses) in &dependencies {
        let allowed = MAY_USE
            .iter()
            .find(|(name, _)| name == module)
            .map(|(_, allowed)| *allowed)
            .unwrap_or_else(|| panic!("MAY_USE does not say what {module} may use"));
        wrong.extend(
            uses.iter()
                .filter(|(_, target)| target != "clock" && !is_allowed(target, allowed))
                .map(|(file, target)| format!("{file} uses {target}")),
        );
        let unused = allowed.iter().filter(|allowed| {
            !uses
                .iter()
                .any(|(_, target)| is_allowed(target, &[allowed]))
        });
        wrong.extend(unused.map(|unused| format!("{module} may use {unused}, and does not")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn modules_do_not_name_crates_of_other_layers() {
    let sources = Sources::read(&src());
    let mut wrong = Vec::new();
    for (module, forbidden) in MUST_NOT_NAME {
        let files = sources.0.iter().filter(|(path, _)| path[0] == *module);
        for (_, source) in files {
            wrong.extend(
                forbidden
                    .iter()
                    .filter(|name| source.names_crate(name))
                    .map(|name| format!("{} names {name}", source.path.display())),
            );
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Neither two modules nor two files of one; a part may use what the module defines that it belongs to.
#[test]
fn files_do_not_use_each_other_in_a_circle() {
    let circles = Sources::read(&src()).circles();
    let shown: Vec<String> = circles
        .iter()
        .map(|circle| {
            let files: Vec<String> = circle.iter().map(|module| module.join("::")).collect();
            files.join(" -> ")
        })
        .collect();
    assert!(shown.is_empty(), "{}", shown.join("\n"));
}

#[test]
fn the_reader_of_paths_finds_circles() {
    let circles = |files: &[(&str, &str)]| Sources::of(files).circles();
    let store = ("store", "pub use rows::Page;\nmod rows;\nstruct Tx;");
    let rows = ("store::rows", "use super::Tx;\npub struct Page;");
    assert!(circles(&[store, rows]).is_empty(), "a part and its module");

    let api = ("api", "use crate::{clock, store::{self, Page as P}};");
    let direct = (
        "store::rows",
        "pub struct Page;\nfn f() { crate::api::g(); }",
    );
    assert_eq!(
        circles(&[store, direct, api]),
        [["api", "store::rows", "api"]
            .map(|module| { module.split("::").map(str::to_owned).collect::<Vec<_>>() })],
        "the file that defines a name counts, not the one that passes it on"
    );

    let one = ("a::one", "use super::two;\nfn f() { two::g() }");
    let two = ("a::two", "// super::one::f()\nfn g() { super::one::f() }");
    assert_eq!(circles(&[("a", "mod one;\nmod two;"), one, two]).len(), 1);
}

/// The table in ARCHITECTURE.md. `UPDATE_GOLDEN=1` rewrites it.
#[test]
fn the_table_of_dependencies_is_up_to_date() {
    let mut table = "| module | uses |\n|---|---|\n".to_owned();
    for (module, uses) in dependencies(&Sources::read(&src())) {
        let uses: BTreeSet<&str> = uses
            .iter()
            .filter_map(|(_, target)| target.split("::").next())
            .filter(|target| *target != "clock")
            .collect();
        let uses: Vec<String> = uses.iter().map(|module| format!("`{module}`")).collect();
        table += format!("| `{module}` | {}", uses.join(", ")).trim_end();
        table += " |\n";
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("ARCHITECTURE.md");
    let text = fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(TABLE_BEGINS).unwrap();
    let (old, after) = rest.split_once(TABLE_ENDS).unwrap();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(
            &path,
            format!("{before}{TABLE_BEGINS}{table}{TABLE_ENDS}{after}"),
        )
        .unwrap();
        return;
    }
    assert_eq!(
        old, table,
        "UPDATE_GOLDEN=1 cargo test --test it layers rewrites the table in ARCHITECTURE.md"
    );
}

/// Comments cite deviations from the reference by their numbers in `docs/compatibility.md`: "deviation D6", "(D23)".
#[test]
fn cited_deviations_are_documented() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let documented: BTreeSet<String> = fs::read_to_string(root.join("docs/compatibility.md"))
        .unwrap()
        .lines()
        .filter_map(|line| Some(line.strip_prefix("| D")?.split_once(' ')?.0.to_owned()))
        .collect();
    assert!(documented.len() > 40, "{documented:?}");
    let files = ["src", "tests/it"].map(|folder| rust_files(&root.join(folder)));
    let mut cited = 0;
    for file in files.iter().flatten() {
        let text = fs::read_to_string(file).unwrap();
        for mark in ["eviation D", "(D"] {
            for (_, behind) in text
                .match_indices(mark)
                .map(|(at, _)| text.split_at(at + mark.len()))
            {
                let number: String = behind.chars().take_while(char::is_ascii_digit).collect();
                if !number.is_empty() {
                    cited += 1;
                    assert!(
                        documented.contains(&number),
                        "{}: D{number}",
                        file.display()
                    );
                }
            }
        }
    }
    assert!(cited > 15, "{cited}");
}

#[test]
fn handlers_do_not_know_the_engine() {
    let folder = src().join("api");
    for file in rust_files(&folder) {
        let text = fs::read_to_string(&file).unwrap();
        assert!(!text.contains("Engine"), "{}", file.display());
    }
}

#[test]
fn programs_are_short() {
    let folder = src().join("bin");
    for file in rust_files(&folder) {
        let lines = fs::read_to_string(&file).unwrap().lines().count();
        assert!(lines <= 20, "{} has {lines} lines", file.display());
    }
}
