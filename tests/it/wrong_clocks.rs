//! One node whose clock is years ahead: what it has written does not mislead the others, nor itself once its clock is right again.

use std::time::Duration;

use freezer_api::clock::Clock;
use freezer_api::service::SeriesKeeper;
use freezer_api::store::HeldLease;
use serde_json::{Value, json};

use crate::client_activity::{poll, write};
use crate::plans::{numbered, numbers};
use crate::support::api::START;
use crate::support::{Database, Engine, Service};

const YEARS: i64 = 10 * 365 * 86_400;

/// A node whose clock is right, and one whose clock is not.
async fn nodes(database: &Database) -> [Service; 2] {
    let nodes = [
        Service::start(database).await,
        Service::start(database).await,
    ];
    nodes[1].clock.advance(YEARS);
    nodes
}

async fn hold(service: &Service, holder: &str) -> Option<HeldLease> {
    let catalogue = &service.api.catalogue;
    let held = catalogue.hold_lease("rounds", holder.to_owned(), 20).await;
    held.unwrap()
}

async fn keep(service: &Service, keeper: &mut SeriesKeeper) {
    while !service.api.catalogue.keep_series(keeper).await.unwrap() {}
}

async fn back_up(service: &Service, name: &str) {
    let metadata = json!({"backup_name": name, "container": "/b", "hostname": "host1", "storage": "local", "mode": "fs"});
    service.created("backups", metadata, "backup_id").await;
}

/// More old backups than are looked at again at once.
async fn fill(database: &Database) {
    let engine = database.engine();
    let created = match engine {
        Engine::Sqlite => "'2023-01-01 00:00:00.000000'",
        Engine::MySql | Engine::Postgres => "'2023-01-01 00:00:00'",
    };
    let insert = format!(
        "INSERT INTO backups (id, project_id, user_id, status, backup_metadata, deleted, created_at) SELECT {}, 'p1', 'u', \
         'available', '{{\"backup_name\":\"old\"}}', FALSE, {created} FROM {}",
        numbered(engine, "id", "n", ""),
        numbers(engine, 600)
    );
    database.run(insert).await;
}

on_each_engine! {
    async fn nobody_waits_for_years_for_a_lease(database: Database) {
        let [right, wrong] = &nodes(&database).await;
        assert_eq!(hold(wrong, "wrong").await, Some(HeldLease { since: START + YEARS }));
        // Who holds it next has heard nothing yet that was said before, and above all nothing of the years to come.
        let now = Some(HeldLease { since: START });
        assert_eq!(hold(right, "right").await, now);
        right.clock.advance(5);
        assert_eq!(hold(right, "right").await, now);
        assert!(hold(wrong, "wrong").await.is_some());
        wrong.clock.advance(5 - YEARS);
        assert_eq!(hold(wrong, "wrong").await, Some(HeldLease { since: START + 5 }));
        assert_eq!(hold(right, "right").await, None);
    }

    async fn a_poll_of_years_to_come_hides_no_silence(database: Database) {
        let [right, wrong] = &nodes(&database).await;
        right.client("host1").await;
        let last = async |time: i64| {
            database.rows("freezer_api_client_activity", &format!("last_poll_at = {time}")).await == 1
        };
        for (node, time) in [(wrong, START + YEARS), (right, START)] {
            poll(node, "host1").await;
            write(node).await;
            assert!(last(time).await, "{time}");
        }
        // What is only written late is not later.
        right.clock.advance(3600);
        poll(right, "host1").await;
        wrong.clock.advance(-YEARS);
        poll(wrong, "host1").await;
        write(right).await;
        write(wrong).await;
        assert!(last(START + 3600).await);
    }

    async fn nothing_is_removed_before_its_time(database: Database) {
        if database.engine() == Engine::Sqlite {
            return;
        }
        // The database server's clock is the system's.
        let service = Service::start(&database).await;
        let today = Clock::System.timestamp();
        service.clock.advance(today - START);
        database.run(format!(
            "INSERT INTO freezer_api_runs (id, job_id, client_id, state, attempts, started_at) VALUES \
             ('new', 'j', 'c', 'success', 1, {}), ('old', 'k', 'c', 'success', 1, {})",
            today - 86_400,
            today - 100 * 86_400
        )).await;
        let day = today / 86_400;
        for day in [day - 1, day - 100] {
            database.run(format!("INSERT INTO freezer_api_run_days VALUES ('p1', {day}, 'fail', 1, 0, 0)")).await;
        }
        service.client("host1").await;
        service.delete("clients/host1").await.expect(204);
        service.clock.advance(YEARS);
        let catalogue = &service.api.catalogue;
        assert_eq!(catalogue.forget_runs(Duration::from_secs(90 * 86_400)).await.unwrap(), 1);
        assert_eq!(database.rows("freezer_api_runs", "id = 'new'").await, 1);
        assert_eq!(catalogue.forget_days(90).await.unwrap(), 1);
        let deleted = catalogue.store.purgeable(time::Duration::days(30)).await.unwrap();
        assert!(deleted.iter().all(|table| table.rows == 0), "{deleted:?}");
        catalogue.store.purge(time::Duration::days(30), 100, &mut |_| {}).await.unwrap();
        assert_eq!(database.rows("clients", "deleted = TRUE").await, 1);
    }

    async fn a_backup_of_years_to_come_delays_no_series(database: Database) {
        let [right, wrong] = &nodes(&database).await;
        fill(&database).await;
        let has = async |name: &str| {
            database.rows("freezer_api_series", &format!("backup_name = '{name}' AND backups = 1")).await == 1
        };
        let mut keeper = SeriesKeeper::default();
        keep(right, &mut keeper).await;
        back_up(wrong, "ahead").await;
        keep(right, &mut keeper).await;
        assert!(has("ahead").await);
        right.clock.advance(600);
        back_up(right, "next").await;
        keep(right, &mut keeper).await;
        assert!(has("next").await);
        right.clock.advance(600);
        back_up(right, "last").await;
        keep(right, &mut SeriesKeeper::default()).await;
        assert!(has("last").await);
        let series = right.get("report/series?limit=50").await.expect(200).json();
        let names: Vec<&Value> = series["series"].as_array().unwrap().iter().map(|one| &one["backup_name"]).collect();
        assert_eq!(names, ["ahead", "last", "next", "old"]);
    }
}
