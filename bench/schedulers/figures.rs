//! What was measured: how long requests took, by kind, and what went wrong.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Errors that are shown in full.
const SHOWN_ERRORS: u64 = 5;

/// Counted by all schedulers together.
#[derive(Default)]
pub(crate) struct Figures(Mutex<Counts>);

#[derive(Default)]
struct Counts {
    /// Milliseconds of all requests of a kind.
    times: BTreeMap<&'static str, Vec<f32>>,
    requests: u64,
    /// Those since the last line of progress.
    recent: Vec<f32>,
    late: u64,
    errors: u64,
}

impl Figures {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request was answered.
    pub(crate) fn took(&self, kind: &'static str, time: Duration) {
        let milliseconds = time.as_secs_f32() * 1000.0;
        let mut counts = self.counts();
        counts.requests += 1;
        counts.times.entry(kind).or_default().push(milliseconds);
        counts.recent.push(milliseconds);
    }

    /// A request failed.
    pub(crate) fn failed(&self, error: &anyhow::Error) {
        let mut counts = self.counts();
        counts.errors += 1;
        if counts.errors <= SHOWN_ERRORS {
            eprintln!("{error:#}");
        }
    }

    /// A poll was due before the one before it had ended.
    pub(crate) fn late(&self) {
        self.counts().late += 1;
    }

    /// A line on what happened since the last one.
    pub(crate) fn progress(&self, passed: Duration, watched: &str) -> String {
        let mut counts = self.counts();
        let recent = Quantiles::of(&mut std::mem::take(&mut counts.recent));
        format!(
            "{} passed: {} requests, {} late polls, {} errors, p50 {:.1} ms, p99 {:.1} ms{watched}",
            humantime::format_duration(Duration::from_secs(passed.as_secs())),
            counts.requests,
            counts.late,
            counts.errors,
            recent.median,
            recent.p99
        )
    }

    /// The table of all requests.
    pub(crate) fn summary(&self, elapsed: Duration) -> String {
        let mut counts = self.counts();
        let (requests, late, errors) = (counts.requests, counts.late, counts.errors);
        let mut lines = vec![
            "| request | number | p50, ms | p99, ms | longest, ms |".to_owned(),
            "|---|---|---|---|---|".to_owned(),
        ];
        for (kind, times) in &mut counts.times {
            let number = times.len();
            let Quantiles {
                median,
                p99,
                longest,
            } = Quantiles::of(times);
            lines.push(format!(
                "| {kind} | {number} | {median:.1} | {p99:.1} | {longest:.1} |"
            ));
        }
        let rate = requests as f64 / elapsed.as_secs_f64();
        lines.push(format!(
            "\n{requests} requests, {rate:.0} a second; {late} late polls, {errors} errors"
        ));
        lines.join("\n")
    }
}

#[derive(Default)]
struct Quantiles {
    median: f32,
    p99: f32,
    longest: f32,
}

impl Quantiles {
    fn of(times: &mut [f32]) -> Quantiles {
        times.sort_by(f32::total_cmp);
        let at = |share: usize| {
            times
                .get(times.len() * share / 100)
                .copied()
                .unwrap_or_default()
        };
        Quantiles {
            median: at(50),
            p99: at(99),
            longest: times.last().copied().unwrap_or_default(),
        }
    }
}
