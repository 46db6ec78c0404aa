//! How jobs fare: when they are due, and what is wrong with them.

use std::io::Write as _;
use std::process::{Command, Stdio};

use freezer_api::domain::schedule::Cadence;
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::support::api::START;
use crate::support::choices::Choices;
use crate::support::process::manage;
use crate::support::{Service, python};

const HOUR: i64 = 3600;

/// A job with this schedule; its id.
async fn job(service: &Service, schedule: Value) -> String {
    let job = json!({"client_id": "host1", "job_schedule": schedule, "job_actions": []});
    service.created("jobs", job, "job_id").await
}

/// What a scheduler reports of a run of an hourly job.
async fn send(
    service: &Service,
    job_id: &str,
    status: &str,
    started: i64,
    ended: i64,
    result: &str,
) {
    let schedule = json!({
        "status": status, "time_started": started, "time_ended": ended, "result": result,
        "schedule_interval": "1 hours",
    });
    let patch = json!({"job_schedule": schedule});
    service
        .patch(&format!("jobs/{job_id}"), patch)
        .await
        .expect(200);
}

/// The jobs of a page.
async fn jobs(service: &Service, query: &str) -> Vec<Value> {
    let list = service
        .get(&format!("report/jobs?{query}"))
        .await
        .expect(200)
        .json();
    list["jobs"].as_array().unwrap().clone()
}

/// What is wrong with the only job.
async fn findings(service: &Service) -> Vec<String> {
    let jobs = jobs(service, "").await;
    let [job] = &jobs[..] else {
        panic!("there is one job");
    };
    let findings = job["findings"].as_array().unwrap().iter();
    findings
        .map(|finding| finding.as_str().unwrap().to_owned())
        .collect()
}

