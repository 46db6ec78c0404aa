//! `freezer-manage import elasticsearch`. The dumps in `tests/fixtures/elasticsearch` are parts of real ones: written by
//! freezer-api 2.0.0 to 15.0.0 into Elasticsearch 1.7 and 2.4, and carried to OpenSearch 2.19 in the layouts without types.

mod clusters;
mod hostile;
mod kills;
mod roles;
mod secured;
mod verify;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use tempfile::TempDir;

use crate::migrations::schema::texts;
use crate::support::api::contains;
use crate::support::process::{manage, manage_with};
use crate::support::{Database, Service};

/// The project of all documents in the dumps, and the user of most.
const PROJECT: &str = "ffffffffffffffffffffffffffffffff";
const USER: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

/// The dumps, and how many documents of freezer's each has.
const DUMPS: [&str; 10] = [
    "es2-mixed",
    "os2-field",
    "os2-kinds",
    "os2-bare",
    "es1-2.0.0",
    "es2-3.0.0",
    "es2-4.0.0",
    "es2-v1",
    "es2-v2",
    "os2-19.0.0",
];

fn dump(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/elasticsearch");
    folder.join(format!("{name}.jsonl"))
}

/// What an import printed, whether it succeeded, and the documents that it left.
struct Imported {
    text: String,
    success: bool,
    left: Vec<Value>,
}

impl Imported {
    /// The counts of a kind: read, written, merged, there, differing, left.
    #[track_caller]
    fn counts(&self, kind: &str) -> [u64; 6] {
        let of_kind = |line: &str| {
            let (name, counts) = line.split_once(' ')?;
            let counts: Vec<u64> = counts
                .split_whitespace()
                .map(str::parse)
                .collect::<Result<_, _>>()
                .ok()?;
            (name == kind).then(|| counts.try_into().ok())?
        };
        let counts = self.text.lines().find_map(of_kind);
        counts.unwrap_or_else(|| panic!("no counts of {kind}: {}", self.text))
    }

    #[track_caller]
    fn succeeds(self) -> Imported {
        assert!(self.success, "{}", self.text);
        for kind in KINDS {
            let [read, counted @ ..] = self.counts(kind);
            assert_eq!(read, counted.iter().sum::<u64>(), "{}", self.text);
        }
        self
    }

    #[track_caller]
    fn says(&self, words: &str) {
        assert!(self.text.contains(words), "{words}:\n{}", self.text);
    }
}

const KINDS: [&str; 5] = ["clients", "actions", "jobs", "sessions", "backups"];

/// Imports a file.
fn import(database: &Database, file: &Path, more: &[&str]) -> Imported {
    let source = ["--file", file.to_str().unwrap()];
    run(database, &[&source, more].concat())
}

/// Imports what the arguments say.
fn run(database: &Database, arguments: &[&str]) -> Imported {
    run_with(&database.configuration(), arguments, &[])
}

