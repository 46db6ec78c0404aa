//! What an overview says of a project, or of all: how many findings, hosts, jobs and runs.

use std::collections::BTreeMap;

use serde::Serialize;

use super::finding::{Finding, id_of};
use super::resource::raw;
use super::run::{RunState, iso_time};
use super::run_day::{SECONDS_OF_HOUR, StateCounts};

/// Hours that are shown: a day, and the one that has begun.
pub const HOURS: i64 = 25;
/// Projects that are shown at most.
const MOST_PROJECTS: usize = 100;

/// Hosts and their jobs, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "what the document calls them")]
pub struct HostCounts {
    pub total: i64,
    pub alive: i64,
    pub silent: i64,
    pub unknown: i64,
    pub red: i64,
    pub jobs: i64,
    pub active_jobs: i64,
    pub running: i64,
    pub running_since: Option<i64>,
    pub due_soon: i64,
}

impl HostCounts {
    /// These and others together.
    pub fn with(self, others: HostCounts) -> HostCounts {
        let since = [self.running_since, others.running_since];
        HostCounts {
            total: self.total + others.total,
            alive: self.alive + others.alive,
            silent: self.silent + others.silent,
            unknown: self.unknown + others.unknown,
            red: self.red + others.red,
            jobs: self.jobs + others.jobs,
            active_jobs: self.active_jobs + others.active_jobs,
            running: self.running + others.running,
            running_since: since.into_iter().flatten().min(),
            due_soon: self.due_soon + others.due_soon,
        }
    }
}

/// Findings of a kind, counted, for each project.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "what the document calls them")]
pub struct FindingCount {
    pub project_id: Option<String>,
    pub finding: Finding,
    pub count: i64,
    pub since: i64,
}

/// Hosts of a project, counted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "what the document calls them")]
pub struct ProjectCount {
    pub project_id: Option<String>,
    pub hosts: i64,
    pub oldest_success_at: Option<i64>,
}

/// Runs of a state that began in an hour, counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "what the document calls them")]
pub struct HourCount {
    /// In hours since 1970.
    pub hour: i64,
    pub state: RunState,
    pub runs: i64,
}

/// All that a summary is made of.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "what the document calls them")]
pub struct Counts {
    pub as_of: Option<i64>,
    pub hosts: HostCounts,
    pub findings: Vec<FindingCount>,
    pub projects: Vec<ProjectCount>,
    pub hours: Vec<HourCount>,
}

/// A summary as JSON, and a name for what it says.
#[derive(Clone, Debug)]
pub struct Summary {
    /// The document.
    pub text: String,
    /// The same for as long as it says the same, whenever that was computed.
    pub tag: String,
    /// How many findings mean that backups are missing, or about to be.
    pub red: i64,
    /// When a round came to its end last.
    pub as_of: Option<i64>,
}

#[derive(Serialize)]
struct KindDocument {
    kind: &'static str,
    severity: &'static str,
    count: i64,
    since: Option<String>,
}

#[derive(Serialize)]
struct HostsDocument {
    total: i64,
    alive: i64,
    silent: i64,
    unknown: i64,
    red: i64,
}

#[derive(Serialize)]
struct JobsDocument {
    total: i64,
    active: i64,
}

#[derive(Serialize)]
struct HourDocument {
    hour: Option<String>,
    #[serde(flatten)]
    states: StateCounts,
}

#[derive(Serialize)]
struct ProjectDocument<'a> {
    project_id: &'a Option<String>,
    hosts: i64,
    red: i64,
    amber: i64,
    oldest_success_at: Option<String>,
}

#[derive(Serialize)]
struct SummaryDocument<'a> {
    as_of: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    computed_at: Option<String>,
    findings: Vec<KindDocument>,
    red: i64,
    amber: i64,
    hosts: HostsDocument,
    jobs: JobsDocument,
    running: i64,
    longest_running_since: Option<String>,
    due_soon: i64,
    hours: Vec<HourDocument>,
    projects: Vec<ProjectDocument<'a>>,
    projects_left_out: usize,
}

impl Counts {
    /// The summary at a time.
    pub fn summary(&self, now: i64) -> Summary {
        let mut document = self.document(now);
        // Of what it says, the time is no part.
        let tag = id_of(&[raw(&document).get()]);
        document.computed_at = iso_time(now);
        let text = raw(&document).get().to_owned();
        let red = document.red;
        let as_of = self.as_of;
        Summary {
            text,
            tag,
            red,
            as_of,
        }
    }

