//! Members of metadata that have an index are found as all others are: whoever wrote a backup, and however it is written.

use serde_json::{Value, json};

use crate::api_search_random::passes;
use crate::support::{Database, Engine, PROJECT, Service, rows};

const MEMBERS: [&str; 5] = [
    "backup_name",
    "hostname",
    "container",
    "client_id",
    "job_id",
];

/// Metadata with a member in all ways that a writer may have; `blank` is what stands behind a colon.
fn metadata(member: &str, blank: &str) -> Vec<String> {
    let long = |length: usize| format!("\"{}\"", "x".repeat(length));
    let values = [
        "\"wanted\"",
        "\"wanted \"",
        "\" wanted\"",
        "\"wante\"",
        "\"\"",
        "\" \"",
        "\"wanted\\\"\"",
        "\"\\\\wanted\"",
        "\"w\\u00e4nted\"",
        "\"wänted\"",
        "null",
        "5",
        "true",
        "[\"wanted\"]",
        "{\"x\":\"wanted\"}",
        &format!("{{\"{member}\":{blank}\"wanted\"}}"),
        &format!("\"\\\"{member}\\\":\\\"wanted\\\"\""),
        &long(126),
        &long(127),
        &long(128),
        &long(400),
    ]
    .map(str::to_owned);
    let name = |value: &String| format!("\"{member}\":{blank}{value}");
    let mut all = Vec::new();
    for value in &values {
        let one = name(value);
        all.push(format!("{{{one}}}"));
        all.push(format!(
            "{{\"mode\":{blank}\"é😀\", {one}, \"level\":{blank}0}}"
        ));
        all.push(format!("{{\"inner\":{blank}[{{{one}}}]}}"));
        all.push(format!(
            "{{\"inner\":{blank}{{\"{member}\":{blank}\"other\"}}, {one}}}"
        ));
        all.push(format!(
            "{{{one}, \"inner\":{blank}{{\"{member}\":{blank}null}}}}"
        ));
        all.push(format!("{{\"q\\\"{member}\":{blank}\"wanted\", {one}}}"));
    }
    all.extend(["{}", "null", "", "{\"x\":", "[\"wanted\"]"].map(str::to_owned));
    all
}

/// Adds rows as another program would, one a second.
async fn add(database: &Database, texts: &[String]) {
    let values: Vec<String> = (0..)
        .zip(texts)
        .map(|(number, text)| {
            let text = match database.engine() {
                Engine::MySql => text.replace('\\', "\\\\"),
                Engine::Postgres | Engine::Sqlite => text.clone(),
            };
            let (minute, second) = (number / 60, number % 60);
            let time = format!("2024-01-01 00:{minute:02}:{second:02}.000000");
            format!("('b{number:04}', '{PROJECT}', 'u', FALSE, 'available', '{time}', '{text}')")
        })
        .collect();
    let insert = format!(
        "INSERT INTO backups (id, project_id, user_id, deleted, status, created_at, backup_metadata) VALUES {}",
        values.join(", ")
    );
    rows::execute_all(database, [insert]).await;
}

async fn listed(service: &Service, path: &str) -> Vec<Value> {
    let list = service.get(path).await.expect(200).json();
    list["backups"].as_array().unwrap().clone()
}

async fn found(service: &Service, path: &str, search: &Value) -> Vec<Value> {
    let list = service
        .search(path, search.clone())
        .await
        .expect(200)
        .json();
    list["backups"].as_array().unwrap().clone()
}

fn expected<'a>(all: &'a [Value], search: &Value) -> Vec<&'a Value> {
    let entries = search["match"].as_array().unwrap();
    all.iter()
        .filter(|backup| passes(backup, entries, &[]))
        .collect()
}

/// The ids of all pages of a search, each asked for by the last id of the page before it.
async fn pages(service: &Service, path: &str, search: &Value) -> Vec<String> {
    let mut ids: Vec<String> = Vec::new();
    loop {
        let marker = ids
            .last()
            .map_or(String::new(), |id| format!("&marker={id}"));
        let page = found(service, &format!("{path}{marker}"), search).await;
        if page.is_empty() {
            return ids;
        }
        let page = page
            .iter()
            .map(|backup| backup["backup_id"].as_str().unwrap().to_owned());
        ids.extend(page);
    }
}

