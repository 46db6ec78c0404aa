//! JSON that is deep, long or odd, and texts made for patterns that look at a text again and again.

use std::time::Instant;

use serde_json::{Value, json};

use crate::support::{Database, Engine, PROJECT, Service};

/// A backup whose member `x` is this text of JSON.
fn backup(value: &str) -> String {
    format!(r#"{{"backup_name": "b", "container": "c", "hostname": "h", "x": {value}}}"#)
}

/// Numbers at the edges of what a double can say.
fn numbers() -> Vec<String> {
    let mut numbers: Vec<String> = [
        "-0",
        "-0.0",
        "0.1e-400",
        "-1e-999999999999",
        "1E-400",
        "0e999999999999",
        "0e-999999999999",
        "9223372036854775808",
        "-9223372036854775808",
        "1.7976931348623157e308",
        "4.9e-324",
        "2.2250738585072011e-308",
        "9007199254740993",
        "0.30000000000000004",
    ]
    .map(str::to_owned)
    .to_vec();
    numbers.push(format!("1{}e-300", "0".repeat(300)));
    numbers.push(format!("0.{}1", "0".repeat(100_000)));
    numbers.push(format!("0.{}", "3".repeat(100_000)));
    numbers
}

/// What no number, or no document of ours, can be.
fn refused() -> Vec<String> {
    let nested = |open: &str, close: &str, levels: usize| {
        format!("{}0{}", open.repeat(levels), close.repeat(levels))
    };
    let mut values: Vec<String> = [
        "1e999",
        "-1e999",
        "1e99999999999999999999",
        "18446744073709551616",
        "-9223372036854775809",
        "0x10",
        "1_000",
        "--1",
        "1e",
        "0e",
        "1.e5",
        "-",
        "00",
        "\u{221e}",
        "\u{661}",
    ]
    .map(str::to_owned)
    .to_vec();
    values.push("9".repeat(900_000));
    values.push(format!("-{}", "9".repeat(900_000)));
    values.push(format!("{}.5", "9".repeat(400)));
    values.push(nested("[", "]", 200));
    values.push(nested("[", "]", 400_000));
    values.push(nested("{\"a\":", "}", 200));
    values.push(nested("{\"a\":", "}", 150_000));
    values.push(nested("[{\"a\":", "}]", 100_000));
    // Never closed.
    values.push("[".repeat(900_000));
    values.push("{\"a\":".repeat(180_000));
    values.push(format!("\"{}", "\\u0041".repeat(100_000)));
    values
}

/// Bodies with a long text where a pattern stands.
fn patterns() -> Vec<(&'static str, Value)> {
    let mut bodies = Vec::new();
    let texts = [
        "a",
        "a-",
        "a.",
        "_",
        "-",
        "\u{e9}",
        "1 ",
        "0",
        "\u{661}",
        "\u{1f5c4}",
    ]
    .map(|piece| piece.repeat(300_000 / piece.len()) + "!");
    for text in texts {
        let schedule = |member: &str| json!({"client_id": "c", "job_actions": [], "job_schedule": {member: text}});
        bodies.extend([
            ("clients", json!({"client_id": text})),
            ("clients", json!({"client_id": "c", "hostname": text})),
            ("clients", json!({"client_id": "c", "description": text})),
            ("actions", json!({"action_id": text, "freezer_action": {"action": "exec"}})),
            ("jobs", json!({"client_id": text, "job_actions": []})),
            ("jobs", json!({"client_id": "c", "job_actions": [], "session_id": text})),
            ("jobs", json!({"client_id": "c", "job_actions": [], "user_credentials": {"trust_id": "t", "trustor_user_id": text}})),
            ("jobs", schedule("schedule_date")),
            ("jobs", schedule("schedule_interval")),
            ("jobs", schedule("schedule_year")),
            ("sessions/s/action", json!({"start": {"job_id": "j", "current_tag": text}})),
        ]);
    }
    bodies
}

on_each_engine! {
    async fn odd_json_is_stored_as_it_is_or_refused(database: Database) {
        let service = Service::start(&database).await;
        for number in numbers() {
            let beginning: String = number.chars().take(50).collect();
            let created = service.raw("POST", "backups", backup(&number)).await.expect(201).json();
            let path = format!("backups/{}", created["backup_id"].as_str().unwrap());
            let stored = service.get(&path).await.expect(200).json();
            let expected: Value = serde_json::from_str(&number).unwrap();
            assert_eq!(stored["backup_metadata"]["x"], expected, "{beginning}");
            if number.len() < 1000 {
                let search = format!(r#"{{"match": [{{"x": {number}}}]}}"#);
                let found = service.raw("GET", "backups", search).await.expect(200).json();
                assert_eq!(found["backups"], json!([stored]), "{beginning}");
            }
            service.delete(&path).await.expect(204);
        }
        for value in refused() {
            let beginning: String = value.chars().take(50).collect();
            for (method, path) in [("POST", "backups"), ("POST", "actions"), ("PATCH", "sessions/s"), ("GET", "jobs")] {
                let answer = service.raw(method, path, backup(&value)).await;
                assert_eq!(answer.status, 400, "{method} {path} {beginning}: {}", answer.text());
                assert!(answer.body.len() < 2000, "{method} {path} {beginning}: {} bytes", answer.body.len());
            }
        }
        assert_eq!(database.rows("backups", "deleted = FALSE").await, 0);
    }

    async fn a_name_that_stands_often_has_its_last_value(database: Database) {
        let service = Service::start(&database).await;
        let repeated: String = (0..50_000).map(|number| format!("\"x\": {number}, ")).collect();
        let body = backup("0").replacen("{", &format!("{{{repeated}"), 1);
        let created = service.raw("POST", "backups", body).await.expect(201).json();
        let path = format!("backups/{}", created["backup_id"].as_str().unwrap());
        service.get(&path).await.expect(200).shows(&json!({"backup_metadata": {"x": 0}}));
        // Who may do it is asked of the project of the path, whatever stands in the body, and how often.
        let body = r#"{"project_id": "p2", "client_id": "c", "project_id": "p3", "user_id": "someone", "user_id": "else"}"#;
        service.raw("POST", "clients", body).await.expect(201);
        service.get("clients/c").await.expect(200).shows(&json!({"project_id": PROJECT, "user_id": "dev"}));
    }
}

#[tokio::test]
async fn long_texts_do_not_keep_patterns_busy() {
    let database = Database::create(Engine::Sqlite).await;
    let service = Service::start(&database).await;
    service.client("c").await;
    let begun = Instant::now();
    let bodies = patterns();
    let count = bodies.len();
    for (path, body) in bodies {
        let answer = service.post(path, body).await;
        assert!(
            matches!(answer.status, 400 | 404),
            "{path}: {}",
            answer.text()
        );
        assert!(
            answer.body.len() < 5000,
            "{path}: {} bytes",
            answer.body.len()
        );
    }
    eprintln!("{count} bodies of 300 kB in {:?}", begun.elapsed());
}