    fn document(&self, now: i64) -> SummaryDocument<'_> {
        let severe = |is_urgent| {
            let of = |count: &&FindingCount| count.finding.is_urgent() == is_urgent;
            self.findings.iter().filter(of).map(|one| one.count).sum()
        };
        let (projects, projects_left_out) = self.projects();
        let hosts = &self.hosts;
        SummaryDocument {
            as_of: self.as_of.and_then(iso_time),
            computed_at: None,
            findings: self.kinds(),
            red: severe(true),
            amber: severe(false),
            hosts: HostsDocument {
                total: hosts.total,
                alive: hosts.alive,
                silent: hosts.silent,
                unknown: hosts.unknown,
                red: hosts.red,
            },
            jobs: JobsDocument {
                total: hosts.jobs,
                active: hosts.active_jobs,
            },
            running: hosts.running,
            longest_running_since: hosts.running_since.and_then(iso_time),
            due_soon: hosts.due_soon,
            hours: self.hours(now),
            projects,
            projects_left_out,
        }
    }

    /// How many findings of each kind there are, the worst first, and since when the oldest.
    pub fn by_kind(&self) -> BTreeMap<Finding, (i64, i64)> {
        let mut kinds: BTreeMap<Finding, (i64, i64)> = BTreeMap::new();
        for one in &self.findings {
            let (count, since) = kinds.entry(one.finding).or_insert((0, i64::MAX));
            *count += one.count;
            *since = one.since.min(*since);
        }
        kinds
    }

    fn kinds(&self) -> Vec<KindDocument> {
        let kinds = self.by_kind().into_iter();
        kinds
            .map(|(finding, (count, since))| KindDocument {
                kind: finding.name(),
                severity: finding.severity(),
                count,
                since: iso_time(since),
            })
            .collect()
    }

    /// Those with the most that is red first.
    fn projects(&self) -> (Vec<ProjectDocument<'_>>, usize) {
        let mut found: BTreeMap<&Option<String>, (i64, i64)> = BTreeMap::new();
        for one in &self.findings {
            let (red, amber) = found.entry(&one.project_id).or_default();
            if one.finding.is_urgent() {
                *red += one.count;
            } else {
                *amber += one.count;
            }
        }
        let mut projects: Vec<ProjectDocument<'_>> = self
            .projects
            .iter()
            .map(|project| {
                let counts = found.get(&project.project_id);
                let (red, amber) = counts.copied().unwrap_or_default();
                ProjectDocument {
                    project_id: &project.project_id,
                    hosts: project.hosts,
                    red,
                    amber,
                    oldest_success_at: project.oldest_success_at.and_then(iso_time),
                }
            })
            .collect();
        projects.sort_by_key(|project| {
            let order = std::cmp::Reverse((project.red, project.amber));
            (order, project.project_id)
        });
        let left_out = projects.len().saturating_sub(MOST_PROJECTS);
        projects.truncate(MOST_PROJECTS);
        (projects, left_out)
    }

    fn hours(&self, now: i64) -> Vec<HourDocument> {
        let last = now.div_euclid(SECONDS_OF_HOUR);
        let hours = last - HOURS + 1..=last;
        hours
            .map(|hour| {
                let mut states = StateCounts::default();
                let of_hour = self.hours.iter().filter(|count| count.hour == hour);
                of_hour.for_each(|count| states.add(count.state, count.runs));
                let hour = iso_time(hour.saturating_mul(SECONDS_OF_HOUR));
                HourDocument { hour, states }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn found(project: &str, finding: Finding, count: i64, since: i64) -> FindingCount {
        let project_id = Some(project.to_owned());
        FindingCount {
            project_id,
            finding,
            count,
            since,
        }
    }

    #[test]
    fn the_same_counts_have_one_tag() {
        let hours = vec![HourCount {
            hour: 24,
            state: RunState::Fail,
            runs: 2,
        }];
        let project = |name: &str| ProjectCount {
            project_id: Some(name.to_owned()),
            hosts: 1,
            oldest_success_at: None,
        };
        let mut counts = Counts {
            findings: vec![
                found("p1", Finding::Silent, 3, 50),
                found("p2", Finding::Failing, 1, 60),
                found("p2", Finding::Silent, 1, 40),
            ],
            projects: vec![project("p1"), project("p2"), project("p3")],
            hours,
            ..Counts::default()
        };
        let (one, two) = (counts.summary(90_000), counts.summary(90_001));
        assert_eq!((one.red, &one.tag), (1, &two.tag));
        assert_ne!(one.text, two.text);
        let document: Value = serde_json::from_str(&one.text).unwrap();
        assert_eq!(document["findings"][0]["kind"], "failing");
        assert_eq!(document["findings"][1]["count"], 4);
        assert_eq!(document["findings"][1]["since"], "1970-01-01T00:00:40Z");
        assert_eq!(document["projects"][0]["project_id"], "p2");
        assert_eq!(document["projects"][2]["amber"], 0);
        assert_eq!(document["hours"].as_array().unwrap().len(), 25);
        assert_eq!(document["hours"][23]["hour"], "1970-01-02T00:00:00Z");
        assert_eq!(document["hours"][23]["fail"], 2);
        counts.findings.pop();
        assert_ne!(counts.summary(90_000).tag, one.tag);
    }
}
