//! How many runs each day had, and each of the last hours.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::value::RawValue;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use time::{Date, OffsetDateTime};

use super::resource::raw;
use super::run::RunState;

/// Seconds of an hour.
pub const SECONDS_OF_HOUR: i64 = 3600;
/// Hours of a day.
pub const HOURS_OF_DAY: i64 = 24;
/// Seconds of a day.
pub const SECONDS_OF_DAY: i64 = 86_400;
/// What stands for all projects together; no project has this id.
pub const ALL_PROJECTS: &str = "*";

const DATE: &[BorrowedFormatItem<'_>] = format_description!("[year]-[month]-[day]");

/// What runs are counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    /// Rows of `freezer_api_run_hours`.
    Hour,
    /// Rows of `freezer_api_run_days`.
    Day,
}

impl Span {
    /// How long it is.
    pub fn seconds(self) -> i64 {
        match self {
            Span::Hour => SECONDS_OF_HOUR,
            Span::Day => SECONDS_OF_DAY,
        }
    }
}

/// The runs of a state that began within a day or an hour, by the host's clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunCount {
    /// The project; empty where the job had none.
    pub project_id: String,
    /// Which day or hour, counted from the first one of 1970.
    pub began: i64,
    /// What became of them.
    pub state: RunState,
    /// How many.
    pub runs: i64,
    /// How long those that succeeded took together, in seconds.
    pub seconds: i64,
    /// How long the longest of these took.
    pub longest: i64,
}

/// Adds the counts of all projects together.
pub fn with_all_projects(mut counts: Vec<RunCount>) -> Vec<RunCount> {
    let mut all: BTreeMap<(i64, RunState), RunCount> = BTreeMap::new();
    for count in &counts {
        let of_state = all.entry((count.began, count.state)).or_insert(RunCount {
            project_id: ALL_PROJECTS.to_owned(),
            runs: 0,
            seconds: 0,
            longest: 0,
            ..count.clone()
        });
        of_state.runs += count.runs;
        of_state.seconds += count.seconds;
        of_state.longest = of_state.longest.max(count.longest);
    }
    counts.extend(all.into_values());
    counts
}

/// How many runs came to each state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct StateCounts {
    success: i64,
    fail: i64,
    aborted: i64,
    lost: i64,
    unreported: i64,
    removed: i64,
    running: i64,
}

impl StateCounts {
    /// Adds runs of a state.
    pub fn add(&mut self, state: RunState, runs: i64) {
        let count = match state {
            RunState::Running => &mut self.running,
            RunState::Success => &mut self.success,
            RunState::Fail => &mut self.fail,
            RunState::Aborted => &mut self.aborted,
            RunState::Lost => &mut self.lost,
            RunState::Unreported => &mut self.unreported,
            RunState::Removed => &mut self.removed,
        };
        *count += runs;
    }
}

#[derive(Serialize)]
struct DayDocument {
    day: Option<String>,
    #[serde(flatten)]
    states: StateCounts,
    seconds: i64,
    longest: i64,
}

/// The documents of days, of counts of one project or all together in the order of the days.
pub fn documents(counts: &[RunCount]) -> Vec<Box<RawValue>> {
    let days = counts.chunk_by(|one, next| one.began == next.began);
    let document = |counts: &[RunCount]| {
        let mut states = StateCounts::default();
        for count in counts {
            states.add(count.state, count.runs);
        }
        let day = counts.first().map_or(0, |count| count.began);
        let begin = OffsetDateTime::from_unix_timestamp(day.saturating_mul(SECONDS_OF_DAY));
        raw(&DayDocument {
            day: begin.ok().and_then(|time| time.date().format(DATE).ok()),
            states,
            seconds: counts.iter().map(|count| count.seconds).sum(),
            longest: counts.iter().map(|count| count.longest).max().unwrap_or(0),
        })
    };
    days.map(document).collect()
}

/// A date such as `2024-02-29`, in days since 1970.
pub fn parse_day(text: &str) -> Option<i64> {
    let date = Date::parse(text, DATE).ok()?;
    let begin = date.midnight().assume_utc().unix_timestamp();
    Some(begin.div_euclid(SECONDS_OF_DAY))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(project_id: &str, day: i64, state: RunState, runs: i64) -> RunCount {
        let (project_id, seconds, longest) = (project_id.to_owned(), runs * 60, 90);
        RunCount {
            project_id,
            began: day,
            state,
            runs,
            seconds,
            longest,
        }
    }

    #[test]
    fn all_projects_are_counted_together() {
        let counts = with_all_projects(vec![
            count("p1", 1, RunState::Success, 3),
            count("p2", 1, RunState::Success, 4),
            count("", 1, RunState::Fail, 1),
            count("p1", 2, RunState::Success, 5),
        ]);
        let all: Vec<&RunCount> = counts
            .iter()
            .filter(|count| count.project_id == ALL_PROJECTS)
            .collect();
        let wanted = [(1, 7), (1, 1), (2, 5)];
        assert!(all.iter().map(|count| (count.began, count.runs)).eq(wanted));
        let all: Vec<RunCount> = all.into_iter().cloned().collect();
        let days: Vec<String> = documents(&all).iter().map(|day| day.to_string()).collect();
        assert_eq!(days.len(), 2);
        let first = r#"{"day":"1970-01-02","success":7,"fail":1,"aborted":0,"lost":0,"unreported":0,"removed":0,"running":0,"seconds":480,"longest":90}"#;
        assert_eq!(days.first().map(String::as_str), Some(first));
    }

    #[test]
    fn days_are_dates() {
        assert_eq!(parse_day("1970-01-02"), Some(1));
        assert_eq!(parse_day("2024-02-29"), Some(19_782));
        for text in [
            "",
            "2023-02-29",
            "2024-02-29T00:00:00Z",
            "1",
            "+12024-02-29",
        ] {
            assert_eq!(parse_day(text), None, "{text}");
        }
    }
}
