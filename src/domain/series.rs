//! Series of backups: those of one job at one place. Which series a backup belongs to is a pure function of its record, so that
//! series can be made again at any time.

use serde::Serialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::backup::Backup;
use super::document::{self, Object};
use super::finding::{Finding, Found, Problem, Subject, id_of};
use super::resource::raw;
use super::restore::Place;
use super::run::{Run, RunState, iso_time};

/// The namespace of the ids of series.
const NAMESPACE: Uuid = Uuid::from_u128(0x6f3c_a8d0_52c1_4f0e_9b7a_2d64_e1a0_7c35);
/// How many characters of a text are shown.
const SHOWN: usize = 255;
/// How long the record of a backup may stay unfinished, and how long after its run it may arrive, in seconds.
const UNFINISHED: i64 = 86_400;
const ARRIVAL: i64 = 300;

/// A backup as it is put into a series.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// Its id.
    pub backup_id: String,
    /// When it was recorded, in seconds since 1970.
    pub created_at: i64,
    /// The series that it belongs to.
    pub series: SeriesKey,
}

/// What tells one series from another, and how it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the columns' names")]
pub struct SeriesKey {
    /// Made of all members; texts are cut only where they are shown.
    pub id: String,
    pub project_id: Option<String>,
    pub job_id: Option<String>,
    pub hostname: Option<String>,
    pub backup_name: Option<String>,
    pub container: Option<String>,
    pub storage: Option<String>,
    pub resource_id: Option<String>,
}

impl SeriesKey {
    /// The series of a backup.
    pub fn of(backup: &Backup) -> SeriesKey {
        SeriesKey::new(
            backup.project_id.clone(),
            backup.job_id.clone(),
            &document::stored_object(backup.backup_metadata.as_deref()),
        )
    }

    /// The series of a project's backup by a job, with these metadata.
    pub fn new(project_id: Option<String>, job_id: Option<String>, metadata: &Object) -> SeriesKey {
        let place = Place::of(metadata);
        let parts = [
            &project_id,
            &job_id,
            &place.hostname,
            &place.backup_name,
            &place.container,
            &place.storage,
            &place.resource_id,
        ];
        let name = serde_json::to_vec(&parts).unwrap_or_default();
        let id = Uuid::new_v5(&NAMESPACE, &name).simple().to_string();
        SeriesKey {
            id,
            project_id,
            job_id,
            hostname: shown(place.hostname),
            backup_name: shown(place.backup_name),
            container: shown(place.container),
            storage: shown(place.storage),
            resource_id: shown(place.resource_id),
        }
    }
}

/// No column takes more, and PostgreSQL no NUL.
fn shown(text: Option<String>) -> Option<String> {
    let text = text?;
    let kept = text.chars().filter(|c| *c != '\0').take(SHOWN);
    Some(kept.collect())
}

/// What is known of the records of a job's backups. Times are seconds since 1970, by the clock of this service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Records {
    /// When the last one arrived.
    pub last_at: Option<i64>,
    /// Until when all that arrived are known.
    pub known_until: Option<i64>,
}

impl Records {
    /// The successful run of its job that made a backup of which no record has arrived since it began, if the last success was such
    /// a run.
    pub fn missing_of(self, last_success: Option<&Run>) -> Option<&Run> {
        let run = last_success.filter(|run| is_backup(run))?;
        let (began, ended) = (run.seen_started_at?, run.seen_ended_at?);
        let is_known = self
            .known_until
            .is_some_and(|until| until > ended.saturating_add(ARRIVAL));
        let is_missing = self.last_at.is_none_or(|last_at| last_at < began);
        (is_known && is_missing).then_some(run)
    }
}

/// A series with what is known around it. Times are seconds since 1970.
#[derive(Clone, Debug)]
pub struct Series {
    /// What tells it from others.
    pub key: SeriesKey,
    /// How many live backups it has.
    pub backups: i64,
    /// When the first and the last one were recorded.
    pub first_at: i64,
    /// The same of the last one.
    pub last_at: i64,
    /// The last one's id, and its state; none where it was removed this moment.
    pub last_backup_id: Option<String>,
    /// The state of the last one.
    pub last_status: Option<String>,
    /// Whether its job lives.
    pub has_job: bool,
    /// The client of its job, also where that is deleted.
    pub client_id: Option<String>,
    /// What its job is called, also where that is deleted.
    pub description: Option<String>,
    /// What is known of the records of its job.
    pub records: Records,
    /// The last successful run of its job.
    pub last_success: Option<Run>,
}

