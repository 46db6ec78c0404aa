//! Runs of jobs, as they are seen in what schedulers report: each writes into `job_schedule` when a run starts, for each agent
//! that it starts, and when the run ends.

use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::document::{self, Object};
use super::resource::raw;

/// The last second that a date can have: the end of the year 9999.
const LAST_SECOND: i64 = 253_402_300_799;

/// What became of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RunState {
    /// It has started, and nothing else was reported.
    Running,
    /// It ended, and all was done.
    Success,
    /// It ended, and an action had failed.
    Fail,
    /// It was broken off as asked.
    Aborted,
    /// Its scheduler came back, and says that the run has no end.
    Lost,
    /// The next run started, or the run ended, and nobody said how.
    Unreported,
    /// Its job was deleted meanwhile. Schedulers do not report such an end.
    Removed,
}

impl RunState {
    /// All states.
    pub const ALL: [RunState; 7] = [
        RunState::Running,
        RunState::Success,
        RunState::Fail,
        RunState::Aborted,
        RunState::Lost,
        RunState::Unreported,
        RunState::Removed,
    ];

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            RunState::Running => "running",
            RunState::Success => "success",
            RunState::Fail => "fail",
            RunState::Aborted => "aborted",
            RunState::Lost => "lost",
            RunState::Unreported => "unreported",
            RunState::Removed => "removed",
        }
    }

    /// The state of a word.
    pub fn parse(name: &str) -> Option<RunState> {
        RunState::ALL.into_iter().find(|state| state.name() == name)
    }

    /// Whether a report of the run's end may still change it: of a run that seemed lost, its scheduler may speak after all.
    pub fn awaits_result(self) -> bool {
        matches!(
            self,
            RunState::Running | RunState::Lost | RunState::Unreported
        )
    }
}

/// What a change of a job says of one of its runs, which is known by its start in seconds since 1970, by the host's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Observation {
    /// A run has started, with so many agents so far. No other run of the job goes on.
    Started {
        /// When.
        started_at: i64,
        /// 0, or 1 where the report of the start itself is missing.
        attempts: i32,
    },
    /// The scheduler has started another agent: for the next action, or to try one again.
    Attempted {
        /// When the run started.
        started_at: i64,
    },
    /// A run has ended.
    Ended {
        /// When it started.
        started_at: i64,
        /// When it ended.
        ended_at: i64,
        /// [`RunState::Unreported`] where the report does not say how.
        state: RunState,
    },
    /// The scheduler does not run it, and knows no end.
    Lost {
        /// When it started.
        started_at: i64,
    },
}

/// The members of a schedule that tell of runs.
struct Report {
    is_running: bool,
    started_at: i64,
    ended_at: Option<i64>,
    pid: Option<i64>,
    result: RunState,
}

impl Report {
    /// What a schedule reports; `None` where it does not say its status, as those that come from people, or was never run.
    fn of(schedule: &Object) -> Option<Report> {
        let status = document::text(schedule, "status").filter(|status| !status.is_empty())?;
        let second = |key: &str| {
            let seconds = schedule.get(key).and_then(Value::as_i64);
            seconds.filter(|seconds| (0..=LAST_SECOND).contains(seconds))
        };
        let result = document::text(schedule, "result").and_then(RunState::parse);
        Some(Report {
            is_running: matches!(status, "running" | "aborting"),
            started_at: second("time_started").filter(|seconds| *seconds > 0)?,
            ended_at: second("time_ended"),
            pid: schedule.get("current_pid").and_then(Value::as_i64),
            result: result.unwrap_or(RunState::Unreported),
        })
    }
}

/// What a change of a job's schedule says of its runs.
pub fn observe(old: &Object, new: &Object) -> Option<Observation> {
    let new = Report::of(new)?;
    // A scheduler keeps the last agent's process id in memory, so the first one that is seen tells nothing.
    let last_pid = old.get("current_pid").and_then(Value::as_i64);
    let is_next_agent = last_pid.is_some() && new.pid.is_some() && new.pid != last_pid;
    let old = Report::of(old).filter(|old| old.started_at == new.started_at);
    let started_at = new.started_at;
    match (new.ended_at, old) {
        (Some(ended_at), old) => {
            let is_known = old.is_some_and(|old| {
                old.ended_at == new.ended_at
                    && (old.result == new.result || new.result == RunState::Unreported)
            });
            let ended = Observation::Ended {
                started_at,
                ended_at,
                state: new.result,
            };
            (!is_known).then_some(ended)
        }
        (None, Some(old)) if new.is_running && old.is_running && old.ended_at.is_none() => {
            let is_agent = new.pid.is_some() && new.pid != old.pid;
            is_agent.then_some(Observation::Attempted { started_at })
        }
        (None, _) if new.is_running => Some(Observation::Started {
            started_at,
            attempts: i32::from(is_next_agent),
        }),
        (None, Some(old)) if !old.is_running => None,
        (None, _) => Some(Observation::Lost { started_at }),
    }
}

