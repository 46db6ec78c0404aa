//! How a job fares: when it is due, and what is wrong with it. The rules are here alone, on what was seen of its runs.

use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use time::OffsetDateTime;

use super::document::{self, Object};
use super::resource::raw;
use super::run::{Run, RunState, iso_time};
use super::schedule::Cadence;

/// How many of its last runs a job is judged by.
pub const LAST_RUNS: usize = 20;
const HOUR: i64 = 3600;
/// How long a run may take before it counts as stuck, where others do not tell.
const LONG: i64 = 6 * HOUR;

/// What is wrong with a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Finding {
    /// The last run failed.
    Failing,
    /// It should have succeeded again by now.
    Overdue,
    /// It should have succeeded by now, and never did.
    Never,
    /// Nobody knows how the last run ended.
    Lost,
    /// It runs for longer than it ever did.
    Stuck,
    /// Its schedule cannot be read, so its scheduler does not run it.
    Unreadable,
}

impl Finding {
    /// All of them, the worst first.
    pub const ALL: [Finding; 6] = [
        Finding::Failing,
        Finding::Overdue,
        Finding::Never,
        Finding::Lost,
        Finding::Stuck,
        Finding::Unreadable,
    ];

    /// Whether backups are missing, or about to be.
    pub fn is_urgent(self) -> bool {
        matches!(self, Finding::Failing | Finding::Overdue | Finding::Never)
    }

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Finding::Failing => "failing",
            Finding::Overdue => "overdue",
            Finding::Never => "never",
            Finding::Lost => "lost",
            Finding::Stuck => "stuck",
            Finding::Unreadable => "unreadable",
        }
    }
}

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
    /// Its last runs, the last first.
    pub runs: Vec<Run>,
    /// Its last run that succeeded.
    pub last_success: Option<Run>,
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
        let cadence = Cadence::of(&self.schedule, now);
        let period = match cadence {
            Cadence::Every(seconds) => Some(seconds),
            Cadence::Once | Cadence::Unreadable => None,
        };
        let findings = self.findings(now);
        raw(&JobReport {
            job_id: &self.job_id,
            project_id: &self.project_id,
            client_id: &self.client_id,
            description: &self.description,
            status: self.status(),
            period,
            due_at: self.due_at(now).and_then(iso_time),
            last_success_at: self.last_success_at().and_then(iso_time),
            failed_in_a_row: self.failed_in_a_row(),
            findings: findings.into_iter().map(Finding::name).collect(),
            runs: self.runs.iter().map(Run::to_json).collect(),
        })
    }

    /// What is wrong with it, the worst first.
    pub fn findings(&self, now: OffsetDateTime) -> Vec<Finding> {
        let mut findings = Vec::new();
        match self.last_ended().map(|run| run.state) {
            Some(RunState::Fail) => findings.push(Finding::Failing),
            Some(RunState::Lost | RunState::Unreported) => findings.push(Finding::Lost),
            _ => {}
        }
        let seconds = now.unix_timestamp();
        if self.due_at(now).is_some_and(|due_at| due_at < seconds) {
            findings.push(match self.last_success_at() {
                Some(_) => Finding::Overdue,
                None => Finding::Never,
            });
        }
        if self.is_stuck(seconds) {
            findings.push(Finding::Stuck);
        }
        if self.is_active() && Cadence::of(&self.schedule, now) == Cadence::Unreadable {
            findings.push(Finding::Unreadable);
        }
        findings.sort_unstable();
        findings
    }

    /// When it shall have succeeded again: a period after its last success, or its creation, with a grace of a quarter of it, an
    /// hour at least, and the time that it usually takes. `None` where it is not to run again.
    pub fn due_at(&self, now: OffsetDateTime) -> Option<i64> {
        let Cadence::Every(period) = Cadence::of(&self.schedule, now) else {
            return None;
        };
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

    fn status(&self) -> &str {
        document::text(&self.schedule, "status").unwrap_or_default()
    }

    /// The start of its last success: as it was seen, or, from before runs were, as its schedule still says.
    pub fn last_success_at(&self) -> Option<i64> {
        let seen = self.last_success.as_ref().map(|run| run.started_at);
        let is_success = document::text(&self.schedule, "result") == Some("success");
        let told = self.schedule.get("time_started").and_then(Value::as_i64);
        seen.max(told.filter(|time| is_success && *time > 0))
    }

    fn last_ended(&self) -> Option<&Run> {
        self.runs.iter().find(|run| run.state != RunState::Running)
    }

    fn failed_in_a_row(&self) -> usize {
        let ended = self
            .runs
            .iter()
            .filter(|run| run.state != RunState::Running);
        ended.take_while(|run| run.state == RunState::Fail).count()
    }

    fn is_stuck(&self, now: i64) -> bool {
        let open = self.runs.iter().find(|run| run.state == RunState::Running);
        let usual = self.usual_duration().unwrap_or(0);
        let limit = LONG.max(usual.saturating_mul(3));
        open.and_then(|run| now.checked_sub(run.seen_started_at?))
            .is_some_and(|seconds| seconds > limit)
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