on_each_engine! {
    async fn a_job_is_due_by_its_own_interval(database: Database) {
        let service = Service::start(&database).await;
        service.client("host1").await;
        let id = &job(&service, json!({"schedule_interval": "1 hours", "status": "scheduled"})).await;
        assert_eq!(findings(&service).await, [""; 0]);
        assert_eq!(jobs(&service, "").await[0]["due_at"], "2023-11-15T00:13:20Z");
        service.clock.advance(2 * HOUR + 1);
        assert_eq!(findings(&service).await, ["never"]);
        let started = START + 2 * HOUR;
        send(&service, id, "scheduled", started, started + 100, "success").await;
        assert_eq!(findings(&service).await, [""; 0]);
        let run = &jobs(&service, "").await[0]["runs"][0];
        // An hour, the grace of an hour, and what it usually takes.
        let wanted = json!([{
            "job_id": id, "project_id": "p1", "client_id": "host1", "description": "", "status": "scheduled",
            "period": HOUR, "due_at": "2023-11-15T02:15:00Z", "last_success_at": "2023-11-15T00:13:20Z",
            "failed_in_a_row": 0, "findings": [], "runs": [run],
        }]);
        assert_eq!(json!(jobs(&service, "").await), wanted);
        service.clock.advance(2 * HOUR + 100);
        assert_eq!(findings(&service).await, ["overdue"]);
        for hour in 3..6 {
            let started = START + hour * HOUR;
            send(&service, id, "scheduled", started, started + 5, "fail").await;
        }
        assert_eq!(findings(&service).await, ["failing", "overdue"]);
        assert_eq!(jobs(&service, "").await[0]["failed_in_a_row"], 3);
        // Somebody stopped it: that is not a delay, but it stays a failure.
        send(&service, id, "stop", START + 5 * HOUR, START + 5 * HOUR + 5, "fail").await;
        assert_eq!(findings(&service).await, ["failing"]);
    }

    async fn a_run_without_an_end_is_told(database: Database) {
        let service = Service::start(&database).await;
        service.client("host1").await;
        let id = &job(&service, json!({"schedule_interval": "1 hours"})).await;
        send(&service, id, "running", START, -1, "").await;
        service.clock.advance(HOUR);
        assert_eq!(findings(&service).await, [""; 0]);
        service.clock.advance(5 * HOUR + 1);
        assert_eq!(findings(&service).await, ["never", "stuck"]);
        send(&service, id, "scheduled", START, -1, "").await;
        assert_eq!(findings(&service).await, ["never", "lost"]);
    }

    async fn what_is_not_to_run_again_is_not_due(database: Database) {
        let service = Service::start(&database).await;
        service.client("host1").await;
        for (schedule, period, wrong) in [
            (json!({}), Value::Null, vec![]),
            (json!({"schedule_date": "2023-11-14T10:00:00"}), Value::Null, vec![]),
            (json!({"schedule_interval": "1 days", "status": "stop"}), 86_400.into(), vec![]),
            (json!({"schedule_interval": "1 days", "event": "stop"}), 86_400.into(), vec![]),
            (json!({"schedule_interval": "1 days", "schedule_start_date": "2023-01-01T00:00:00",
                "schedule_end_date": "2023-02-01T00:00:00"}), Value::Null, vec![]),
            (json!({"schedule_hour": "25"}), Value::Null, vec!["unreadable"]),
            (json!({"schedule_day_of_week": "mon-fri", "schedule_hour": "1"}), 259_200.into(), vec![]),
        ] {
            let id = &job(&service, schedule.clone()).await;
            let all = jobs(&service, "sort=created_at:desc&limit=50").await;
            let job = all.iter().find(|job| job["job_id"] == **id).unwrap();
            assert_eq!(job["period"], period, "{schedule}");
            assert_eq!(job["findings"], json!(wrong), "{schedule}");
        }
    }

    async fn what_was_before_runs_were_seen_counts(database: Database) {
        let service = Service::start(&database).await;
        service.client("host1").await;
        let id = &job(&service, json!({"schedule_interval": "1 hours"})).await;
        let past = format!(
            r#"{{"schedule_interval": "1 hours", "status": "scheduled", "time_started": {}, "time_ended": {}, "result": "success"}}"#,
            START + HOUR, START + HOUR + 60
        );
        database.run(format!("UPDATE jobs SET schedule = '{past}' WHERE id = '{id}'")).await;
        service.clock.advance(2 * HOUR + 1);
        assert_eq!(findings(&service).await, [""; 0]);
        service.clock.advance(2 * HOUR);
        assert_eq!(findings(&service).await, ["overdue"]);
    }

    async fn jobs_are_paged_with_their_own_runs(database: Database) {
        let service = Service::start(&database).await;
        service.client("host1").await;
        service.client("host2").await;
        let mut ids = Vec::new();
        for _ in 0..7 {
            ids.push(job(&service, json!({"schedule_interval": "1 hours"})).await);
            service.clock.advance(1);
        }
        for (index, id) in ids.iter().enumerate() {
            for run in 0..(index as i64 * 5) {
                let started = START + run * HOUR;
                send(&service, id, "scheduled", started, started + 60, if run == 0 { "success" } else { "fail" }).await;
            }
        }
        let mut seen = Vec::new();
        let mut path = "/v2/p1/report/jobs?limit=3".to_owned();
        loop {
            let page = service.get(&path).await.expect(200).json();
            seen.extend(page["jobs"].as_array().unwrap().clone());
            let Some(next) = page["jobs_links"][0]["href"].as_str() else { break };
            path = next[next.find("/v2/").unwrap()..].to_owned();
        }
        let listed: Vec<&str> = seen.iter().map(|job| job["job_id"].as_str().unwrap()).collect();
        assert_eq!(listed, ids);
        for (index, job) in seen.iter().enumerate() {
            let runs = job["runs"].as_array().unwrap();
            assert_eq!(runs.len(), (index * 5).min(20));
            assert!(runs.iter().all(|run| run["job_id"] == job["job_id"]));
            assert!(runs.is_sorted_by(|one, two| one["started_at"].as_str() > two["started_at"].as_str()));
            let last_success = if index == 0 { Value::Null } else { "2023-11-14T22:13:20Z".into() };
            assert_eq!(job["last_success_at"], last_success);
        }
        assert_eq!(jobs(&service, "client_id=host2").await, [json!(null); 0]);
        assert_eq!(jobs(&service, "client_id=host1&sort=created_at:desc&limit=1").await[0], seen[6]);
        assert_eq!(service.get("/v2/p2/report/jobs").await.expect(200).json(), json!({"jobs": []}));
        let all = service.get("/v2/p2/report/jobs?all_projects=true&limit=50").await.expect(200).json();
        assert_eq!(all["jobs"], json!(seen));
        for (query, words) in [
            ("marker=none", "No document of the list has this id"),
            ("sort=started_at", "The key must be \"created_at\""),
        ] {
            let answer = service.get(&format!("report/jobs?{query}")).await;
            let description = answer.refused(400, "Invalid parameter");
            assert!(description.contains(words), "{query}: {description}");
        }
    }
}

