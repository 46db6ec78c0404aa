//! `--dev --sample`: a few hosts with two weeks of runs, as their schedulers and agents would have reported them. One fails, one has
//! fallen silent.

use std::sync::Arc;

use anyhow::{Context, bail};
use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, header};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::api::{self, Api};
use crate::app::{self, Mode};
use crate::clock::{Clock, Ids};
use crate::domain::host::ROUNDS;

/// The project of the records.
pub(super) const PROJECT: &str = "demo";

const DAY: i64 = 86_400;
const DAYS: i64 = 14;
/// How long after its start a scheduler reports the first agent.
const FIRST_REPORT: i64 = 2;
/// Seconds between two polls of a scheduler.
const POLL: i64 = 60;
/// For how many seconds somebody has listened for polls, so that who is silent is so at once. The lease of who listens ends so long
/// before the service takes it, which is no gap.
const LISTENED: i64 = 600;
const HANDOVER: i64 = 20;

/// What a host backs up each day.
struct Plan {
    host: &'static str,
    backup: &'static str,
    path: &'static str,
    mode: &'static str,
    /// Seconds before now at which the last run of a host that works has started.
    offset: i64,
    /// Seconds that a run takes, about.
    takes: i64,
    story: Story,
}

/// How it goes.
#[derive(PartialEq, Eq)]
enum Story {
    Fine,
    /// The run of this many days ago failed.
    FailedOnce(i64),
    /// The last ones fail.
    FailsSince(i64),
    /// Its last run began this many days ago and was not heard of again, nor its scheduler, which polled until then.
    SilentSince(i64),
}

#[rustfmt::skip]
const PLANS: &[Plan] = &[
    Plan { host: "app-01.example.com", backup: "etc", path: "/etc", mode: "fs", offset: 38_000, takes: 45, story: Story::FailedOnce(6) },
    Plan { host: "app-01.example.com", backup: "srv", path: "/srv", mode: "fs", offset: 36_000, takes: 1_900, story: Story::Fine },
    Plan { host: "db-01.example.com", backup: "mysql", path: "/var/lib/mysql", mode: "mysql", offset: 40_000, takes: 5_400, story: Story::Fine },
    Plan { host: "db-02.example.com", backup: "mysql", path: "/var/lib/mysql", mode: "mysql", offset: 39_000, takes: 4_800, story: Story::FailsSince(2) },
    Plan { host: "mail-01.example.com", backup: "vmail", path: "/var/vmail", mode: "fs", offset: 41_000, takes: 7_300, story: Story::FailedOnce(9) },
    Plan { host: "web-01.example.com", backup: "www", path: "/var/www", mode: "fs", offset: 42_000, takes: 640, story: Story::Fine },
    Plan { host: "web-02.example.com", backup: "www", path: "/var/www", mode: "fs", offset: 42_000, takes: 610, story: Story::SilentSince(4) },
];

/// The hosts whose jobs run together.
const SESSION: [&str; 2] = ["web-01.example.com", "web-02.example.com"];

/// What a host says.
enum Report {
    Poll,
    Started,
    Agent,
    Ended(&'static str),
}

/// A report, when it comes, and of which of [`PLANS`] and which run it is.
struct Event {
    at: i64,
    plan: usize,
    started: i64,
    report: Report,
}

/// The service at the time of the records, which is moved on.
struct Past {
    api: Arc<Api>,
    router: Router,
    clock: Clock,
}

/// Adds the records, unless the project has clients already.
///
/// # Errors
/// What the service refused.
pub(super) async fn add(api: &Arc<Api>) -> anyhow::Result<()> {
    let now = api.catalogue.clock.timestamp();
    let begin = now - DAYS * DAY - DAY;
    let clock = Clock::fixed(begin);
    let past = app::build(
        api.config.clone(),
        Mode::Development,
        clock.clone(),
        Ids::Random,
    );
    let past = past.await?;
    let past = Past {
        router: api::service(Arc::clone(&past)),
        api: past,
        clock,
    };
    let clients = past.call(Method::GET, "clients", &json!({})).await?;
    let clients = clients.get("clients").and_then(Value::as_array);
    if clients.is_some_and(|clients| !clients.is_empty()) {
        return Ok(());
    }
    let jobs = past.set_up().await?;
    let mut events: Vec<Event> = PLANS
        .iter()
        .enumerate()
        .flat_map(|(at, plan)| plan.events(at, now))
        .collect();
    events.sort_by_key(|event| event.at);
    let mut time = begin;
    for event in events {
        past.clock.advance(event.at - time);
        time = event.at;
        past.report(&event, &jobs).await?;
    }
    past.clock.advance(now - LISTENED - time);
    past.end().await
}

impl Plan {
    /// What happened on each day, the oldest first.
    fn events(&self, plan: usize, now: i64) -> Vec<Event> {
        let mut events = Vec::new();
        for ago in (0..DAYS).rev() {
            if matches!(self.story, Story::SilentSince(days) if ago < days) {
                break;
            }
            let started = now - self.offset - ago * DAY;
            // Nothing takes the same time each day.
            let takes = self.takes + self.takes * ((ago * 7 + self.offset) % 13) / 40;
            let mut add = |at: i64, report| {
                events.push(Event {
                    at,
                    plan,
                    started,
                    report,
                });
            };
            if matches!(self.story, Story::SilentSince(days) if ago == days) {
                add(started - POLL, Report::Poll);
                add(started, Report::Poll);
            }
            add(started + 1, Report::Started);
            add(started + FIRST_REPORT, Report::Agent);
            match self.story {
                Story::SilentSince(days) if ago == days => {}
                Story::FailsSince(days) if ago <= days => add(started + 11, Report::Ended("fail")),
                Story::FailedOnce(day) if ago == day => add(started + takes, Report::Ended("fail")),
                _ => add(started + takes, Report::Ended("success")),
            }
        }
        events
    }

