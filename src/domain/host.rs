//! How the hosts of clients fare: whether their schedulers are there, and what their jobs say together.

use serde::Serialize;
use serde_json::value::RawValue;

use super::finding::{Finding, Found, Problem, id_of};
use super::job_report::{JobHistory, Judgement};
use super::resource::raw;
use super::run::iso_time;

/// The name of the lease under which one node among all finds all this, again and again.
pub const ROUNDS: &str = "rounds";
/// What stands for the time of something that never was, so that it is the first in order.
pub const NEVER: i64 = 0;
/// What stands for the time of something that will not be, so that it is the last in order.
pub const NO_MORE: i64 = 253_402_300_800;
/// For how long a scheduler may be silent at least, in seconds, and in how many of its intervals.
const LEAST_SILENCE: i64 = 300;
const INTERVALS: i64 = 5;
/// How many seconds the clock of a host may be wrong.
const MOST_SKEW: i64 = 60;
/// Of how many runs the least skew counts: one report may have come late.
const SKEWS: usize = 3;

/// Whether the scheduler of a client is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum HostState {
    /// It has not polled since there is a note of it.
    #[default]
    Unknown,
    /// It polls.
    Alive,
    /// It did, and does not any more.
    Silent,
}

impl HostState {
    /// All states.
    pub const ALL: [HostState; 3] = [HostState::Unknown, HostState::Alive, HostState::Silent];

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            HostState::Unknown => "unknown",
            HostState::Alive => "alive",
            HostState::Silent => "silent",
        }
    }

    /// The state of a word.
    pub fn parse(name: &str) -> Option<HostState> {
        HostState::ALL
            .into_iter()
            .find(|state| state.name() == name)
    }

    /// The state of a scheduler that polled last then, every so many seconds. Times at which nobody could have heard it do not count: the
    /// service has been `watching` since.
    pub fn of(
        last_poll_at: Option<i64>,
        interval: Option<i64>,
        watching: i64,
        now: i64,
    ) -> HostState {
        let Some(last_poll_at) = last_poll_at else {
            return HostState::Unknown;
        };
        let limit = LEAST_SILENCE.max(interval.unwrap_or(0).saturating_mul(INTERVALS));
        if now.saturating_sub(last_poll_at.max(watching)) > limit {
            HostState::Silent
        } else {
            HostState::Alive
        }
    }
}

/// What the jobs of a project on a client say together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobTally {
    /// How many there are.
    pub jobs: i64,
    /// How many of them are to run.
    pub active_jobs: i64,
    /// Whether one of these makes backups.
    pub is_protected: bool,
    /// The last success of any, or [`NEVER`].
    pub last_success_at: i64,
    /// When the first of them is due, or [`NO_MORE`].
    pub due_at: i64,
    /// How many run.
    pub running: i64,
    /// Since when the longest does.
    pub running_since: Option<i64>,
    /// The most failures in a row of any.
    pub failed_in_a_row: i64,
    /// How many seconds the host's clock is behind that of this service, as its last runs say.
    pub clock_skew: Option<i64>,
    /// What is wrong with any of them, the worst first, each once.
    pub findings: Vec<Finding>,
}

impl Default for JobTally {
    fn default() -> JobTally {
        JobTally {
            jobs: 0,
            active_jobs: 0,
            is_protected: false,
            last_success_at: NEVER,
            due_at: NO_MORE,
            running: 0,
            running_since: None,
            failed_in_a_row: 0,
            clock_skew: None,
            findings: Vec::new(),
        }
    }
}

/// A tally that grows, job by job.
#[derive(Clone, Debug, Default)]
pub struct Counting {
    tally: JobTally,
    /// When the last runs were seen to start, and how far the host's clock was off, the last first.
    skews: Vec<(i64, i64)>,
}

impl Counting {
    /// Adds a job, of which it is known whether it makes backups.
    pub fn add(&mut self, job: &JobHistory, judgement: &Judgement, makes_backups: bool) {
        let tally = &mut self.tally;
        tally.jobs += 1;
        if judgement.is_active {
            tally.active_jobs += 1;
            tally.is_protected |= makes_backups;
        }
        let success = judgement.last_success_at.unwrap_or(NEVER);
        tally.last_success_at = tally.last_success_at.max(success);
        tally.due_at = tally.due_at.min(judgement.due_at.unwrap_or(NO_MORE));
        if let Some(since) = judgement.running_since {
            tally.running += 1;
            tally.running_since = Some(tally.running_since.map_or(since, |first| first.min(since)));
        }
        let failed = i64::try_from(judgement.failed_in_a_row).unwrap_or(i64::MAX);
        tally.failed_in_a_row = tally.failed_in_a_row.max(failed);
        tally
            .findings
            .extend(judgement.found.iter().map(|found| found.finding));
        tally.findings.sort_unstable();
        tally.findings.dedup();
        for run in job.runs.iter().take(SKEWS) {
            if let Some(seen) = run.seen_started_at {
                self.skews.push((seen, seen.saturating_sub(run.started_at)));
            }
        }
        self.skews
            .sort_unstable_by_key(|skew| std::cmp::Reverse(*skew));
        self.skews.truncate(SKEWS);
    }