/// A row of `freezer_api_runs`.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the columns' names")]
pub struct Run {
    pub id: String,
    pub project_id: Option<String>,
    pub job_id: String,
    pub client_id: String,
    pub session_id: Option<String>,
    pub session_tag: Option<i32>,
    /// The kinds of the job's actions when it started, separated by commas.
    pub actions: Option<String>,
    pub state: RunState,
    /// How many agents were started.
    pub attempts: i32,
    /// By the host's clock.
    pub started_at: i64,
    pub ended_at: Option<i64>,
    /// By the clock of this service.
    pub seen_started_at: Option<i64>,
    pub seen_ended_at: Option<i64>,
}

/// A run with what its job is called: people know jobs by that.
pub struct DescribedRun {
    /// The run.
    pub run: Run,
    /// Also of a job that was deleted, until it is purged.
    pub description: Option<String>,
}

/// Which runs a list shows.
#[derive(Clone, Debug, Default)]
pub struct RunQuery {
    /// Those in one of these states; none: in any.
    pub states: Vec<RunState>,
    /// Those of a job.
    pub job_id: Option<String>,
    /// Those on a client.
    pub client_id: Option<String>,
    /// Those that started then or later, by the host's clock.
    pub since: Option<i64>,
    /// Those that started before.
    pub until: Option<i64>,
    /// Whether the last ones come first.
    pub newest_first: bool,
    /// How many at most.
    pub limit: usize,
    /// The id of the run behind which the list begins.
    pub marker: Option<String>,
}

/// The document of a run among those of a job.
#[derive(Serialize)]
struct RunDocument<'a> {
    run_id: &'a str,
    project_id: &'a Option<String>,
    job_id: &'a str,
    client_id: &'a str,
    session_id: &'a Option<String>,
    session_tag: Option<i32>,
    actions: Vec<&'a str>,
    state: &'static str,
    attempts: i32,
    started_at: Option<String>,
    ended_at: Option<String>,
    duration: Option<i64>,
    seen_started_at: Option<String>,
    seen_ended_at: Option<String>,
}

/// The document of a run, as `GET /report/runs/{run_id}` answers it.
#[derive(Serialize)]
struct DescribedDocument<'a> {
    #[serde(flatten)]
    run: RunDocument<'a>,
    description: &'a Option<String>,
}

impl DescribedRun {
    /// The document that answers show.
    pub fn to_json(&self) -> Box<RawValue> {
        raw(&DescribedDocument {
            run: self.run.document(),
            description: &self.description,
        })
    }
}

impl Run {
    /// When something of it was heard last, by the clock of this service.
    pub fn heard_at(&self) -> Option<i64> {
        self.seen_started_at.max(self.seen_ended_at)
    }

    /// The document that the report of its job shows.
    pub fn to_json(&self) -> Box<RawValue> {
        raw(&self.document())
    }

    fn document(&self) -> RunDocument<'_> {
        let actions = self.actions.as_deref().unwrap_or_default();
        // The clock of a host may have been set back meanwhile.
        let duration = self.ended_at.map(|ended_at| ended_at - self.started_at);
        RunDocument {
            run_id: &self.id,
            project_id: &self.project_id,
            job_id: &self.job_id,
            client_id: &self.client_id,
            session_id: &self.session_id,
            session_tag: self.session_tag,
            actions: actions.split(',').filter(|kind| !kind.is_empty()).collect(),
            state: self.state.name(),
            attempts: self.attempts,
            started_at: iso_time(self.started_at),
            ended_at: self.ended_at.and_then(iso_time),
            duration: duration.filter(|seconds| *seconds >= 0),
            seen_started_at: self.seen_started_at.and_then(iso_time),
            seen_ended_at: self.seen_ended_at.and_then(iso_time),
        }
    }
}

