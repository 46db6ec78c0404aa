//! `--verify`: what was imported is shown as it was, and whatever is not is found.

use std::fs;

use serde_json::{Map, Value, json};

use super::{Imported, KINDS, PROJECT, USER, action, dump, hit, import, job, lines};
use crate::migrations::schema::texts;
use crate::support::Service;

/// Every document is shown as it was, merged or left.
#[track_caller]
pub(super) fn is_clean(verified: &Imported, name: &str) {
    assert!(verified.success, "{name}: {}", verified.text);
    let mut same = 0;
    for kind in KINDS {
        let [read, counted @ ..] = verified.counts(kind);
        assert_eq!(
            read,
            counted.iter().sum::<u64>(),
            "{name}: {}",
            verified.text
        );
        let [shown, merged, left, deleted, differing] = counted;
        assert_eq!(
            (left, deleted, differing),
            (0, 0, 0),
            "{name}: {}",
            verified.text
        );
        assert!(
            merged == 0 || kind == "clients",
            "{name}: {}",
            verified.text
        );
        same += shown;
    }
    assert!(same > 10, "{name}: {}", verified.text);
}

/// How many documents differ, and the lines that name them.
fn differing(verified: &Imported) -> (u64, Vec<&str>) {
    assert!(!verified.success, "{}", verified.text);
    let number = KINDS.map(|kind| verified.counts(kind)[5]).iter().sum();
    let lines = verified
        .text
        .lines()
        .skip_while(|line| *line != "differences:")
        .skip(1);
    (
        number,
        lines
            .take_while(|line| line.starts_with("  freezer"))
            .map(str::trim)
            .collect(),
    )
}

/// Changes the leaf with this number of a document, counted round; what it was called.
fn change(document: &mut Value, number: usize) -> Option<String> {
    let mut paths = Vec::new();
    leaves(document, String::new(), &mut paths);
    // What a copy in a job says of its own origin is nothing of the job's.
    let is_origin = |path: &str| {
        let in_entry = path.starts_with("/job_actions/");
        in_entry
            && ["user_id", "project_id", "mandatory"].contains(&path.rsplit('/').next().unwrap())
    };
    paths.retain(|path| !is_origin(path) && path != "/_version");
    let path = paths.get(number % paths.len().max(1))?.clone();
    let value = document.pointer_mut(&path).unwrap();
    *value = match value.take() {
        Value::String(text) => json!(format!("{text}x")),
        Value::Number(number) => json!(number.as_f64().unwrap() as i64 + 1),
        Value::Bool(flag) => json!(!flag),
        _ => json!("was null"),
    };
    Some(path)
}

fn leaves(value: &Value, path: String, paths: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                let key = key.replace('~', "~0").replace('/', "~1");
                leaves(value, format!("{path}/{key}"), paths);
            }
        }
        Value::Array(items) => {
            for (at, value) in items.iter().enumerate() {
                leaves(value, format!("{path}/{at}"), paths);
            }
        }
        _ => paths.push(path),
    }
}