    /// What all say together.
    pub fn end(self) -> JobTally {
        let skews = self.skews.into_iter().map(|(_, skew)| skew);
        JobTally {
            clock_skew: skews.min_by_key(|skew| skew.saturating_abs()),
            ..self.tally
        }
    }
}

/// A row of `freezer_api_hosts`: a project's own client, or a central one with jobs of the project.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the columns' names")]
pub struct Host {
    pub id: String,
    pub project_id: Option<String>,
    pub client_id: String,
    pub hostname: Option<String>,
    pub is_central: bool,
    /// Whether it is registered in the project itself.
    pub is_registered: bool,
    pub state: HostState,
    /// What is wrong with the client, beside its jobs.
    pub findings: Vec<Finding>,
    pub tally: JobTally,
}

impl Host {
    /// One of which nothing else is known.
    pub fn of(project_id: Option<&str>, client_id: &str) -> Host {
        Host {
            id: id_of(&["host", project_id.unwrap_or_default(), client_id]),
            project_id: project_id.map(str::to_owned),
            client_id: client_id.to_owned(),
            hostname: None,
            is_central: false,
            is_registered: false,
            state: HostState::Unknown,
            findings: Vec::new(),
            tally: JobTally::default(),
        }
    }

    /// Whether backups are missing, or about to be.
    pub fn is_red(&self) -> bool {
        let mut findings = self.findings.iter().chain(&self.tally.findings);
        findings.any(|finding| finding.is_urgent())
    }
}

/// What is known of a client that is registered.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the columns' names")]
pub struct Registration {
    pub id: String,
    pub project_id: Option<String>,
    pub client_id: String,
    pub hostname: Option<String>,
    pub is_central: bool,
    pub last_poll_at: Option<i64>,
    pub poll_interval: Option<i64>,
}

impl Registration {
    /// Whether its scheduler is there.
    pub fn state(&self, watching: i64, now: i64) -> HostState {
        HostState::of(self.last_poll_at, self.poll_interval, watching, now)
    }

    /// What is wrong with it, beside its jobs, of which this is known. When it began is not known of all: then it is now.
    pub fn findings(&self, tally: &JobTally, watching: i64, now: i64) -> Vec<Found> {
        let mut found = Vec::new();
        let mut add = |finding, since| found.push(Found { finding, since });
        if self.state(watching, now) == HostState::Silent {
            add(Finding::Silent, self.last_poll_at.unwrap_or(now));
        }
        // A central one waits for the jobs of others.
        if !self.is_central && !tally.is_protected {
            add(Finding::Unprotected, now);
        }
        if tally
            .clock_skew
            .is_some_and(|skew| skew.saturating_abs() > MOST_SKEW)
        {
            add(Finding::ClockSkew, now);
        }
        found
    }

    /// The row of a finding.
    pub fn problem(&self, found: Found, tally: &JobTally) -> Problem {
        Problem {
            last_success_at: Some(tally.last_success_at).filter(|time| *time != NEVER),
            due_at: Some(tally.due_at).filter(|time| *time != NO_MORE),
            clock_skew: tally.clock_skew,
            ..Problem::of_client(found, self.project_id.as_deref(), &self.client_id)
        }
    }
}

/// A host with what was seen of its scheduler, as reports show it.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the columns' names")]
pub struct HostReport {
    pub host: Host,
    pub last_poll_at: Option<i64>,
    pub poll_interval: Option<i64>,
    pub addresses: i64,
    pub restarts: i64,
    pub os: Option<String>,
    pub agent_version: Option<String>,
}

/// The document of a host.
#[derive(Serialize)]
struct HostDocument<'a> {
    host_id: &'a str,
    project_id: &'a Option<String>,
    client_id: &'a str,
    hostname: &'a Option<String>,
    is_central: bool,
    is_registered: bool,
    state: &'static str,
    last_poll_at: Option<String>,
    poll_interval: Option<i64>,
    addresses: i64,
    restarts: i64,
    jobs: i64,
    active_jobs: i64,
    last_success_at: Option<String>,
    due_at: Option<String>,
    running: i64,
    failed_in_a_row: i64,
    os: &'a Option<String>,
    agent_version: &'a Option<String>,
    clock_skew: Option<i64>,
    findings: Vec<&'static str>,
}

