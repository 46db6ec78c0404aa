//! Who may do what: the golden table, and the same table by the real oslo.policy with the reference's own rules.
//!
//! `UPDATE_GOLDEN=1` rewrites the table; its difference is then to be read like any other change.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::fmt::Write as _;
use std::path::Path;

use freezer_api::authz::policy_credentials;
use freezer_api::authz::rules::DEFAULTS;
use freezer_api::keystone::context_of_token;
use freezer_api::oslo::policy::{Credentials, Enforcer, Identity, Options, Scope};
use serde_json::{Map, Value, json};

use crate::policy_oracle::ask;
use crate::support::python;

/// A column of the table: its heading, and the roles that Keystone writes into the token of such a user. Keystone implies
/// manager from admin, member from manager, reader from member. A project-scoped token always has some role, so one with
/// "no role" has one that no rule knows.
const COLUMNS: [(&str, &[&str]); 6] = [
    ("admin", &["admin", "manager", "member", "reader"]),
    ("manager", &["manager", "member", "reader"]),
    ("member", &["member", "reader"]),
    ("reader", &["reader"]),
    ("service", &["service"]),
    ("none", &["auditor"]),
];

const TOKENS: [&str; 4] = ["project", "domain", "system", "unscoped"];

/// One cell of the table: a rule asked about a target with credentials.
struct Cell {
    rule: &'static str,
    target: Map<String, Value>,
    credentials: Credentials,
}

/// The token of a user of project `own` as Keystone's `GET /v3/auth/tokens` answers.
fn token(scope: &str, roles: &[&str]) -> Value {
    // An unscoped token carries no roles, whatever the user has where.
    let roles = if scope == "unscoped" { &[] } else { roles };
    let mut token = json!({
        "user": {"id": "3b9d1c", "name": "ann", "domain": {"id": "default", "name": "Default"}},
        "methods": ["password"],
        "issued_at": "2026-11-25T20:00:00.000000Z",
        "expires_at": "2026-11-25T21:00:00.000000Z",
        "roles": roles.iter().map(|name| json!({"id": format!("id-{name}"), "name": name})).collect::<Vec<_>>(),
    });
    match scope {
        "project" => {
            token["project"] = json!({"id": "own", "domain": {"id": "default", "name": "Default"}})
        }
        "domain" => token["domain"] = json!({"id": "default", "name": "Default"}),
        "system" => token["system"] = json!({"all": true}),
        _ => {}
    }
    token
}

/// Whether the reference has a rule too.
fn is_shared(rule: &str) -> bool {
    !rule.starts_with("report:")
}

/// The credentials with which the service asks its rules for a caller with this token.
fn credentials(token: &Value) -> Credentials {
    let answer = json!({"token": token}).to_string();
    policy_credentials(&context_of_token(answer.as_bytes()).unwrap())
}

/// All cells, in the order of the table.
fn cells() -> Vec<Cell> {
    let mut cells = Vec::new();
    for default in DEFAULTS {
        for scope in TOKENS {
            for project in ["own", "other"] {
                for (_, roles) in COLUMNS {
                    let target = Map::from_iter([("project_id".to_owned(), Value::from(project))]);
                    let credentials = credentials(&token(scope, roles));
                    cells.push(Cell {
                        rule: default.name,
                        target,
                        credentials,
                    });
                }
            }
        }
    }
    cells
}

fn our_answers() -> Vec<bool> {
    let enforcer = Enforcer::new(DEFAULTS, Options::default()).unwrap();
    let answer = |cell: &Cell| {
        enforcer
            .authorize(cell.rule, &cell.target, &cell.credentials)
            .is_allowed()
    };
    cells().iter().map(answer).collect()
}

fn table(answers: &[bool]) -> String {
    let mut out = format!("{:<28}{:<10}{:<9}", "rule", "token", "project");
    for (name, _) in COLUMNS {
        write!(out, "{name:<9}").unwrap();
    }
    let mut rows = answers.chunks(COLUMNS.len());
    for default in DEFAULTS {
        out.push('\n');
        for scope in TOKENS {
            for project in ["own", "other"] {
                write!(out, "\n{:<28}{scope:<10}{project:<9}", default.name).unwrap();
                for allowed in rows.next().unwrap() {
                    write!(out, "{:<9}", if *allowed { "yes" } else { "-" }).unwrap();
                }
            }
        }
    }
    let lines: Vec<&str> = out.lines().map(str::trim_end).collect();
    lines.join("\n") + "\n"
}