on_each_engine! {
    async fn the_command_lists_what_is_wrong(database: Database) {
        let service = Service::start(&database).await;
        let report = |arguments: &[&str]| {
            let arguments = [&["report", "problems"][..], arguments].concat();
            let output = manage(&database.configuration(), &arguments);
            let texts = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
            (output.status.code(), texts)
        };
        // Nobody has looked yet.
        let (code, [_, said]) = report(&[]);
        assert_eq!(code, Some(1));
        assert!(said.contains("no service has looked at jobs and hosts yet"), "{said}");
        let rebuild = || assert!(manage(&database.configuration(), &["report", "rebuild"]).status.success());
        rebuild();
        assert_eq!(report(&[]), (Some(0), ["0 problems, 0 of them mean that backups are missing\n".to_owned(), String::new()]));
        // Two pages, and words that steer a terminal. The clock of these stood still long ago, and the program has its own.
        service.client("host1").await;
        for number in 0..520 {
            let schedule = match number {
                0 => json!({"schedule_interval": "1 hours"}),
                _ => json!({"schedule_hour": "25"}),
            };
            let job = json!({"client_id": "host1", "description": "\u{1b}[2J", "job_schedule": schedule, "job_actions": []});
            service.post("jobs", job).await.expect(201);
        }
        rebuild();
        let (code, [listed, said]) = report(&[]);
        assert_eq!(code, Some(1), "{listed} {said}");
        let lines: Vec<&str> = listed.lines().collect();
        assert_eq!(lines.len(), 522);
        assert!(lines[0].starts_with("never        red "), "{listed}");
        assert!(lines[1..520].iter().all(|line| line.starts_with("unreadable   amber ") && line.contains("\\u{1b}[2J")), "{listed}");
        assert!(lines[520].starts_with("unprotected  amber ") && lines[520].contains(": the client"), "{listed}");
        assert_eq!(lines[521], "521 problems, 1 of them mean that backups are missing");
        assert!(said.contains("1 problems mean that backups are missing"), "{said}");
        let (code, [listed, _]) = report(&["--format", "json"]);
        assert_eq!(code, Some(1));
        let listed: Vec<Value> = listed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!((listed.len(), &listed[0]["kind"], &listed[520]["kind"]), (521, &json!("never"), &json!("unprotected")));
        let (code, [listed, _]) = report(&["--project", "p2"]);
        assert_eq!((code, &*listed), (Some(0), "0 problems, 0 of them mean that backups are missing\n"));
    }
}

const WEEKDAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "SUN"];
const MONTHS: [&str; 4] = ["jan", "Feb", "mar", "dec"];
const DAYS: [&str; 6] = [
    "last",
    "1st mon",
    "2nd  fri",
    "5th sun",
    "last thu x",
    "3rd WED",
];
const ODD: [&str; 14] = [
    "", "x", "5-3", "*/0", "99", "mon/x", "jan/2", "lastly", "last !", "1st mo", "-1", " 3 , 5",
    "0-0/3", "2nd9 wed",
];