impl HostReport {
    /// The document that answers show.
    pub fn to_json(&self) -> Box<RawValue> {
        let HostReport { host, .. } = self;
        let tally = &host.tally;
        let success = Some(tally.last_success_at).filter(|time| *time != NEVER);
        let due = Some(tally.due_at).filter(|time| *time != NO_MORE);
        let mut findings: Vec<Finding> = [&host.findings[..], &tally.findings[..]].concat();
        findings.sort_unstable();
        raw(&HostDocument {
            host_id: &host.id,
            project_id: &host.project_id,
            client_id: &host.client_id,
            hostname: &host.hostname,
            is_central: host.is_central,
            is_registered: host.is_registered,
            state: host.state.name(),
            last_poll_at: self.last_poll_at.and_then(iso_time),
            poll_interval: self.poll_interval,
            addresses: self.addresses,
            restarts: self.restarts,
            jobs: tally.jobs,
            active_jobs: tally.active_jobs,
            last_success_at: success.and_then(iso_time),
            due_at: due.and_then(iso_time),
            running: tally.running,
            failed_in_a_row: tally.failed_in_a_row,
            os: &self.os,
            agent_version: &self.agent_version,
            clock_skew: tally.clock_skew,
            findings: findings.into_iter().map(Finding::name).collect(),
        })
    }
}

/// By what a list of hosts is ordered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HostKey {
    /// Their name.
    #[default]
    ClientId,
    /// Their last success; those that never had one come before all others.
    LastSuccess,
    /// When they are due; those that are not come after all others.
    Due,
}

impl HostKey {
    /// All keys.
    pub const ALL: [HostKey; 3] = [HostKey::ClientId, HostKey::LastSuccess, HostKey::Due];

    /// Its column, and its name in queries.
    pub fn name(self) -> &'static str {
        match self {
            HostKey::ClientId => "client_id",
            HostKey::LastSuccess => "last_success_at",
            HostKey::Due => "due_at",
        }
    }
}

/// Which hosts a list shows.
#[derive(Clone, Debug, Default)]
pub struct HostQuery {
    /// Those in one of these states; none: in any.
    pub states: Vec<HostState>,
    /// Those of a name.
    pub client_id: Option<String>,
    /// By what they are ordered.
    pub key: HostKey,
    /// Whether in descending order.
    pub is_descending: bool,
    /// How many at most.
    pub limit: usize,
    /// The id of the host behind which the list begins.
    pub marker: Option<String>,
}

/// Findings as the table keeps them: their words, separated by commas.
pub fn findings_text(findings: &[Finding]) -> String {
    let words: Vec<&str> = findings.iter().map(|finding| finding.name()).collect();
    words.join(",")
}

/// What such a text says. Words that are not known are of a newer program.
pub fn parse_findings(text: &str) -> Vec<Finding> {
    text.split(',').filter_map(Finding::parse).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn silence_is_longer_than_five_intervals() {
        let state = |last, interval, watching, now| HostState::of(last, interval, watching, now);
        assert_eq!(state(None, None, 0, 1_000), HostState::Unknown);
        assert_eq!(state(Some(100), None, 0, 400), HostState::Alive);
        assert_eq!(state(Some(100), None, 0, 401), HostState::Silent);
        assert_eq!(state(Some(100), Some(60), 0, 401), HostState::Silent);
        assert_eq!(state(Some(100), Some(600), 0, 3_100), HostState::Alive);
        assert_eq!(state(Some(100), Some(600), 0, 3_101), HostState::Silent);
        // Nobody listened before.
        assert_eq!(state(Some(100), None, 5_000, 5_300), HostState::Alive);
        assert_eq!(state(Some(100), None, 5_000, 5_301), HostState::Silent);
    }

    proptest! {
        #[test]
        fn who_is_silent_stays_so_until_the_next_poll(
            last in 0..10_000i64, interval in prop::option::of(1..5_000i64), watching in 0..10_000i64, now in 0..40_000i64,
        ) {
            let before = HostState::of(Some(last), interval, watching, now);
            let after = HostState::of(Some(last), interval, watching, now + 1);
            prop_assert!(before == after || after == HostState::Silent);
            prop_assert_eq!(HostState::of(Some(now), interval, watching, now), HostState::Alive);
        }
    }

    #[test]
    fn findings_are_read_as_they_were_written() {
        let all: Vec<Finding> = Finding::all().collect();
        assert_eq!(parse_findings(&findings_text(&all)), all);
        assert_eq!(parse_findings(""), []);
        assert!(findings_text(&all).len() < 255);
    }
}
