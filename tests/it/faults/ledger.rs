//! What the service has acknowledged, and whether it is there.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::lab::{Api, Reply};

/// A client that writes, reads what it wrote, and notes what it was told.
pub(super) struct Writer {
    name: String,
    /// Its documents that are changed again and again.
    counter: String,
    job: String,
    pub(super) ledger: Ledger,
}

/// What was acknowledged, and what came of requests.
#[derive(Default)]
pub(super) struct Ledger {
    /// Sessions that are there, and that are not. Those in neither have an unknown fate.
    present: BTreeSet<String>,
    gone: BTreeSet<String>,
    /// Names of backups, each sent once, and whether that was acknowledged.
    backups: BTreeMap<String, bool>,
    /// Keys that were added, one after the other, to the metadata of a backup.
    counted: Vec<(String, String)>,
    /// What a job may show: the change that was acknowledged last, or a later one of unknown fate.
    versions: BTreeMap<String, Vec<String>>,
    pub(super) figures: Figures,
}

/// The figures of a scenario.
#[derive(Clone, Debug, Default)]
pub(super) struct Figures {
    pub(super) acknowledged: usize,
    pub(super) lost: Vec<String>,
    pub(super) doubled: Vec<String>,
    pub(super) torn: Vec<String>,
    pub(super) statuses: BTreeMap<u16, usize>,
    /// Requests that got no answer at all.
    pub(super) unanswered: usize,
    pub(super) slowest: Duration,
    /// When a write was acknowledged last, and the longest time without any.
    last: Option<Instant>,
    pub(super) outage: Duration,
}

/// A job's change, which its description and both of its actions show.
fn change(version: &str) -> Value {
    let action = json!({"freezer_action": {"action": "exec", "command": version}});
    json!({"description": version, "job_actions": [action, action]})
}

fn backup(name: &str) -> Value {
    json!({"backup_name": name, "container": "c", "hostname": "h"})
}

impl Writer {
    /// Makes the documents of a writer.
    pub(super) async fn start(api: &Api, name: String) -> Writer {
        let client = json!({"client_id": "c"});
        api.make("clients", &client).await;
        let counter = api.make("backups", &backup("counter")).await;
        let counter = format!("backups/{}", counter["backup_id"].as_str().unwrap());
        let (job, mut body) = (format!("jobs/{name}"), change("first"));
        body["client_id"] = json!("c");
        api.make(&job, &body).await;
        let mut ledger = Ledger::default();
        ledger
            .versions
            .insert(job.clone(), vec!["first".to_owned()]);
        Writer {
            name,
            counter,
            job,
            ledger,
        }
    }

    /// One round of requests; the number is another each time.
    pub(super) async fn round(&mut self, api: &Api, number: usize) {
        let id = format!("{}-{number}", self.name);
        self.add_session(api, &id).await;
        if number % 2 == 1 {
            let before = format!("{}-{}", self.name, number - 1);
            self.delete_session(api, before).await;
        }
        let is_acknowledged = self.write(api, "POST", "backups", &backup(&id)).await;
        self.ledger.backups.insert(id.clone(), is_acknowledged);
        let count = json!({"backup_metadata": {id.clone(): number}});
        let counter = self.counter.clone();
        if self.write(api, "PATCH", &counter, &count).await {
            self.ledger.counted.push((counter, id.clone()));
        }
        self.rewrite_job(api, id).await;
    }

    /// Whether a write was acknowledged.
    async fn write(&mut self, api: &Api, method: &str, path: &str, body: &Value) -> bool {
        let reply = api.send(method, path, body).await;
        self.ledger.figures.note(&reply, true)
    }

    async fn add_session(&mut self, api: &Api, id: &str) {
        let body = json!({"schedule": {}, "session_tag": 0});
        if self
            .write(api, "POST", &format!("sessions/{id}"), &body)
            .await
        {
            self.ledger.present.insert(id.to_owned());
        }
    }

    async fn delete_session(&mut self, api: &Api, id: String) {
        self.ledger.present.remove(&id);
        if self
            .write(api, "DELETE", &format!("sessions/{id}"), &Value::Null)
            .await
        {
            self.ledger.gone.insert(id);
        }
    }

    async fn rewrite_job(&mut self, api: &Api, version: String) {
        let path = self.job.clone();
        let is_acknowledged = self.write(api, "PATCH", &path, &change(&version)).await;
        let versions = self.ledger.versions.entry(path.clone()).or_default();
        if is_acknowledged {
            versions.clear();
        }
        versions.push(version);
        let read = api.send("GET", &path, &Value::Null).await;
        if self.ledger.figures.note(&read, false) {
            self.ledger.look_at_job(&path, &read.document);
        }
    }
}

