//! What one scheduler does.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, bail};
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until};

use crate::figures::Figures;

/// Jobs that the real scheduler asks for at once.
const PAGE: usize = 10;
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often a scheduler does what.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    /// From one poll to the next, on the clock.
    pub(crate) interval: Duration,
    pub(crate) end: Instant,
    /// Polls from one run of a job to the next.
    pub(crate) run_every: u64,
}

/// The API of one project.
pub(crate) struct Api {
    client: Client,
    roots: Vec<String>,
    next: AtomicUsize,
    token: String,
}

impl Api {
    pub(crate) fn new(
        urls: &[String],
        project: &str,
        token: &str,
        keeps_connections: bool,
    ) -> anyhow::Result<Api> {
        // An error means that there is one already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut client = Client::builder().timeout(PATIENCE);
        if !keeps_connections {
            client = client.pool_max_idle_per_host(0);
        }
        let root = |url: &String| format!("{}/v2/{project}", url.trim_end_matches('/'));
        Ok(Api {
            client: client.build()?,
            roots: urls.iter().map(root).collect(),
            next: AtomicUsize::new(0),
            token: token.to_owned(),
        })
    }

    /// Sends a request; the status and the document of its answer.
    async fn send(
        &self,
        method: Method,
        path: &str,
        body: &Value,
    ) -> anyhow::Result<(StatusCode, Value)> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % self.roots.len();
        let root = self.roots.get(turn).context("no URL")?;
        let mut request = self
            .client
            .request(method, format!("{root}/{path}"))
            .header("X-Auth-Token", &self.token);
        if !body.is_null() {
            request = request.json(body);
        }
        let answer = request.send().await?;
        let status = answer.status();
        Ok((status, answer.json().await.unwrap_or_default()))
    }

    /// The document of an answer, which must be a success.
    async fn call(&self, method: Method, path: &str, body: &Value) -> anyhow::Result<Value> {
        let (status, document) = self.send(method.clone(), path, body).await?;
        if !status.is_success() {
            bail!("{method} {path} is answered with {status}: {document}");
        }
        Ok(document)
    }
}

/// A scheduler with its client, its session and its jobs.
pub(crate) struct Scheduler {
    api: Arc<Api>,
    number: usize,
    client_id: String,
    session_id: String,
    jobs: Vec<String>,
}

impl Scheduler {
    /// Registers the client, and makes the jobs if there are none.
    pub(crate) async fn register(
        api: Arc<Api>,
        number: usize,
        jobs: usize,
    ) -> anyhow::Result<Scheduler> {
        let client_id = format!("scheduler{number}.example.org");
        let client = json!({"client_id": client_id, "hostname": client_id});
        let (status, answer) = api.send(Method::POST, "clients", &client).await?;
        if !status.is_success() && status != StatusCode::CONFLICT {
            bail!("{client_id} is not registered: {status}: {answer}");
        }
        let mut scheduler = Scheduler {
            api,
            number,
            client_id,
            session_id: String::new(),
            jobs: Vec::new(),
        };
        let found = scheduler.poll(&Figures::default()).await?;
        for job in &found {
            scheduler.jobs.push(text(job, "job_id")?);
            scheduler.session_id = text(job, "session_id")?;
        }
        if scheduler.jobs.is_empty() {
            scheduler.make_jobs(jobs).await?;
        }
        Ok(scheduler)
    }

    async fn make_jobs(&mut self, number: usize) -> anyhow::Result<()> {
        let session = json!({"description": self.client_id, "hold_off": 0, "schedule": {}});
        let made = self.api.call(Method::POST, "sessions", &session).await?;
        self.session_id = text(&made, "session_id")?;
        for job in 0..number {
            let name = format!("backup-{job}");
            let made = self.api.call(Method::POST, "jobs", &json!({
                "client_id": self.client_id, "description": name, 
                "job_schedule": {"schedule_interval": "1 days", "status": "scheduled", "event": ""},
                "job_actions": [action("backup", &name), action("admin", &name)],
            })).await?;
            let job_id = text(&made, "job_id")?;
            let path = format!("sessions/{}/jobs/{job_id}", self.session_id);
            self.api.call(Method::PUT, &path, &Value::Null).await?;
            self.jobs.push(job_id);
        }
        Ok(())
    }