#[test]
fn the_matrix_is_the_golden_one() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/golden/authz_matrix.txt");
    let table = table(&our_answers());
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &table).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    let differences: Vec<String> = golden
        .lines()
        .zip(table.lines())
        .filter(|(golden, ours)| golden != ours)
        .map(|(golden, ours)| format!("golden {golden}\nnow    {ours}"))
        .collect();
    assert!(
        golden == table,
        "the authorization matrix changed:\n{}",
        differences.join("\n")
    );
}

#[test]
#[ignore = "needs Python with the reference: ./test installs it"]
fn each_cell_is_what_oslo_policy_answers_with_the_rules_of_the_reference() {
    let python = python();
    let mut cells = cells();
    let mut ours = our_answers();
    let is_shared: Vec<bool> = cells.iter().map(|cell| is_shared(cell.rule)).collect();
    let mut at = is_shared.iter();
    cells.retain(|_| *at.next().unwrap());
    let mut at = is_shared.iter();
    ours.retain(|_| *at.next().unwrap());
    let question = |cell: &Cell| {
        let mut credentials = cell.credentials.values().clone();
        if cell.credentials.scope() == Scope::Domain {
            // The reference's context keeps the domain from oslo.policy, which then takes the token for a project's.
            credentials.insert("domain_id".to_owned(), "default".into());
        }
        json!({"service": true, "rule": cell.rule, "target": cell.target, "creds": credentials})
    };
    let questions: Vec<Value> = cells.iter().map(question).collect();
    let theirs = ask(&python, &questions);
    for ((cell, ours), theirs) in cells.iter().zip(&ours).zip(&theirs) {
        let asked = format!("{} {:?} {:?}", cell.rule, cell.target, cell.credentials);
        assert_eq!(Some(*ours), theirs["result"].as_bool(), "{asked}: {theirs}");
    }
    eprintln!(
        "{} cells equal, {} of them allowed",
        ours.len(),
        ours.iter().filter(|allowed| **allowed).count()
    );
}

/// The credentials key by key against those that keystonemiddleware and the reference's context make of the same token.
#[test]
#[ignore = "needs Python with the reference: ./test installs it"]
fn credentials_are_those_that_the_reference_gives_oslo_policy() {
    let python = python();
    let tokens: Vec<Value> = TOKENS
        .iter()
        .flat_map(|scope| COLUMNS.map(|(_, roles)| token(scope, roles)))
        .collect();
    let questions: Vec<Value> = tokens.iter().map(|token| json!({"token": token})).collect();
    for (token, answer) in tokens.iter().zip(ask(&python, &questions)) {
        let mut theirs = answer["creds"].as_object().unwrap().clone();
        // Secrets, and what differs in each request.
        for key in ["auth_token", "request_id", "global_request_id"] {
            assert!(theirs.remove(key).is_some(), "{key} is not in {answer}");
        }
        // Never filled by the reference.
        let system = token.get("system").map(|_| "all");
        assert_eq!(
            theirs.insert("system_scope".to_owned(), system.into()),
            Some(Value::Null)
        );
        theirs.extend(system.map(|all| ("system".to_owned(), all.into())));
        // An empty header is a list of one empty name.
        if theirs["roles"] == json!([""]) {
            theirs.insert("roles".to_owned(), json!([]));
        }
        let ours = credentials(token).values().clone();
        assert_eq!(Value::Object(ours), Value::Object(theirs), "{token}");
    }
}

#[test]
#[ignore = "needs Python with the reference: ./test installs it"]
fn the_default_rules_are_those_of_the_reference() {
    let python = python();
    let answers = ask(&python, &[json!({"defaults": true})]);
    let mut theirs = answers[0]["defaults"].as_array().unwrap().clone();
    let describe = |default: &freezer_api::oslo::policy::RuleDefault| {
        let scope_types: Vec<&str> = default
            .scope_types
            .iter()
            .map(|scope| scope.name())
            .collect();
        json!({"name": default.name, "check": default.check, "scope_types": scope_types})
    };
    let shared = DEFAULTS.iter().filter(|default| is_shared(default.name));
    let mut ours: Vec<Value> = shared.map(describe).collect();
    for rules in [&mut ours, &mut theirs] {
        rules.sort_by_key(|rule| rule["name"].as_str().unwrap().to_owned());
    }
    assert_eq!(ours, theirs);
}