/// The same with this configuration and variables in the environment.
fn run_with(configuration: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Imported {
    let folder = tempfile::tempdir().unwrap();
    let leftovers = folder.path().join("left.jsonl");
    let mut all = vec!["import", "elasticsearch"];
    if !arguments.contains(&"--verify") {
        all.extend(["--leftovers", leftovers.to_str().unwrap()]);
    }
    all.extend(arguments);
    let output = manage_with(configuration, &all, variables);
    let parts = [&output.stdout, &output.stderr];
    let left = fs::read_to_string(&leftovers);
    if let Ok(left) = &left {
        assert!(!left.is_empty(), "an empty file of leftovers stays");
    }
    Imported {
        text: parts.map(|part| String::from_utf8_lossy(part)).concat(),
        success: output.status.success(),
        left: left
            .unwrap_or_default()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect(),
    }
}

/// A file with these documents.
fn lines(documents: &[Value]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("dump.jsonl");
    let text: Vec<String> = documents.iter().map(Value::to_string).collect();
    fs::write(&file, text.join("\n")).unwrap();
    (folder, file)
}

fn hit(kind: &str, id: &str, source: Value) -> Value {
    json!({"_index": "freezer", "_type": kind, "_id": id, "_source": source})
}

/// An object without members that are null.
fn said(value: &Value) -> Value {
    let members = value.as_object().unwrap().iter();
    let said = members.filter(|(_, value)| !value.is_null());
    Value::Object(
        said.map(|(key, value)| (key.clone(), value.clone()))
            .collect(),
    )
}

/// What is shown of an action, registered or in a job.
fn shown_action(action: &Value) -> Value {
    let retries = |key: &str, old: i64| action.get(key).cloned().unwrap_or(json!(old));
    json!({
        "freezer_action": said(&action["freezer_action"]),
        "max_retries": retries("max_retries", 0),
        "max_retries_interval": retries("max_retries_interval", 60),
    })
}

/// The collection, the id and what `GET` has to show of a document; `None` for clients and what is not freezer's.
fn expected(source: &Value) -> Option<(&'static str, String, Value)> {
    let id = |key: &str| source[key].as_str().unwrap().to_owned();
    let mut shown = Map::new();
    let mut take = |keys: &[&str]| {
        for key in keys {
            if let Some(value) = source.get(*key) {
                shown.insert((*key).to_owned(), value.clone());
            }
        }
    };
    if source.get("backup_metadata").is_some() {
        take(&["user_id", "status", "backup_metadata"]);
        let key = if source.get("backup_uuid").is_some() {
            "backup_uuid"
        } else {
            "backup_id"
        };
        return Some(("backups", id(key), Value::Object(shown)));
    }
    if source.get("job_schedule").is_some() {
        take(&[
            "user_id",
            "client_id",
            "job_schedule",
            "session_tag",
            "user_credentials",
        ]);
        let actions = source["job_actions"]
            .as_array()
            .unwrap()
            .iter()
            .map(shown_action);
        shown.insert("job_actions".to_owned(), actions.collect());
        let description = source["description"].as_str().unwrap_or_default();
        shown.insert(
            "description".to_owned(),
            description.chars().take(255).collect::<String>().into(),
        );
        return Some(("jobs", id("job_id"), Value::Object(shown)));
    }
    if source.get("freezer_action").is_some() {
        return Some(("actions", id("action_id"), shown_action(source)));
    }
    source.get("session_tag")?;
    take(&[
        "user_id",
        "schedule",
        "session_tag",
        "status",
        "hold_off",
        "description",
        "time_start",
        "time_end",
        "result",
    ]);
    if source["jobs"].is_object() {
        shown.insert("jobs".to_owned(), source["jobs"].clone());
    }
    Some(("sessions", id("session_id"), Value::Object(shown)))
}

/// Checks that the API shows every document of a dump.
async fn shows_all(service: &Service, name: &str) {
    for line in fs::read_to_string(dump(name)).unwrap().lines() {
        let hit: Value = serde_json::from_str(line).unwrap();
        let source = &hit["_source"];
        if let Some(client) = source.get("client") {
            let path = format!(
                "/v2/{PROJECT}/clients/{}",
                client["client_id"].as_str().unwrap()
            );
            let shown = service.get(&path).await.expect(200).json();
            assert_eq!(
                shown["client"]["hostname"], client["hostname"],
                "{name}: {path}"
            );
        } else if let Some((kind, id, expected)) = expected(source) {
            let shown = service
                .get(&format!("/v2/{PROJECT}/{kind}/{id}"))
                .await
                .expect(200)
                .json();
            assert!(
                contains(&shown, &expected),
                "{name}: {shown:#}\nshould contain {expected:#}"
            );
        }
    }
}

on_each_engine! {
    async fn every_layout_becomes_what_the_api_shows(database: Database) {
        let service = Service::start(&database).await;
        let rule = format!("{USER}={PROJECT}");
        for name in DUMPS {
            let first = import(&database, &dump(name), &["--project", &rule]).succeeds();
            // The same documents in another layout are the same rows.
            let is_copy = name.starts_with("os2") && name != "os2-19.0.0";
            for kind in ["actions", "jobs", "sessions", "backups"] {
                let [read, written, _, there, ..] = first.counts(kind);
                assert_eq!(written + there, read, "{name}: {}", first.text);
                assert!(written == 0 || !is_copy, "{name}: {}", first.text);
                assert!(read > 2, "{name}: {}", first.text);
            }
            let [read, written, merged, there, ..] = first.counts("clients");
            assert_eq!(written + merged + there, read, "{}", first.text);
            // Each one of these locks counts up.
            let locks = "SELECT CONCAT_WS('|', client_id, registrations) FROM client_registrations ORDER BY client_id";
            let before = texts(&database, locks).await;
            let again = import(&database, &dump(name), &["--project", &rule]).succeeds();
            for kind in KINDS {
                assert_eq!(again.counts(kind)[1], 0, "{name}: {}", again.text);
            }
            assert_eq!(texts(&database, locks).await, before, "{name}");
            assert_eq!(first.left.len(), again.left.len(), "{name}");
            verify::is_clean(&import(&database, &dump(name), &["--project", &rule, "--verify"]), name);
            shows_all(&service, name).await;
        }
        // One registration of each client is a row, whoever registered it how often.
        let names = texts(&database, "SELECT client_id FROM clients").await;
        assert_eq!(names.len(), names.iter().collect::<BTreeSet<_>>().len());
        let foreign = texts(&database, "SELECT value FROM freezer_api_leftovers WHERE table_name = 'configs'").await;
        assert!(foreign[0].contains("config_id"), "{foreign:?}");
    }

    async fn a_dry_run_writes_nothing_and_counts_the_same(database: Database) {
        let service = Service::start(&database).await;
        let rule = format!("{USER}={PROJECT}");
        let arguments = ["--project", &rule, "--dry-run"];
        let dry = import(&database, &dump("es2-3.0.0"), &arguments).succeeds();
        assert_eq!(texts(&database, "SELECT id FROM jobs").await, [""; 0]);
        assert_eq!(texts(&database, "SELECT row_id FROM freezer_api_leftovers").await, [""; 0]);
        let real = import(&database, &dump("es2-3.0.0"), &arguments[..2]).succeeds();
        for kind in KINDS {
            assert_eq!(dry.counts(kind), real.counts(kind), "{}{}", dry.text, real.text);
        }
        drop(service);
    }

    async fn nothing_is_written_while_a_document_has_no_project(database: Database) {
        let _service = Service::start(&database).await;
        let refused = import(&database, &dump("es2-v1"), &[]);
        assert!(!refused.success);
        refused.says(&format!("--project {USER}={PROJECT}  (the only project of the user's other documents)"));
        refused.says("nothing was written");
        assert_eq!(texts(&database, "SELECT id FROM jobs").await, [""; 0]);
        let folder = tempfile::tempdir().unwrap();
        let rules = folder.path().join("projects");
        fs::write(&rules, format!("# who\n\n{USER} = {PROJECT} # LDAP\n")).unwrap();
        import(&database, &dump("es2-v1"), &["--projects-file", rules.to_str().unwrap()]).succeeds();
        let projects = texts(&database, "SELECT DISTINCT project_id FROM backups").await;
        assert_eq!(projects, [PROJECT]);
    }
}

/// A job with one action.
fn job(id: &str, action: Value) -> Value {
    let body = json!({"job_id": id, "client_id": "c", "user_id": "u", "project_id": "p1", "job_schedule": {"time_created": 1_450_000_000},
        "job_actions": [action]});
    hit("jobs", id, body)
}

fn action(id: &str, freezer_action: Value) -> Value {
    json!({"action_id": id, "user_id": "u", "project_id": "p1", "freezer_action": freezer_action})
}

on_each_engine! {
    async fn a_job_runs_the_copies_that_its_scheduler_ran(database: Database) {
        let service = Service::start(&database).await;
        let path = format!("/srv/{}", "é".repeat(300));
        let now = json!({"action": "backup", "container": "new"});
        let then = json!({"action": "backup", "container": "old"});
        let (_folder, file) = lines(&[
            hit("actions", "a1", action("a1", now.clone())),
            hit("actions", "other", json!({"action_id": "other", "user_id": "u", "project_id": "p2", "freezer_action": then})),
            job("same", action("a1", json!({"container": "new", "action": "backup"}))),
            job("differs", action("a1", then.clone())),
            job("gone", action("a2", json!({"action": "backup", "path_to_backup": path}))),
            job("foreign", action("other", then.clone())),
            job("nameless", json!({"freezer_action": {"action": "exec"}, "max_retries": 2})),
            job(&"long".repeat(10), action(&"long".repeat(10), json!({"action": "exec"}))),
            job("broken", json!("no object")),
        ]);
        let imported = import(&database, &file, &[]).succeeds();
        imported.says("an entry of job_actions is no object");
        let shown = async |id: &str| service.get(&format!("jobs/{id}")).await.expect(200).json()["job_actions"].take();
        let ids = |shown: &Value| shown[0]["action_id"].as_str().unwrap().to_owned();
        assert_eq!(ids(&shown("same").await), "a1");
        let differs = shown("differs").await;
        assert_ne!(ids(&differs), "a1");
        assert_eq!(differs[0]["freezer_action"]["container"], "old");
        assert_eq!((&differs[0]["max_retries"], &differs[0]["max_retries_interval"]), (&json!(0), &json!(60)));
        let gone = shown("gone").await;
        assert_eq!((ids(&gone), &gone[0]["freezer_action"]["path_to_backup"]), ("a2".to_owned(), &json!(path)));
        assert_ne!(ids(&shown("foreign").await), "other");
        assert_eq!(shown("nameless").await[0]["max_retries"], 2);
        assert_eq!(shown("broken").await, json!([]));
        // What is too long for a column lies in the document alone, and stays there.
        service.patch("actions/a2", json!({"freezer_action": {"container": "c"}})).await.expect(200);
        let patched = service.get("actions/a2").await.expect(200).json();
        assert_eq!(patched["freezer_action"]["path_to_backup"], path);
        assert_eq!(patched["freezer_action"]["container"], "c");
        let again = import(&database, &file, &[]);
        assert_eq!(again.counts("jobs"), [7, 0, 0, 7, 0, 0], "{}", again.text);
        let renamed = texts(&database, "SELECT id FROM jobs WHERE LENGTH(id) = 32").await;
        assert_eq!(renamed.len(), 1);
        succeeds_check(&database);
    }

    async fn what_cannot_be_a_row_is_kept_and_told(database: Database) {
        let service = Service::start(&database).await;
        let backup = |id: &str, body: Value| {
            let mut source = json!({"backup_id": id, "user_id": "u", "project_id": "p1"});
            source.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
            hit("backups", id, source)
        };
        let good = json!({"backup_name": "b", "job_id": "j".repeat(40), "time_stamp": "1450000000"});
        let documents = [
            backup("b1", json!({"backup_metadata": good, "user_name": "Ünï", "status": "odd", "job_id": "j2"})),
            backup("b2", json!({"backup_metadata": [1]})),
            backup("b3", json!({"backup_metadata": {}, "user_id": "u".repeat(65)})),
            hit("sessions", "s1", json!({"session_id": "s1", "user_id": "u", "project_id": "p1", "schedule": {"unheard": 1}, "session_tag": 1})),
            hit("configs", "1", json!({"config": {"a": 1}})),
            hit("clients", "x", json!({"client": {"client_id": "not a name"}, "user_id": "u", "project_id": "p1"})),
        ];
        let (_folder, file) = lines(&documents);
        for _ in 0..2 {
            let imported = import(&database, &file, &[]);
            assert!(!imported.success);
            imported.says("the count adds up, but 4 documents are not in the tables as they were read");
            assert_eq!(imported.left.len(), 5, "{}", imported.text);
            let left = imported.left.iter().find(|left| left["_id"] == "b3").unwrap();
            assert_eq!(left["_source"], documents[2]["_source"]);
            assert_eq!(left["reason"], "user_id does not fit into its column");
            assert_eq!(texts(&database, "SELECT row_id FROM freezer_api_leftovers WHERE column_name = 'document'").await.len(), 5);
        }
        let shown = service.get("backups/b1").await.expect(200).json();
        assert_eq!(shown["backup_metadata"]["job_id"], good["job_id"]);
        assert_eq!((&shown["backup_metadata"]["user_name"], &shown["status"]), (&json!("Ünï"), &json!("available")));
        let kept = texts(&database, "SELECT value FROM freezer_api_leftovers WHERE row_id = 'b1'").await;
        assert_eq!(serde_json::from_str::<Value>(&kept[0]).unwrap(), json!({"status": "odd", "job_id": "j2"}));
        let created = texts(&database, "SELECT SUBSTR(CAST(created_at AS CHAR(26)), 1, 19) FROM backups WHERE id = 'b1'").await;
        assert_eq!(created, ["2015-12-13 09:46:40"]);
    }

    async fn a_client_whose_uuid_another_has_gets_one_of_its_own(database: Database) {
        let _service = Service::start(&database).await;
        let client = |id: &str, name: &str, project: &str| {
            hit("clients", id, json!({"client": {"client_id": name, "uuid": "u1"}, "user_id": "u", "project_id": project}))
        };
        let mut documents = vec![client("a", "one", "p1"), client("b", "two", "p1"), client("c", "one", "p2")];
        let (_folder, file) = lines(&documents);
        documents.reverse();
        let (_other_folder, reversed) = lines(&documents);
        let (dry, import_to) = (["--dry-run"], [""; 0]);
        let mut rows = Vec::new();
        for (file, arguments) in [(&file, &dry[..]), (&file, &import_to), (&reversed, &import_to)] {
            let imported = import(&database, file, arguments).succeeds();
            let renamed: Vec<&Value> = imported.left.iter().map(|left| &left["_id"]).collect();
            assert_eq!(BTreeSet::from_iter(renamed.iter().map(|id| id.as_str().unwrap())), BTreeSet::from(["b", "c"]), "{}", imported.text);
            for left in &imported.left {
                imported.says(left["reason"].as_str().unwrap());
                assert!(left["reason"].as_str().unwrap().starts_with("uuid u1 is another client's; it has "), "{left}");
            }
            let kept = texts(&database, "SELECT value FROM freezer_api_leftovers WHERE table_name = 'clients'").await;
            assert_eq!(kept, vec![json!({"clients id": "u1"}).to_string(); if arguments.is_empty() { 2 } else { 0 }]);
            rows.push(texts(&database, "SELECT id FROM clients ORDER BY id").await);
        }
        assert_eq!((rows[0].len(), rows[1].len()), (0, 3));
        assert_eq!(rows[1], rows[2]);
    }

    async fn what_changed_since_is_told_and_left_alone(database: Database) {
        let service = Service::start(&database).await;
        service.client("c").await;
        let (_folder, file) = lines(&[job("j1", action("a1", json!({"action": "exec"}))), job("j2", action("a1", json!({"action": "exec"})))]);
        import(&database, &file, &[]).succeeds();
        service.patch("jobs/j1", json!({"description": "changed"})).await.expect(200);
        service.delete("jobs/j2").await.expect(204);
        let again = import(&database, &file, &[]);
        assert!(!again.success);
        assert_eq!(again.counts("jobs"), [2, 0, 0, 1, 1, 0], "{}", again.text);
        again.says("left: differs from the row that is there: user_id, description");
        again.says("deleted since it was imported; it stays deleted");
        assert_eq!(service.get("jobs/j1").await.expect(200).json()["description"], "changed");
        service.get("jobs/j2").await.expect(404);
        service.patch("jobs/j1", json!({"job_actions": []})).await.expect(200);
        let over = import(&database, &file, &["--overwrite"]).succeeds();
        assert_eq!(over.counts("jobs"), [2, 1, 0, 1, 0, 0], "{}", over.text);
        over.says("overwritten, since they differed: user_id, description");
        let shown = service.get("jobs/j1").await.expect(200).json();
        assert_eq!((&shown["description"], &shown["job_actions"][0]["action_id"]), (&json!(""), &json!("a1")));
        service.get("jobs/j2").await.expect(404);
    }
}

/// What `db check` finds is nothing of the import's.
fn succeeds_check(database: &Database) {
    let output = manage(&database.configuration(), &["db", "check"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let unexpected = text.lines().filter(|line| {
        !line.contains("its client is not registered") && !line.contains("repaired")
    });
    assert_eq!(unexpected.collect::<Vec<_>>(), [""; 0]);
}

#[tokio::test]
async fn a_line_that_is_no_document_is_told() {
    let database = Database::create(crate::support::Engine::Sqlite).await;
    let _service = Service::start(&database).await;
    let (_folder, file) = lines(&[job("j", json!({})), json!({"freezer": {"mappings": {}}})]);
    let refused = import(&database, &file, &[]);
    assert!(!refused.success);
    refused.says("line 2: missing field `_id`");
}