/// Seconds since 1970 as ISO 8601 writes the time in UTC; `None` beyond the years that it has.
pub fn iso_time(seconds: i64) -> Option<String> {
    let time = OffsetDateTime::from_unix_timestamp(seconds).ok()?;
    time.format(&Rfc3339).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn schedule(value: Value) -> Object {
        value.as_object().unwrap().clone()
    }

    fn reported(status: &str, started: i64, ended: i64, result: &str, pid: i64) -> Object {
        schedule(json!({
            "status": status, "time_started": started, "time_ended": ended, "result": result, "current_pid": pid,
        }))
    }

    #[test]
    fn a_run_is_seen_from_its_start_to_its_end() {
        let none = Object::new();
        let before = reported("scheduled", 100, 160, "success", 7);
        let start = reported("running", 200, -1, "", 7);
        let first = reported("running", 200, -1, "", 8);
        let retry = reported("running", 200, -1, "", 9);
        let end = reported("scheduled", 200, 260, "fail", 9);
        let started = Observation::Started {
            started_at: 200,
            attempts: 0,
        };
        let ended = Observation::Ended {
            started_at: 200,
            ended_at: 260,
            state: RunState::Fail,
        };
        assert_eq!(observe(&before, &start), Some(started));
        assert_eq!(observe(&none, &start), Some(started));
        let attempted = Some(Observation::Attempted { started_at: 200 });
        assert_eq!(observe(&start, &first), attempted);
        assert_eq!(observe(&first, &retry), attempted);
        assert_eq!(observe(&retry, &end), Some(ended));
        // The reports in between are missing.
        assert_eq!(
            observe(&before, &first),
            Some(Observation::Started {
                started_at: 200,
                attempts: 1
            })
        );
        assert_eq!(observe(&none, &end), Some(ended));
    }

    #[test]
    fn a_run_whose_scheduler_comes_back_is_lost_once() {
        let running = reported("running", 200, -1, "", 8);
        let back = reported("scheduled", 200, -1, "", 8);
        assert_eq!(
            observe(&running, &back),
            Some(Observation::Lost { started_at: 200 })
        );
        assert_eq!(observe(&back, &back), None);
        let event = schedule(json!({"status": "stop", "time_started": 200, "time_ended": -1}));
        assert_eq!(observe(&back, &event), None);
    }

    #[test]
    fn what_is_no_report_tells_nothing() {
        let running = reported("running", 200, -1, "", 8);
        for other in [
            json!({}),
            json!({"schedule_interval": "1 days", "event": "stop"}),
            json!({"status": "", "time_started": 200, "time_ended": 260, "result": ""}),
            json!({"status": "running", "time_started": -1}),
            json!({"status": "running", "time_started": "200"}),
            json!({"status": "running", "time_started": i64::MAX}),
            json!({"status": "running"}),
        ] {
            assert_eq!(observe(&running, &schedule(other.clone())), None, "{other}");
        }
    }

    fn any_schedule() -> impl Strategy<Value = Object> {
        let status = prop::sample::select(vec![
            "",
            "running",
            "aborting",
            "scheduled",
            "completed",
            "stop",
        ]);
        let result = prop::sample::select(vec!["", "success", "fail", "aborted"]);
        (status, result, -1..4i64, -1..4i64, 0..3i64).prop_map(
            |(status, result, started, ended, pid)| reported(status, started, ended, result, pid),
        )
    }

    proptest! {
        #[test]
        fn a_report_that_is_sent_again_tells_nothing(old in any_schedule(), new in any_schedule()) {
            prop_assert_eq!(observe(&new, &new), None);
            let is_report = !document::text(&new, "status").unwrap().is_empty();
            prop_assert!(is_report || observe(&old, &new).is_none());
        }

        #[test]
        fn only_what_the_new_schedule_says_is_told(old in any_schedule(), new in any_schedule()) {
            let started = new["time_started"].as_i64().unwrap();
            let ended = new["time_ended"].as_i64().unwrap();
            let told = match observe(&old, &new) {
                None => true,
                Some(Observation::Ended { started_at, ended_at, state }) => {
                    started_at == started && ended_at == ended && state.awaits_result() == (new["result"] == "")
                }
                Some(Observation::Started { started_at, .. } | Observation::Attempted { started_at }) => {
                    started_at == started && ended == -1 && new["status"].as_str().unwrap().ends_with("ing")
                }
                Some(Observation::Lost { started_at }) => {
                    started_at == started && ended == -1 && !new["status"].as_str().unwrap().ends_with("ing")
                }
            };
            prop_assert!(told);
        }
    }
}