on_each_engine! {
    async fn a_member_is_found_however_it_is_written(database: Database) {
        let service = Service::start(&database).await;
        let long = "x".repeat(127);
        let longer = "x".repeat(128);
        for (member, blank) in MEMBERS.iter().zip(["", " "].iter().cycle()) {
            database.run("DELETE FROM backups".to_owned()).await;
            add(&database, &metadata(member, blank)).await;
            let all = listed(&service, "backups?limit=1000").await;
            assert!(all.len() > 100);
            let values = ["wanted", "wanted ", " wanted", "other", "", " ", "wänted", "wanted\"", "\\wanted", &long, &longer];
            for value in values {
                let search = json!({"match": [{*member: value}]});
                let expected = expected(&all, &search);
                assert!(!expected.is_empty(), "{search}");
                let found = found(&service, "backups?limit=1000", &search).await;
                assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{search}");
            }
        }
    }

    async fn pages_of_a_member_are_in_order(database: Database) {
        let service = Service::start(&database).await;
        // Of every three rows one has the host, one has it at one of two places, and one has another.
        let texts: Vec<String> = (0..450).map(|number| {
            let (one, other) = match number % 6 {
                0 | 3 => ("h", "n"),
                1 => ("o", "h"),
                2 => ("h", "o"),
                _ => ("o", "p"),
            };
            let inner = if number % 3 == 0 { "level" } else { "hostname" };
            format!("{{\"hostname\":\"{one}\",\"backup_name\":\"b{}\",\"inner\":{{\"{inner}\":\"{other}\"}}}}", number % 2)
        }).collect();
        add(&database, &texts).await;
        database.run("UPDATE backups SET deleted = TRUE WHERE id IN ('b0000', 'b0002')".to_owned()).await;
        database.run("UPDATE backups SET created_at = NULL WHERE id IN ('b0007', 'b0009', 'b0200')".to_owned()).await;
        database.run("UPDATE backups SET project_id = 'other' WHERE id IN ('b0012', 'b0013')".to_owned()).await;
        for search in [json!({"match": [{"hostname": "h"}]}), json!({"match": [{"hostname": "h"}, {"backup_name": "b1"}]})] {
            for order in ["", "&sort_dir=desc"] {
                let all = listed(&service, &format!("backups?limit=1000{order}")).await;
                let wanted: Vec<&str> = expected(&all, &search).iter().map(|backup| backup["backup_id"].as_str().unwrap()).collect();
                assert!(wanted.len() > 140, "{}", wanted.len());
                let path = format!("backups?limit=31{order}");
                assert_eq!(pages(&service, &path, &search).await, wanted, "{path} {search}");
                let page = found(&service, &format!("{path}&offset=100"), &search).await;
                let page: Vec<&str> = page.iter().map(|backup| backup["backup_id"].as_str().unwrap()).collect();
                assert_eq!(page, wanted[100..131], "{path} {search}");
            }
        }
    }

    async fn a_member_is_found_as_it_is_now(database: Database) {
        let service = Service::start(&database).await;
        let backup = json!({"backup_name": "b", "hostname": "before", "container": "c"});
        let id = service.created("backups", backup, "backup_id").await;
        let hits = async |host: &str| found(&service, "backups", &json!({"match": [{"hostname": host}]})).await.len();
        assert_eq!((hits("before").await, hits("after").await), (1, 0));
        let change = json!({"backup_metadata": {"hostname": "after"}});
        service.patch(&format!("backups/{id}"), change).await.expect(200);
        assert_eq!((hits("before").await, hits("after").await), (0, 1));
        // As the Python service would write it.
        let text = "{\"backup_name\": \"b\", \"hostname\": \"python\", \"more\": {\"hostname\": \"too\"}}";
        rows::execute(&database, "UPDATE backups SET backup_metadata = ?", &[text]).await;
        assert_eq!((hits("after").await, hits("python").await, hits("too").await), (0, 1, 1));
        service.delete(&format!("backups/{id}")).await.expect(204);
        assert_eq!(hits("python").await, 0);
    }
}
