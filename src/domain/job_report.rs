//! How a job fares: when it is due, and what is wrong with it. The rules are here alone, on what was seen of its runs.

use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use time::OffsetDateTime;

use super::document::{self, Object};
use super::finding::{Finding, Found, Problem, id_of};
use super::resource::raw;
use super::run::{Run, RunState, iso_time};
use super::schedule::Cadence;
use super::series::Records;

/// How many of its last runs a job is judged by.
pub const LAST_RUNS: usize = 20;
const HOUR: i64 = 3600;
/// How long a run may take before it counts as stuck, where others do not tell.
const LONG: i64 = 6 * HOUR;
/// How long a job may be stopped before somebody should think of it.
const LONG_PAUSE: i64 = 7 * 24 * HOUR;

/// What is known of a job.
#[derive(Clone, Debug)]
pub struct JobHistory {
    /// Its id.
    pub job_id: String,
    /// Its project.
    pub project_id: Option<String>,
    /// Its client.
    pub client_id: String,
    /// Its words for people.
    pub description: Option<String>,
    /// Its `job_schedule`.
    pub schedule: Object,
    /// When it was created, in seconds since 1970.
    pub created_at: Option<i64>,
    /// When it was changed last.
    pub changed_at: Option<i64>,
    /// Its last runs, the last first.
    pub runs: Vec<Run>,
    /// Its last run that succeeded.
    pub last_success: Option<Run>,
    /// What is known of the records of its backups.
    pub records: Records,
}

/// What is to be said of a job at a time.
#[derive(Clone, Debug)]
pub struct Judgement {
    /// The most seconds from one start to the next.
    pub period: Option<i64>,
    /// Whether its scheduler is to run it.
    pub is_active: bool,
    /// When it shall have succeeded again: a period after its last success, or its creation, with a grace of a quarter of it, an
    /// hour at least, and the time that it usually takes. `None` where it is not to run again.
    pub due_at: Option<i64>,
    /// The start of its last success: as it was seen, or, from before runs were, as its schedule still says.
    pub last_success_at: Option<i64>,
    /// How many of its last runs failed, one after the other.
    pub failed_in_a_row: usize,
    /// The start of the run that goes on.
    pub running_since: Option<i64>,
    /// What is wrong with it, the worst first.
    pub found: Vec<Found>,
}

/// Which jobs a report shows.
#[derive(Clone, Debug, Default)]
pub struct JobQuery {
    /// Those on a client.
    pub client_id: Option<String>,
    /// Whether those that were created last come first.
    pub newest_first: bool,
    /// How many at most.
    pub limit: usize,
    /// The id of the job behind which the list begins.
    pub marker: Option<String>,
}

/// A job in the report.
#[derive(Serialize)]
struct JobReport<'a> {
    job_id: &'a str,
    project_id: &'a Option<String>,
    client_id: &'a str,
    description: &'a Option<String>,
    status: &'a str,
    period: Option<i64>,
    due_at: Option<String>,
    last_success_at: Option<String>,
    failed_in_a_row: usize,
    findings: Vec<&'static str>,
    runs: Vec<Box<RawValue>>,
}

impl JobHistory {
    /// The document that answers show.
    pub fn report(&self, now: OffsetDateTime) -> Box<RawValue> {
        let judgement = self.judge(now);
        let findings = judgement.found.iter().map(|found| found.finding.name());
        raw(&JobReport {
            job_id: &self.job_id,
            project_id: &self.project_id,
            client_id: &self.client_id,
            description: &self.description,
            status: self.status(),
            period: judgement.period,
            due_at: judgement.due_at.and_then(iso_time),
            last_success_at: judgement.last_success_at.and_then(iso_time),
            failed_in_a_row: judgement.failed_in_a_row,
            findings: findings.collect(),
            runs: self.runs.iter().map(Run::to_json).collect(),
        })
    }

    /// What is to be said of it.
    pub fn judge(&self, now: OffsetDateTime) -> Judgement {
        let cadence = Cadence::of(&self.schedule, now);
        let period = match cadence {
            Cadence::Every(seconds) => Some(seconds),
            Cadence::Once | Cadence::Unreadable => None,
        };
        let open = self.runs.iter().find(|run| run.state == RunState::Running);
        let mut judgement = Judgement {
            period,
            is_active: self.is_active(),
            due_at: period.and_then(|period| self.due_at(period)),
            last_success_at: self.last_success_at(),
            failed_in_a_row: self.failures().count(),
            running_since: open.map(|run| run.started_at),
            found: Vec::new(),
        };
        judgement.found = self.found(&judgement, cadence, now.unix_timestamp());
        judgement
    }