impl Figures {
    /// Counts a reply; whether it says that the request was carried out.
    fn note(&mut self, reply: &Reply, is_write: bool) -> bool {
        self.slowest = self.slowest.max(reply.took);
        let Some(status) = reply.status else {
            self.unanswered += 1;
            return false;
        };
        *self.statuses.entry(status).or_insert(0) += 1;
        let is_done = status < 300;
        if is_done && is_write {
            self.acknowledged += 1;
            let now = Instant::now();
            let gap = self.last.map_or(Duration::ZERO, |last| now - last);
            self.outage = self.outage.max(gap);
            self.last = Some(now);
        }
        is_done
    }

    fn add(&mut self, other: Figures) {
        self.acknowledged += other.acknowledged;
        self.torn.extend(other.torn);
        self.unanswered += other.unanswered;
        self.slowest = self.slowest.max(other.slowest);
        self.outage = self.outage.max(other.outage);
        for (status, count) in other.statuses {
            *self.statuses.entry(status).or_insert(0) += count;
        }
    }
}

impl Ledger {
    /// Takes over what another one has.
    pub(super) fn add(&mut self, other: Ledger) {
        self.present.extend(other.present);
        self.gone.extend(other.gone);
        self.backups.extend(other.backups);
        self.counted.extend(other.counted);
        self.versions.extend(other.versions);
        self.figures.add(other.figures);
    }

    /// A session and a backup that are there.
    pub(super) fn samples(&self) -> (&str, &str) {
        let mut backups = self
            .backups
            .iter()
            .filter(|(_, is_acknowledged)| **is_acknowledged);
        (self.present.first().unwrap(), backups.next().unwrap().0)
    }

    /// Checks that a job shows one change, and one that it may show.
    fn look_at_job(&mut self, path: &str, job: &Value) {
        let version = &job["description"];
        let actions = job["job_actions"].as_array().unwrap();
        let of_version = |action: &Value| action["freezer_action"]["command"] == *version;
        if actions.len() != 2 || !actions.iter().all(of_version) {
            self.figures.torn.push(job.to_string());
        }
        if !self.versions[path].iter().any(|known| version == known) {
            self.figures.lost.push(format!("{path} shows {version}"));
        }
    }

    /// Looks all of it up.
    pub(super) async fn look_up(&mut self, api: &Api) {
        self.look_up_sessions(api).await;
        self.look_up_backups(api).await;
        for path in self.versions.keys().cloned().collect::<Vec<_>>() {
            let job = api.get(&path).await;
            self.look_at_job(&path, &job);
        }
    }

    async fn look_up_sessions(&mut self, api: &Api) {
        let sessions = api.get("sessions?limit=1000000").await;
        let sessions = sessions["sessions"].as_array().unwrap();
        let ids: BTreeSet<&str> = sessions
            .iter()
            .filter_map(|session| session["session_id"].as_str())
            .collect();
        let missing = self.present.iter().filter(|id| !ids.contains(id.as_str()));
        self.figures
            .lost
            .extend(missing.map(|id| format!("session {id}")));
        let undeleted = self.gone.iter().filter(|id| ids.contains(id.as_str()));
        self.figures
            .lost
            .extend(undeleted.map(|id| format!("the deletion of session {id}")));
    }

    async fn look_up_backups(&mut self, api: &Api) {
        let backups = api.get("backups?limit=1000000").await;
        let mut found: BTreeMap<&str, usize> = BTreeMap::new();
        for backup in backups["backups"].as_array().unwrap() {
            let name = backup["backup_metadata"]["backup_name"].as_str().unwrap();
            *found.entry(name).or_insert(0) += 1;
        }
        for (name, is_acknowledged) in &self.backups {
            match found.get(name.as_str()) {
                None if *is_acknowledged => self.figures.lost.push(format!("backup {name}")),
                Some(2..) => self.figures.doubled.push(name.clone()),
                _ => {}
            }
        }
        let mut counters: BTreeMap<&str, Value> = BTreeMap::new();
        for (counter, _) in &self.counted {
            if !counters.contains_key(counter.as_str()) {
                counters.insert(counter, api.get(counter).await);
            }
        }
        for (counter, key) in &self.counted {
            if counters[counter.as_str()]["backup_metadata"][key].is_null() {
                self.figures.lost.push(format!("{key} of {counter}"));
            }
        }
    }
}
