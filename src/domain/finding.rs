//! What can be wrong with jobs and hosts, in words. When it is, say [`job_report`](super::job_report),
//! [`host`](super::host) and [`series`](super::series).

use serde::Serialize;
use serde_json::value::RawValue;

use super::resource::raw;
use super::run::iso_time;

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Finding {
    /// The last run of a job failed.
    Failing,
    /// A job should have succeeded again by now.
    Overdue,
    /// A job should have succeeded by now, and never did.
    Never,
    /// A job has succeeded in a backup, and no record of it has arrived.
    NoRecord,
    /// Nobody knows how a job's last run ended.
    Lost,
    /// A job runs for longer than it ever did.
    Stuck,
    /// The scheduler of a client does not poll any more.
    Silent,
    /// A job's schedule cannot be read, so its scheduler does not run it.
    Unreadable,
    /// A client has no job that makes backups.
    Unprotected,
    /// A job has been stopped for long.
    Paused,
    /// The last record of a series of backups is unfinished since a day, or says that the backup failed.
    Pending,
    /// The clock of a host is wrong.
    ClockSkew,
    /// The job of a series of backups is gone.
    Orphan,
}

/// What a finding is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A job.
    Job,
    /// A client.
    Client,
    /// A series of backups.
    Series,
}

/// A finding, its word, how urgent it is, and what to do. The numbers are stored, so they stay; the smaller is the worse.
type Words = (Finding, &'static str, i64, &'static str);

#[rustfmt::skip]
const WORDS: [Words; 13] = [
    (Finding::Failing, "failing", 10,
        "Read on the host why: journalctl -u freezer-scheduler, and the log that the action names."),
    (Finding::Overdue, "overdue", 20,
        "See whether its scheduler runs, and whether its runs fail or end unreported."),
    (Finding::Never, "never", 30,
        "See whether its scheduler runs: a job is run from the next poll of its scheduler on."),
    (Finding::NoRecord, "no_record", 40,
        "Read in the log of the scheduler why the record was refused or lost. The data may well be there."),
    (Finding::Lost, "lost", 50,
        "Look at the host: the agent was killed, or the report of its end did not arrive."),
    (Finding::Stuck, "stuck", 60,
        "Look at the host, and abort the job if nothing moves."),
    (Finding::Silent, "silent", 70,
        "Look whether the host is up, and its freezer-scheduler runs and reaches this service."),
    (Finding::Unreadable, "unreadable", 80,
        "Correct the schedule of the job."),
    (Finding::Unprotected, "unprotected", 90,
        "Give the client a job with a backup action, or remove the client."),
    (Finding::Paused, "paused", 100,
        "Start the job again, or delete it."),
    (Finding::Pending, "pending", 110,
        "Look at Cinder's own backup: its record is unfinished, or says that it failed."),
    (Finding::ClockSkew, "clock_skew", 120,
        "Set the clock of the host, by NTP for example: its runs are kept by it."),
    (Finding::Orphan, "orphan", 130,
        "Nothing is backed up there any more: remove the backups when nobody needs them."),
];

/// The urgency of the least of those that mean that backups are missing.
const LEAST_URGENT: i64 = 39;

impl Finding {
    /// All of them, the worst first.
    pub fn all() -> impl Iterator<Item = Finding> + Clone {
        WORDS.iter().map(|(finding, ..)| *finding)
    }

    fn words(self) -> &'static Words {
        let found = WORDS.iter().find(|(finding, ..)| *finding == self);
        #[expect(clippy::expect_used, reason = "a test looks for each")]
        found.expect("a finding with words")
    }

    /// The word for it.
    pub fn name(self) -> &'static str {
        self.words().1
    }

    /// The finding of a word.
    pub fn parse(name: &str) -> Option<Finding> {
        Finding::all().find(|finding| finding.name() == name)
    }

    /// How urgent it is, in the table of problems: the smaller is the worse.
    pub fn urgency(self) -> i64 {
        self.words().2
    }

    /// The finding of an urgency.
    pub fn of_urgency(urgency: i64) -> Option<Finding> {
        Finding::all().find(|finding| finding.urgency() == urgency)
    }

    /// What to do about it, a sentence for people.
    pub fn next_step(self) -> &'static str {
        self.words().3
    }

    /// Whether backups are missing, or about to be.
    pub fn is_urgent(self) -> bool {
        self.urgency() <= LEAST_URGENT
    }

    /// Its severity, in a word.
    pub fn severity(self) -> &'static str {
        if self.is_urgent() { "red" } else { "amber" }
    }

    /// What it is about.
    pub fn subject(self) -> Subject {
        match self {
            Finding::Silent | Finding::Unprotected | Finding::ClockSkew => Subject::Client,
            Finding::Pending | Finding::Orphan => Subject::Series,
            _ => Subject::Job,
        }
    }

    /// Those about the same.
    pub fn about(subject: Subject) -> impl Iterator<Item = Finding> + Clone {
        Finding::all().filter(move |finding| finding.subject() == subject)
    }
}