    fn action(&self) -> Value {
        json!({
            "action": "backup", "mode": self.mode, "backup_name": self.backup, "path_to_backup": self.path,
            "storage": "local", "container": "/var/backups/freezer", "engine_name": "tar", "max_retries": 1,
            "log_file": format!("/var/log/freezer/{}.log", self.backup),
        })
    }

    fn backup(&self, started: i64, job_id: &str) -> Value {
        json!({
            "hostname": self.host, "backup_name": self.backup, "container": "/var/backups/freezer", "mode": self.mode,
            "engine_name": "tar", "storage": "local", "path_to_backup": self.path, "time_stamp": started,
            "curr_backup_level": 0, "client_os": "linux", "client_version": "19.0.0", "job_id": job_id,
        })
    }
}

impl Past {
    /// Registers the hosts, and makes their jobs and a session; the ids of the jobs in the order of [`PLANS`].
    async fn set_up(&self) -> anyhow::Result<Vec<String>> {
        let session = json!({"description": "the web servers together", "schedule": {"schedule_interval": "1 days"}});
        let session = self.call(Method::POST, "sessions", &session).await?;
        let session_id = id(&session, "session_id")?;
        let (mut hosts, mut jobs) = (Vec::new(), Vec::new());
        for plan in PLANS {
            if !hosts.contains(&plan.host) {
                let client = json!({"client_id": plan.host, "hostname": plan.host});
                self.call(Method::POST, "clients", &client).await?;
                hosts.push(plan.host);
            }
            let job = json!({
                "client_id": plan.host,
                "description": format!("{} of {}, each day", plan.path, plan.host.split('.').next().unwrap_or_default()),
                "job_schedule": {"schedule_interval": "1 days", "status": "scheduled"},
                "job_actions": [{"freezer_action": plan.action()}],
            });
            let job_id = id(&self.call(Method::POST, "jobs", &job).await?, "job_id")?;
            if SESSION.contains(&plan.host) {
                let member = format!("sessions/{session_id}/jobs/{job_id}");
                self.call(Method::PUT, &member, &json!({})).await?;
            }
            jobs.push(job_id);
        }
        Ok(jobs)
    }

    /// Sends what a scheduler and its agent send.
    async fn report(&self, event: &Event, jobs: &[String]) -> anyhow::Result<()> {
        let (Some(plan), Some(job_id)) = (PLANS.get(event.plan), jobs.get(event.plan)) else {
            bail!("the sample records: an event of no plan");
        };
        if matches!(event.report, Report::Poll) {
            let search = json!({"match": [{"client_id": plan.host}], "match_not": [{"status": "completed"}]});
            let poll = self.call(Method::GET, "jobs?limit=10&offset=0", &search);
            return poll.await.map(drop);
        }
        let mut schedule = json!({
            "schedule_interval": "1 days", "event": "", "status": "running", "result": "",
            "time_started": event.started, "time_ended": -1,
        });
        if let Some(members) = schedule.as_object_mut() {
            match &event.report {
                Report::Poll | Report::Started => {}
                Report::Agent => {
                    members.insert(
                        "current_pid".to_owned(),
                        (1000 + event.started % 30_000).into(),
                    );
                }
                Report::Ended(result) => {
                    members.insert("status".to_owned(), "scheduled".into());
                    members.insert("result".to_owned(), (*result).into());
                    members.insert("time_ended".to_owned(), event.at.into());
                }
            }
        }
        let job = json!({"job_schedule": schedule});
        self.call(Method::PATCH, &format!("jobs/{job_id}"), &job)
            .await?;
        if matches!(event.report, Report::Ended("success")) {
            let backup = plan.backup(event.started, job_id);
            self.call(Method::POST, "backups", &backup).await?;
        }
        Ok(())
    }

    /// Writes which schedulers have polled, and that somebody has listened since.
    async fn end(&self) -> anyhow::Result<()> {
        let catalogue = &self.api.catalogue;
        catalogue.write_activity().await?;
        let holder = self.api.ids.hex();
        let held = catalogue.hold_lease(ROUNDS, holder, LISTENED - HANDOVER);
        held.await?;
        Ok(())
    }

    /// Sends a request to the service itself.
    async fn call(&self, method: Method, path: &str, body: &Value) -> anyhow::Result<Value> {
        let request = Request::builder()
            .method(method)
            .uri(format!("/v2/{PROJECT}/{path}"))
            .header(header::ACCEPT, "application/json")
            .body(Body::from(body.to_string()))?;
        let response = self.router.clone().oneshot(request).await?;
        let status = response.status();
        let text = axum::body::to_bytes(response.into_body(), usize::MAX).await?;
        if !status.is_success() {
            bail!(
                "the sample records: {path}: {status}: {}",
                String::from_utf8_lossy(&text)
            );
        }
        if text.is_empty() {
            return Ok(Value::Null);
        }
        Ok(serde_json::from_slice(&text)?)
    }
}

fn id(document: &Value, key: &str) -> anyhow::Result<String> {
    let id = document.get(key).and_then(Value::as_str);
    id.map(str::to_owned)
        .with_context(|| format!("the sample records: an answer without {key}"))
}