on_each_engine! {
    async fn each_change_of_a_document_is_found(database: Database) {
        let _service = Service::start(&database).await;
        let rule = format!("{USER}={PROJECT}");
        for name in ["es2-mixed", "es1-2.0.0", "os2-19.0.0"] {
            import(&database, &dump(name), &["--project", &rule]).succeeds();
            let text = fs::read_to_string(dump(name)).unwrap();
            for round in 0..6 {
                let mut planted = Vec::new();
                let mut documents: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
                for (at, document) in documents.iter_mut().enumerate() {
                    let id = document["_id"].as_str().unwrap().to_owned();
                    // One in ten, so that what they refer to is as it was.
                    if at % 10 == round {
                        let path = change(&mut document["_source"], at / 10 + round);
                        planted.extend(path.map(|path| (id, path)));
                    }
                }
                let (_folder, file) = lines(&documents);
                let verified = import(&database, &file, &["--project", &rule, "--default-project", PROJECT, "--verify"]);
                let (_, found) = differing(&verified);
                for (id, path) in &planted {
                    let named = format!("/{id}: ");
                    assert!(found.iter().any(|line| line.contains(&named)), "{name} {id} {path}: {}", verified.text);
                }
                assert!(planted.len() > 5, "{planted:?}");
                // A client of another name leaves its further registrations without one.
                let names = planted.iter().filter(|(_, path)| path == "/client/client_id").count();
                assert!(found.len() == planted.len() || names > 0, "{name} {planted:?}: {}", verified.text);
            }
        }
    }

    async fn what_the_api_shows_otherwise_is_named(database: Database) {
        let service = Service::start(&database).await;
        service.client("c").await;
        let backup = |id: &str| hit("backups", id, json!({"backup_id": id, "user_id": "u", "project_id": "p1", "backup_metadata": {"a": [1]}, "odd": 1}));
        let (_folder, file) = lines(&[
            job("j1", action("a1", json!({"action": "exec"}))),
            job("j2", action("a2", json!({"action": "exec"}))),
            job("j3", action("a3", json!({"action": "exec"}))),
            backup("b1"),
            backup("b2"),
            hit("configs", "x", json!({"config": 1})),
        ]);
        import(&database, &file, &[]).succeeds();
        let clean = import(&database, &file, &["--verify"]);
        clean.says("the API shows every document as it was");
        assert!(clean.success, "{}", clean.text);
        service.patch("jobs/j1", json!({"description": "changed"})).await.expect(200);
        service.patch("actions/a2", json!({"freezer_action": {"mode": "fs"}, "max_retries": 3})).await.expect(200);
        service.delete("jobs/j3").await.expect(204);
        database.run("UPDATE backups SET backup_metadata = '{\"a\": [2]}' WHERE id = 'b1'".to_owned()).await;
        database.run("DELETE FROM freezer_api_leftovers WHERE row_id = 'b2' OR table_name = 'configs'".to_owned()).await;
        let verified = import(&database, &file, &["--verify"]);
        let (number, found) = differing(&verified);
        assert_eq!(number, 4, "{}", verified.text);
        assert_eq!(found, [
            "freezer/jobs/j1: user_id, description",
            "freezer/jobs/j2: job_actions[0].max_retries, job_actions[0].freezer_action.mode",
            "freezer/backups/b1: backup_metadata.a",
            "freezer/backups/b2: odd",
            "freezer/configs/x: it is not among the leftovers",
        ]);
        assert_eq!(verified.counts("jobs"), [3, 0, 0, 0, 1, 2], "{}", verified.text);
        verified.says("the API does not show 5 documents as they were");
    }

    async fn what_was_not_imported_is_missing(database: Database) {
        let _service = Service::start(&database).await;
        let documents = [
            job("j1", action("a1", json!({"action": "exec"}))),
            hit("clients", "x", json!({"client": {"client_id": "not a name"}, "user_id": "u", "project_id": "p1"})),
        ];
        let (_folder, file) = lines(&documents);
        let (number, found) = {
            let verified = import(&database, &file, &["--verify"]);
            assert_eq!(texts(&database, "SELECT id FROM jobs").await, [""; 0]);
            let (number, found) = differing(&verified);
            (number, found.into_iter().map(str::to_owned).collect::<Vec<_>>())
        };
        let missing = "and is not among the leftovers";
        assert_eq!(number, 2);
        assert_eq!(found, [format!("freezer/clients/x: it is no row, {missing}"), format!("freezer/jobs/j1: it is not there, {missing}")]);
        import(&database, &file, &[]);
        let verified = import(&database, &file, &["--verify"]);
        assert!(verified.success, "{}", verified.text);
        assert_eq!(verified.counts("clients"), [1, 0, 0, 1, 0, 0]);
    }
}

#[test]
fn the_planted_changes_reach_every_leaf() {
    let document = json!({"a": {"b/c": [1, null]}, "d": "e"});
    let changed: Vec<Option<String>> = (0..3)
        .map(|number| change(&mut document.clone(), number))
        .collect();
    assert_eq!(
        changed,
        ["/a/b~1c/0", "/a/b~1c/1", "/d"].map(|path| Some(path.to_owned()))
    );
    assert_eq!(change(&mut Value::Object(Map::new()), 0), None);
}