/// Which series a list shows.
#[derive(Clone, Debug, Default)]
pub struct SeriesQuery {
    /// Those of a job.
    pub job_id: Option<String>,
    /// Those of a host.
    pub hostname: Option<String>,
    /// Whether those with the last backup come first.
    pub newest_first: bool,
    /// How many at most.
    pub limit: usize,
    /// The id of the series behind which the list begins.
    pub marker: Option<String>,
}

/// Which backups of a series a list shows.
#[derive(Clone, Debug, Default)]
pub struct MemberQuery {
    /// Whether those that were recorded last come first.
    pub newest_first: bool,
    /// How many at most.
    pub limit: usize,
    /// The id of the backup behind which the list begins.
    pub marker: Option<String>,
}

/// The document of a series in `GET /report/series`.
#[derive(Serialize)]
struct SeriesDocument<'a> {
    series_id: &'a str,
    project_id: &'a Option<String>,
    job_id: &'a Option<String>,
    description: &'a Option<String>,
    hostname: &'a Option<String>,
    backup_name: &'a Option<String>,
    container: &'a Option<String>,
    storage: &'a Option<String>,
    resource_id: &'a Option<String>,
    backups: i64,
    first_at: Option<String>,
    last_at: Option<String>,
    last_backup_id: &'a Option<String>,
    last_status: &'a Option<String>,
    findings: Vec<&'static str>,
}

impl Series {
    /// The document that answers show.
    pub fn report(&self, now: i64) -> Box<RawValue> {
        let findings = self.findings(now);
        raw(&SeriesDocument {
            series_id: &self.key.id,
            project_id: &self.key.project_id,
            job_id: &self.key.job_id,
            description: &self.description,
            hostname: &self.key.hostname,
            backup_name: &self.key.backup_name,
            container: &self.key.container,
            storage: &self.key.storage,
            resource_id: &self.key.resource_id,
            backups: self.backups,
            first_at: iso_time(self.first_at),
            last_at: iso_time(self.last_at),
            last_backup_id: &self.last_backup_id,
            last_status: &self.last_status,
            findings: findings.into_iter().map(Finding::name).collect(),
        })
    }

    /// What is wrong with it, or with its job for want of records, the worst first.
    pub fn findings(&self, now: i64) -> Vec<Finding> {
        let mut findings = Vec::new();
        let missing = self.records.missing_of(self.last_success.as_ref());
        if self.has_job && missing.is_some() {
            findings.push(Finding::NoRecord);
        }
        let is_old = now.saturating_sub(self.last_at) > UNFINISHED;
        match self.last_status.as_deref() {
            Some("error") => findings.push(Finding::Pending),
            Some("creating") if is_old => findings.push(Finding::Pending),
            _ => {}
        }
        if self.key.job_id.is_some() && !self.has_job {
            findings.push(Finding::Orphan);
        }
        findings
    }

    /// The rows of what is wrong with the series itself. Since when its job is gone is not known: then it is now.
    pub fn problems(&self, now: i64) -> Vec<Problem> {
        let found = self.findings(now).into_iter();
        let own = found.filter(|finding| finding.subject() == Subject::Series);
        // Of a job that was purged, or of none, the host is the nearest to a client that is known.
        let client = self.client_id.as_deref().or(self.key.hostname.as_deref());
        let client = client.unwrap_or_default();
        own.map(|finding| {
            let since = match finding {
                Finding::Pending => self.last_at,
                _ => now,
            };
            let found = Found { finding, since };
            Problem {
                id: id_of(&[finding.name(), "", "", &self.key.id]),
                job_id: self.key.job_id.clone(),
                series_id: Some(self.key.id.clone()),
                description: self.key.backup_name.clone(),
                ..Problem::of_client(found, self.key.project_id.as_deref(), client)
            }
        })
        .collect()
    }
}

fn is_backup(run: &Run) -> bool {
    let actions = run.actions.as_deref().unwrap_or_default();
    run.state == RunState::Success && actions.split(',').any(|kind| kind == "backup")
}

/// A backup in the list of its series.
#[derive(Serialize)]
struct SeriesBackup<'a> {
    backup_id: &'a str,
    project_id: &'a Option<String>,
    user_id: &'a str,
    status: &'a str,
    created_at: Option<String>,
    backup_metadata: Box<RawValue>,
}