    fn found(&self, judgement: &Judgement, cadence: Cadence, now: i64) -> Vec<Found> {
        let mut found = Vec::new();
        let mut add = |finding, since| found.push(Found { finding, since });
        match self.last_ended() {
            Some(run) if run.state == RunState::Fail => {
                let first = self.failures().last().map(|run| run.started_at);
                add(Finding::Failing, first.unwrap_or(run.started_at));
            }
            Some(run) if matches!(run.state, RunState::Lost | RunState::Unreported) => {
                add(Finding::Lost, run.started_at);
            }
            _ => {}
        }
        if let Some(due_at) = judgement.due_at.filter(|due_at| *due_at < now) {
            add(
                match judgement.last_success_at {
                    Some(_) => Finding::Overdue,
                    None => Finding::Never,
                },
                due_at,
            );
        }
        if let Some(run) = self.records.missing_of(self.last_success.as_ref()) {
            add(Finding::NoRecord, run.started_at);
        }
        if let Some(since) = self.stuck_since(now) {
            add(Finding::Stuck, since);
        }
        let changed_at = self.changed_at.or(self.created_at);
        if judgement.is_active && cadence == Cadence::Unreadable {
            add(Finding::Unreadable, changed_at.unwrap_or(now));
        }
        // When it was stopped is not known, but nothing has happened to it since.
        if let Some(since) = changed_at.filter(|since| now.saturating_sub(*since) > LONG_PAUSE)
            && judgement.period.is_some()
            && self.is_stopped()
        {
            add(Finding::Paused, since);
        }
        found.sort_unstable_by_key(|found| found.finding);
        found
    }

    /// The rows of what was found.
    pub fn problems(&self, judgement: &Judgement) -> Vec<Problem> {
        let found = judgement.found.iter();
        found
            .map(|found| Problem {
                id: id_of(&[found.finding.name(), "", "", &self.job_id]),
                job_id: Some(self.job_id.clone()),
                description: self.description.clone(),
                last_success_at: judgement.last_success_at,
                due_at: judgement.due_at,
                failed_in_a_row: i64::try_from(judgement.failed_in_a_row).unwrap_or(i64::MAX),
                ..Problem::of_client(*found, self.project_id.as_deref(), &self.client_id)
            })
            .collect()
    }

    fn due_at(&self, period: i64) -> Option<i64> {
        if !self.is_active() {
            return None;
        }
        let since = self.last_success_at().or(self.created_at)?;
        let grace = HOUR.max(period / 4) + self.usual_duration().unwrap_or(0);
        since.checked_add(period)?.checked_add(grace)
    }

    /// Whether its scheduler is to run it.
    fn is_active(&self) -> bool {
        let event = document::text(&self.schedule, "event").unwrap_or_default();
        !matches!(self.status(), "stop" | "completed" | "removed")
            && !matches!(event, "stop" | "abort" | "remove")
    }

    /// Whether somebody has stopped it, or asked for that.
    fn is_stopped(&self) -> bool {
        let event = document::text(&self.schedule, "event");
        self.status() == "stop" || event == Some("stop")
    }

    fn status(&self) -> &str {
        document::text(&self.schedule, "status").unwrap_or_default()
    }

    fn last_success_at(&self) -> Option<i64> {
        let seen = self.last_success.as_ref().map(|run| run.started_at);
        let is_success = document::text(&self.schedule, "result") == Some("success");
        let told = self.schedule.get("time_started").and_then(Value::as_i64);
        seen.max(told.filter(|time| is_success && *time > 0))
    }

    fn last_ended(&self) -> Option<&Run> {
        self.runs.iter().find(|run| run.state != RunState::Running)
    }

    /// Its last runs that failed, one after the other, the last first.
    fn failures(&self) -> impl Iterator<Item = &Run> {
        let ended = self
            .runs
            .iter()
            .filter(|run| run.state != RunState::Running);
        ended.take_while(|run| run.state == RunState::Fail)
    }

    /// Since when a run goes on that takes too long.
    fn stuck_since(&self, now: i64) -> Option<i64> {
        let open = self
            .runs
            .iter()
            .find(|run| run.state == RunState::Running)?;
        let usual = self.usual_duration().unwrap_or(0);
        let limit = LONG.max(usual.saturating_mul(3));
        let since = open.seen_started_at?;
        (now.checked_sub(since)? > limit).then_some(since)
    }

    /// What 95 of 100 of its successful runs took at most, of the last ones.
    fn usual_duration(&self) -> Option<i64> {
        let succeeded = self
            .runs
            .iter()
            .filter(|run| run.state == RunState::Success);
        let mut durations: Vec<i64> = succeeded
            .filter_map(|run| run.ended_at?.checked_sub(run.started_at))
            .filter(|seconds| *seconds >= 0)
            .collect();
        durations.sort_unstable();
        let rank = (durations.len() * 95).div_ceil(100);
        durations.get(rank.checked_sub(1)?).copied()
    }
}
