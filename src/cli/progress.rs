//! Progress of long commands: a bar on a terminal, plain lines elsewhere.

use std::fmt;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use super::output;
use crate::schema::Progress;

/// How often a plain line about rows is written, at most.
const PLAIN_INTERVAL: Duration = Duration::from_secs(5);

/// For how long is measured before a line tells rate and time.
const MEASURED: Duration = Duration::from_millis(500);

/// How much of a statement is shown, in characters.
const WIDTH: usize = 100;

/// Writes to standard error, so that standard output has results alone.
pub(super) struct Display {
    terminal: bool,
    /// The bar in the current line.
    bar: Option<ProgressBar>,
    waiting: bool,
    last: Option<Instant>,
}

impl Display {
    pub(super) fn new() -> Display {
        Display {
            terminal: std::io::stderr().is_terminal(),
            bar: None,
            waiting: false,
            last: None,
        }
    }

    pub(super) fn show(&mut self, progress: Progress<'_>) {
        match progress {
            Progress::Waiting if self.waiting => {}
            Progress::Waiting => {
                self.waiting = true;
                self.line("waiting for another migration to end");
            }
            Progress::Revision { id, title } => self.line(&format!("revision {id}: {title}")),
            Progress::Statement(statement) => {
                let words: Vec<&str> = statement.split_whitespace().collect();
                let text: String = words.join(" ").chars().take(WIDTH).collect();
                self.line(&format!("  {text}"));
            }
            Progress::Rows { what, done, total } => self.rows(what, done, total),
            Progress::DataWarning(warning) => self.line(&format!("  note: {warning}")),
        }
    }

    fn line(&mut self, text: &str) {
        self.close();
        output::note!("{text}");
    }

    /// A `total` of 0 is unknown.
    fn rows(&mut self, what: &str, done: u64, total: u64) {
        if self.bar.as_ref().is_none_or(|bar| bar.message() != what) {
            self.close();
            self.bar = Some(bar(what, total, self.terminal));
        }
        let Some(bar) = &self.bar else {
            return;
        };
        if total > 0 {
            bar.set_length(total);
        }
        bar.set_position(done);
        let last = total > 0 && done >= total;
        let waits = |last: Instant| last.elapsed() <= PLAIN_INTERVAL;
        if !self.terminal && (last || !self.last.is_some_and(waits)) {
            self.last = Some(Instant::now());
            output::note!("{}", plain(bar, what, done, total));
        }
        if last {
            self.close();
        }
    }

    /// Leaves the bar as it is and goes to the next line.
    fn close(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.abandon();
        }
    }
}

/// A bar, which only measures where it cannot be drawn.
fn bar(what: &str, total: u64, terminal: bool) -> ProgressBar {
    let (bar, template) = match total {
        0 => (ProgressBar::no_length(), "  {pos} {msg}, {rate}"),
        _ => (
            ProgressBar::new(total),
            "  [{bar:30}] {pos}/{len} {msg}, {rate}, {eta} left",
        ),
    };
    #[expect(
        clippy::expect_used,
        reason = "both templates stand above, and a test reads them"
    )]
    let style = ProgressStyle::with_template(template).expect("a template of indicatif");
    let rate = |state: &ProgressState, text: &mut dyn fmt::Write| {
        // A bar that cannot be written to has nobody to tell it.
        let _ = write!(text, "{:.0}/s", state.per_sec());
    };
    bar.set_draw_target(if terminal {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    });
    bar.set_message(what.to_owned());
    bar.with_style(style.progress_chars("#>.").with_key("rate", rate))
}

/// The same as a line. Before anything is measured it says neither rate nor time.
fn plain(bar: &ProgressBar, what: &str, done: u64, total: u64) -> String {
    let rate = bar.per_sec();
    let of = if total > 0 {
        format!(" of {total}")
    } else {
        String::new()
    };
    let mut line = format!("  {done}{of} {what}");
    let is_done = total > 0 && done >= total;
    if bar.elapsed() >= MEASURED && rate >= 1.0 && !is_done {
        line += &format!(", {rate:.0}/s");
        if total > 0 {
            line += &format!(", {:#} left", HumanDuration(bar.eta()));
        }
    }
    line
}

impl Drop for Display {
    fn drop(&mut self) {
        self.close();
    }
}

#[cfg(test)]
mod tests {
    use super::MEASURED;

    #[test]
    fn the_templates_are_read() {
        for total in [0, 7] {
            super::bar("rows", total, false).abandon();
        }
    }

    #[test]
    fn lines_tell_rate_and_time_left() {
        let bar = super::bar("rows", 1000, false);
        assert_eq!(super::plain(&bar, "rows", 0, 1000), "  0 of 1000 rows");
        // The bar's own clock measures, so the figures are not known.
        for done in [200, 400, 600] {
            std::thread::sleep(MEASURED / 2);
            bar.set_position(done);
        }
        let line = super::plain(&bar, "rows", 600, 1000);
        assert!(
            line.starts_with("  600 of 1000 rows, ") && line.ends_with(" left"),
            "{line}"
        );
        assert_eq!(
            super::plain(&bar, "rows", 1000, 1000),
            "  1000 of 1000 rows"
        );
        let line = super::plain(&bar, "rows", 600, 0);
        assert!(
            line.starts_with("  600 rows, ") && line.ends_with("/s"),
            "{line}"
        );
    }
}