/// A finding, and since when it is so, in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// What.
    pub finding: Finding,
    /// Since when.
    pub since: i64,
}

/// A row of `freezer_api_problems`: a finding of a job, a client or a series of backups.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the columns' names")]
pub struct Problem {
    /// Made of what it is about, so that it stays the same for as long as it is found.
    pub id: String,
    pub finding: Finding,
    pub since: i64,
    pub project_id: Option<String>,
    pub client_id: String,
    pub job_id: Option<String>,
    pub series_id: Option<String>,
    pub description: Option<String>,
    pub last_success_at: Option<i64>,
    pub due_at: Option<i64>,
    pub failed_in_a_row: i64,
    pub clock_skew: Option<i64>,
}

/// The document of a problem.
#[derive(Serialize)]
struct ProblemDocument<'a> {
    problem_id: &'a str,
    kind: &'static str,
    severity: &'static str,
    project_id: &'a Option<String>,
    client_id: &'a str,
    job_id: &'a Option<String>,
    series_id: &'a Option<String>,
    description: &'a Option<String>,
    since: Option<String>,
    last_success_at: Option<String>,
    due_at: Option<String>,
    failed_in_a_row: i64,
    clock_skew: Option<i64>,
    next_step: &'static str,
}

impl Problem {
    /// A finding of a client.
    pub fn of_client(found: Found, project_id: Option<&str>, client_id: &str) -> Problem {
        Problem {
            id: id_of(&[
                found.finding.name(),
                project_id.unwrap_or_default(),
                client_id,
                "",
            ]),
            finding: found.finding,
            since: found.since,
            project_id: project_id.map(str::to_owned),
            client_id: client_id.to_owned(),
            job_id: None,
            series_id: None,
            description: None,
            last_success_at: None,
            due_at: None,
            failed_in_a_row: 0,
            clock_skew: None,
        }
    }

    /// The same as the one that was found before, where it was: it has begun then.
    pub fn continuing(mut self, before: Option<&Problem>) -> Problem {
        if let Some(before) = before {
            self.since = self.since.min(before.since);
        }
        self
    }

    /// The document that answers show.
    pub fn to_json(&self) -> Box<RawValue> {
        raw(&ProblemDocument {
            problem_id: &self.id,
            kind: self.finding.name(),
            severity: self.finding.severity(),
            project_id: &self.project_id,
            client_id: &self.client_id,
            job_id: &self.job_id,
            series_id: &self.series_id,
            description: &self.description,
            since: iso_time(self.since),
            last_success_at: self.last_success_at.and_then(iso_time),
            due_at: self.due_at.and_then(iso_time),
            failed_in_a_row: self.failed_in_a_row,
            clock_skew: self.clock_skew,
            next_step: self.finding.next_step(),
        })
    }
}

/// Which problems a list shows.
#[derive(Clone, Debug, Default)]
pub struct ProblemQuery {
    /// Those of these kinds; none: of any.
    pub findings: Vec<Finding>,
    /// Those of a client and its jobs.
    pub client_id: Option<String>,
    /// Those of a job.
    pub job_id: Option<String>,
    /// How many at most.
    pub limit: usize,
    /// The id of the problem behind which the list begins.
    pub marker: Option<String>,
}

/// An id of 32 hexadecimal digits that is always the same for the same texts.
pub fn id_of(parts: &[&str]) -> String {
    const IDS: uuid::Uuid = uuid::uuid!("3c1f0f0e-6f0b-4c5c-9a53-0d6a4f7b9a11");
    // No text has a NUL.
    let name = parts.join("\0");
    uuid::Uuid::new_v5(&IDS, name.as_bytes())
        .simple()
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_finding_has_its_words() {
        let urgencies: Vec<i64> = Finding::all().map(Finding::urgency).collect();
        assert!(urgencies.is_sorted_by(|one, two| one < two));
        let mut sorted: Vec<Finding> = Finding::all().collect();
        sorted.sort_unstable();
        assert!(
            Finding::all().eq(sorted),
            "the order of the enum is another"
        );
        for finding in Finding::all() {
            assert_eq!(Finding::parse(finding.name()), Some(finding));
            assert_eq!(Finding::of_urgency(finding.urgency()), Some(finding));
        }
        // The last one of the enum is there too.
        assert_eq!(Finding::Orphan.name(), "orphan");
        assert!(Finding::Never.is_urgent() && !Finding::NoRecord.is_urgent());
    }

    #[test]
    fn ids_tell_texts_apart() {
        assert_eq!(id_of(&["a", "b"]), id_of(&["a", "b"]));
        assert_ne!(id_of(&["a", "b"]), id_of(&["ab", ""]));
    }
}