    /// Polls, and runs jobs, until the end.
    pub(crate) async fn run(self, plan: Plan, first: Instant, figures: Arc<Figures>) {
        let mut due = first;
        let mut polls = 0;
        while due < plan.end {
            sleep_until(due).await;
            let mut done = self.poll(&figures).await.map(drop);
            polls += 1;
            // Not all schedulers run a job at the same time.
            let turn = polls + self.number as u64;
            if turn.is_multiple_of(plan.run_every) && done.is_ok() {
                let job = polls as usize % self.jobs.len().max(1);
                if let Some(job_id) = self.jobs.get(job) {
                    done = self.run_job(job_id, &figures).await;
                }
            }
            if let Err(error) = done {
                figures.failed(&error);
            }
            due += plan.interval;
            if Instant::now() > due {
                figures.late();
                due = Instant::now();
            }
        }
    }

    /// The jobs that are not completed, page by page.
    async fn poll(&self, figures: &Figures) -> anyhow::Result<Vec<Value>> {
        let search = json!({"match_not": [{"status": "completed"}], "match": [{"client_id": self.client_id}]});
        let mut jobs = Vec::new();
        loop {
            let path = format!("jobs?limit={PAGE}&offset={}&all_projects=False", jobs.len());
            let page = self.timed(figures, "poll", Method::GET, &path, &search);
            let mut page = page.await?;
            let found = page.get_mut("jobs").and_then(Value::as_array_mut);
            let found = std::mem::take(found.context("an answer has no list of jobs")?);
            let is_last = found.len() < PAGE;
            jobs.extend(found);
            if is_last {
                return Ok(jobs);
            }
        }
    }

    /// Starts a job in its session, says that it runs, stores what was backed up, and ends.
    async fn run_job(&self, job_id: &str, figures: &Figures) -> anyhow::Result<()> {
        let path = format!("jobs/{job_id}");
        let job = self
            .timed(figures, "get job", Method::GET, &path, &Value::Null)
            .await?;
        let tag = job.get("session_tag").cloned().unwrap_or_default();
        let session = format!("sessions/{}/action", self.session_id);
        let start = json!({"start": {"job_id": job_id, "current_tag": tag}});
        let started = self
            .timed(figures, "start session", Method::POST, &session, &start)
            .await?;
        let tag = started.get("session_tag").cloned().unwrap_or_default();
        let mut schedule = job
            .get("job_schedule")
            .cloned()
            .unwrap_or_else(|| json!({}));
        for (status, result) in [("running", ""), ("scheduled", "success")] {
            if result == "success" {
                self.timed(
                    figures,
                    "post backup",
                    Method::POST,
                    "backups",
                    &self.backup(job_id),
                )
                .await?;
            }
            for (key, value) in [("status", status), ("result", result)] {
                if let Some(schedule) = schedule.as_object_mut() {
                    schedule.insert(key.to_owned(), json!(value));
                }
            }
            let change = json!({"job_schedule": schedule});
            self.timed(figures, "patch job", Method::PATCH, &path, &change)
                .await?;
        }
        let end = json!({"end": {"job_id": job_id, "current_tag": tag, "result": "success"}});
        self.timed(figures, "end session", Method::POST, &session, &end)
            .await?;
        Ok(())
    }

    fn backup(&self, job_id: &str) -> Value {
        json!({
            "backup_name": "etc", "container": "/var/backups", "hostname": self.client_id, "client_id": self.client_id,
            "job_id": job_id, "path_to_backup": "/etc", "time_stamp": 1_700_000_000, "curr_backup_level": 0, "max_level": 7,
            "mode": "fs", "action": "backup", "engine_name": "tar", "storage": "local", "os_type": "linux",
        })
    }

    async fn timed(
        &self,
        figures: &Figures,
        kind: &'static str,
        method: Method,
        path: &str,
        body: &Value,
    ) -> anyhow::Result<Value> {
        let start = Instant::now();
        let answer = self.api.call(method, path, body).await;
        figures.took(kind, start.elapsed());
        answer
    }
}

fn action(kind: &str, name: &str) -> Value {
    json!({
        "freezer_action": {
            "action": kind, "mode": "fs", "backup_name": name, "container": "/var/backups", "path_to_backup": "/etc",
            "storage": "local", "engine_name": "tar", "remove_older_than": 30,
        },
        "max_retries": 3, "max_retries_interval": 60,
    })
}

fn text(document: &Value, key: &str) -> anyhow::Result<String> {
    let text = document.get(key).and_then(Value::as_str);
    Ok(text
        .with_context(|| format!("no {key} in {document}"))?
        .to_owned())
}