/// The document of a backup that was recorded at this time, in the list of its series.
pub fn backup_report(backup: &Backup, created_at: i64) -> Box<RawValue> {
    let metadata = backup.backup_metadata.as_deref().unwrap_or("null");
    raw(&SeriesBackup {
        backup_id: &backup.id,
        project_id: &backup.project_id,
        user_id: &backup.user_id,
        status: &backup.status,
        created_at: iso_time(created_at),
        backup_metadata: document::stored(metadata),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn backup(project: &str, job: Option<&str>, metadata: &Value) -> Backup {
        Backup {
            project_id: Some(project.to_owned()),
            job_id: job.map(str::to_owned),
            backup_metadata: Some(metadata.to_string()),
            ..Backup::default()
        }
    }

    fn run(seen: (i64, i64), actions: &str) -> Run {
        Run {
            id: "r".to_owned(),
            project_id: None,
            job_id: "j".to_owned(),
            client_id: "c".to_owned(),
            session_id: None,
            session_tag: None,
            actions: Some(actions.to_owned()),
            state: RunState::Success,
            attempts: 1,
            started_at: 0,
            ended_at: Some(0),
            seen_started_at: Some(seen.0),
            seen_ended_at: Some(seen.1),
        }
    }

    fn series() -> Series {
        Series {
            key: SeriesKey::of(&backup("p", Some("j"), &json!({}))),
            backups: 1,
            first_at: 1_000,
            last_at: 1_000,
            last_backup_id: Some("b".to_owned()),
            last_status: Some("available".to_owned()),
            has_job: true,
            client_id: Some("c".to_owned()),
            description: Some("nightly".to_owned()),
            records: Records {
                last_at: Some(1_000),
                known_until: Some(10_000),
            },
            last_success: None,
        }
    }

    #[test]
    fn a_success_without_a_record_is_found_once_it_is_known() {
        let mut series = series();
        assert_eq!(series.findings(5_000), []);
        series.last_success = Some(run((2_000, 2_100), "backup,exec"));
        assert_eq!(series.findings(5_000), [Finding::NoRecord]);
        let changed = |change: fn(&mut Series)| {
            let mut other = series.clone();
            change(&mut other);
            other
        };
        for other in [
            changed(|series| series.records.last_at = Some(2_000)),
            changed(|series| series.records.known_until = Some(2_400)),
            changed(|series| series.records.known_until = None),
            changed(|series| series.has_job = false),
            changed(|series| series.last_success = Some(run((2_000, 2_100), "restore"))),
            changed(|series| series.last_success = None),
        ] {
            let findings = other.findings(5_000);
            assert!(!findings.contains(&Finding::NoRecord), "{other:?}");
        }
    }

    #[test]
    fn records_that_stay_unfinished_and_series_without_job_are_found() {
        let mut series = series();
        series.last_status = Some("creating".to_owned());
        assert_eq!(series.findings(1_000 + UNFINISHED), []);
        assert_eq!(series.findings(1_001 + UNFINISHED), [Finding::Pending]);
        series.last_status = Some("error".to_owned());
        series.has_job = false;
        assert_eq!(series.findings(1_000), [Finding::Pending, Finding::Orphan]);
        let problems = series.problems(2_000);
        let found: Vec<_> = problems
            .iter()
            .map(|one| (one.finding, one.since))
            .collect();
        assert_eq!(found, [(Finding::Pending, 1_000), (Finding::Orphan, 2_000)]);
        assert_eq!(problems[0].client_id, "c");
        assert_ne!(problems[0].id, problems[1].id);
        series.key.job_id = None;
        assert_eq!(series.findings(1_000), [Finding::Pending]);
    }

    proptest! {
        #[test]
        fn each_member_tells_series_apart_and_no_other_does(
            texts in prop::array::uniform6("[a-c\"|,]{0,3}"), member in 0..6usize, other in "[d-f]{1,3}",
        ) {
            const MEMBERS: [&str; 4] = ["hostname", "backup_name", "container", "storage"];
            let metadata = |texts: &[String; 6]| {
                let mut metadata = json!({"mode": "fs", "time_stamp": texts[5].len(), "path_to_backup": texts[0]});
                for (name, text) in MEMBERS.iter().zip(texts) {
                    metadata[*name] = text.clone().into();
                }
                metadata
            };
            let key = |texts: &[String; 6]| SeriesKey::of(&backup(&texts[4], Some(&texts[5]), &metadata(texts)));
            let mut changed = texts.clone();
            changed[member] = other;
            prop_assert_ne!(key(&texts).id, key(&changed).id);
            let mut noise = metadata(&texts);
            noise["time_stamp"] = 99.into();
            noise["curr_backup_level"] = 3.into();
            prop_assert_eq!(key(&texts), SeriesKey::of(&backup(&texts[4], Some(&texts[5]), &noise)));
        }

        #[test]
        fn what_is_shown_fits_its_column(text in ".{0,400}") {
            let key = SeriesKey::of(&backup("p", None, &json!({"hostname": text.clone(), "container": text})));
            prop_assert!(key.hostname.unwrap_or_default().chars().count() <= SHOWN);
            prop_assert_eq!(key.id.len(), 32);
        }
    }
}
