//! That the checker finds what is wrong: answers that were tampered with, and databases that lose, mix or do not lock.

use serde_json::{Value, json};

use super::answer::Seen;
use super::history::{Call, check};
use super::operation::{Operation, PROJECTS};
use super::{AFTERWARDS, Plan, call, first_violation, moment, servers};
use crate::support::rows::execute_all;
use crate::support::{Database, Engine};

/// Histories that are tampered with.
const TAMPERED: usize = 30;
/// Histories in which a fault has to show that chance may hide.
const MOST: usize = 400;

/// The documents that an answer shows: the one that was asked for, or those of a list.
fn documents(seen: &mut Value) -> Vec<&mut Value> {
    if seen.get("project_id").is_some() {
        return vec![seen];
    }
    let lists = seen
        .as_object_mut()
        .into_iter()
        .flat_map(|lists| lists.values_mut());
    lists
        .flat_map(|list| list.as_array_mut().unwrap())
        .collect()
}

/// Changes one document that an operation of this kind has shown from a call on, where `tamper` finds something to change.
fn tamper_with(
    mut calls: Vec<Call>,
    from: usize,
    shows: impl Fn(&Operation) -> bool,
    tamper: impl Fn(&mut Value) -> bool,
) -> Option<Vec<Call>> {
    let shown = calls[from..]
        .iter_mut()
        .filter(|call| shows(&call.operation));
    let seen = shown.filter_map(|call| call.answered.as_mut());
    let mut documents = seen.flat_map(|(_, seen)| documents(&mut seen.document));
    documents.any(tamper).then_some(calls)
}

/// The first of the calls that read when all is over.
fn afterwards(calls: &[Call]) -> usize {
    calls.len() - PROJECTS.len() * AFTERWARDS.len()
}

/// A job with the description of one change and the actions of another.
fn tear_a_read(calls: Vec<Call>) -> Option<Vec<Call>> {
    let shows_jobs =
        |operation: &Operation| matches!(operation, Operation::GetJob { .. } | Operation::ListJobs);
    tamper_with(calls, 0, shows_jobs, |job| {
        let has_own = job["job_actions"][0]["command"] == job["description"];
        if has_own {
            job["description"] = json!("v1");
        }
        has_own
    })
}

/// A session, read when all is over, as if its changes had never been.
fn lose_an_update(calls: Vec<Call>) -> Option<Vec<Call>> {
    let end = afterwards(&calls);
    let shows_sessions = |operation: &Operation| matches!(operation, Operation::ListSessions);
    tamper_with(calls, end, shows_sessions, |session| {
        let has_changed = session["project_id"] == "A" && session["description"] != "v2";
        if has_changed {
            session["description"] = json!("v2");
        }
        has_changed
    })
}

/// A list, read once more when all is over, without any of its documents. In its only reading they could be missing, where their
/// deletion was under way with what brought them.
fn lose_all(mut calls: Vec<Call>) -> Option<Vec<Call>> {
    let is_full = |call: &&Call| matches!(&call.answered, Some((_, seen)) if seen.document.as_object().is_some_and(|list| !list.is_empty()));
    let full = calls[afterwards(&calls)..].iter().find(is_full)?;
    let nothing = Seen {
        document: json!({}),
        ..full.answered.clone()?.1
    };
    calls.push(Call {
        sent: moment(),
        answered: Some((moment(), nothing)),
        ..full.clone()
    });
    Some(calls)
}

on_each_engine! {
    async fn answers_that_were_tampered_with_are_found(database: Database) {
        let servers = servers(&database, 2).await;
        let mut found = [0; 3];
        for number in 0..TAMPERED {
            let calls = Plan::new(number).run(&servers).await;
            check(&calls).unwrap_or_else(|violation| panic!("{violation}"));
            // A change that may still come explains much.
            if calls.iter().any(|call| call.answered.is_none()) {
                continue;
            }
            for (found, tamper) in found.iter_mut().zip([tear_a_read, lose_an_update, lose_all]) {
                if let Some(calls) = tamper(calls.clone()) {
                    *found += 1;
                    check(&calls).expect_err("what cannot be was believed");
                }
            }
        }
        assert!(found.iter().all(|found| *found > 3), "{found:?}");
    }

    async fn a_write_that_the_database_forgets_is_found(database: Database) {
        let servers = servers(&database, 2).await;
        let forget = match database.engine() {
            Engine::Sqlite => vec![
                "CREATE TRIGGER forget AFTER UPDATE OF result ON sessions BEGIN \
                 UPDATE sessions SET result = OLD.result WHERE id = NEW.id; END",
            ],
            Engine::MySql => vec!["CREATE TRIGGER forget BEFORE UPDATE ON sessions FOR EACH ROW SET NEW.result = OLD.result"],
            Engine::Postgres => vec![
                "CREATE FUNCTION forget() RETURNS trigger LANGUAGE plpgsql AS \
                 $$ BEGIN NEW.result := OLD.result; RETURN NEW; END $$",
                "CREATE TRIGGER forget BEFORE UPDATE ON sessions FOR EACH ROW EXECUTE FUNCTION forget()",
            ],
        };
        execute_all(&database, forget.into_iter().map(str::to_owned)).await;
        first_violation(&servers, MOST).await.expect("what the database forgets was not missed");
    }

    async fn a_write_past_the_service_is_found(database: Database) {
        let servers = servers(&database, 2).await;
        let plan = Plan { clients: Vec::new(), ..Plan::new(0) };
        let prefix = plan.prefix.clone();
        let mut calls = plan.run(&servers).await;
        execute_all(&database, ["UPDATE sessions SET time_end = 1".to_owned()]).await;
        calls.push(call(&servers[0], &prefix, PROJECTS[0], Operation::ListSessions).await);
        check(&calls).expect_err("nobody asked for it");
    }
}

/// A table without transactions has no row locks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MariaDB: ./test starts it"]
async fn mariadb_without_row_locks_is_found() {
    let database = Database::create(Engine::MySql).await;
    let servers = servers(&database, 2).await;
    let table = "ALTER TABLE sessions ENGINE = Aria".to_owned();
    execute_all(&database, [table]).await;
    first_violation(&servers, MOST)
        .await
        .expect("no change was lost");
}