/// An expression for a field with these values, sometimes a wrong one.
fn expression(choices: &mut Choices, least: usize, most: usize, names: &[&str]) -> String {
    let value = |choices: &mut Choices| least + choices.below(most - least + 1);
    let (one, two) = (value(choices), value(choices));
    let (first, last) = (one.min(two), one.max(two));
    let step = 1 + choices.below(most / 2 + 1);
    match choices.below(12) {
        0..=2 => first.to_string(),
        3 => "*".to_owned(),
        4 => format!("*/{step}"),
        5 => format!("{first}-{last}"),
        6 => format!("{first}-{last}/{}", 1 + step % 5),
        7 => format!("{first}/{step}"),
        8 => (*choices.of(&ODD)).to_owned(),
        9 => format!("{first},{last}"),
        _ if names.is_empty() => last.to_string(),
        10 => (*choices.of(names)).to_owned(),
        _ => format!("{}-{}", choices.of(names), choices.of(names)),
    }
}

/// Fields of cron, each there or not.
fn fields(choices: &mut Choices) -> Map<String, Value> {
    let mut fields = Map::new();
    for (name, least, most, names, often) in [
        ("month", 1, 12, &MONTHS[..], 3),
        ("day", 1, 31, &DAYS[..], 4),
        ("week", 1, 53, &[][..], 1),
        ("day_of_week", 0, 6, &WEEKDAYS[..], 4),
        ("hour", 0, 23, &[][..], 6),
        ("minute", 0, 59, &[][..], 2),
        ("second", 0, 59, &[][..], 1),
    ] {
        if choices.below(10) < often {
            fields.insert(
                name.to_owned(),
                expression(choices, least, most, names).into(),
            );
        }
    }
    fields
}

/// What APScheduler makes of the fields.
fn ask(questions: &[Value]) -> Vec<Value> {
    let mut input = tempfile::tempfile().unwrap();
    for question in questions {
        writeln!(input, "{question}").unwrap();
    }
    std::io::Seek::rewind(&mut input).unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/oracle/cadence.py");
    let output = Command::new(python())
        .arg(script)
        .stdin(Stdio::from(input))
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(output.status.success());
    let lines = String::from_utf8(output.stdout).unwrap();
    lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
#[ignore = "needs Python with APScheduler: ./test installs it"]
fn fields_of_cron_are_read_as_apscheduler_reads_them() {
    let mut choices = Choices::new(7);
    let mut questions = Vec::new();
    while questions.len() < 250 {
        let fields = fields(&mut choices);
        if !fields.is_empty() {
            let from = choices.of(&["2026-11-30", "2023-12-31", "2028-02-28"]);
            questions.push(json!({"fields": fields, "from": from}));
        }
    }
    let (mut regular, mut refused) = (0, 0);
    let answers = ask(&questions);
    assert_eq!(answers.len(), questions.len());
    for (question, answer) in questions.iter().zip(answers) {
        let fields = question["fields"].as_object().unwrap().iter();
        let schedule = fields
            .map(|(name, text)| (format!("schedule_{name}"), text.clone()))
            .collect();
        let now = format!("{}T12:00:00Z", question["from"].as_str().unwrap());
        let ours = Cadence::of(&schedule, OffsetDateTime::parse(&now, &Rfc3339).unwrap());
        let asked = format!("{question}: {answer}, and we {ours:?}");
        match (answer["gap"].as_i64(), ours) {
            (Some(gap), Cadence::Every(seconds)) => {
                // Of those that fire often, it looks at the first times alone.
                assert!(
                    gap == seconds || gap < seconds && answer["whole"] == false,
                    "{asked}"
                );
                regular += 1;
            }
            (None, Cadence::Unreadable) => {
                assert_eq!(answer["refused"], true, "{asked}");
                refused += 1;
            }
            (None, Cadence::Once) => assert_eq!(answer["whole"], true, "{asked}"),
            _ => panic!("{asked}"),
        }
    }
    assert!(regular > 100 && refused > 50, "{regular} {refused}");
}
