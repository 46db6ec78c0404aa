//! Progress of long commands: a bar on a terminal, plain lines elsewhere.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::output;
use crate::schema::Progress;

/// How often a plain line about rows is written, at most.
const PLAIN_INTERVAL: Duration = Duration::from_secs(5);

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
        let last = total > 0 && done >= total;
        if self.terminal {
            let bar = self.bar.get_or_insert_with(|| bar(total));
            bar.set_message(what.to_owned());
            bar.set_position(done);
            if last {
                self.close();
            }
        } else if last || self.last.is_none_or(|last| last.elapsed() > PLAIN_INTERVAL) {
            self.last = Some(Instant::now());
            match total {
                0 => output::note!("  {done} {what}"),
                _ => output::note!("  {done} of {total} {what}"),
            }
        }
    }

    /// Leaves the bar as it is and goes to the next line.
    fn close(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.abandon();
        }
    }
}

fn bar(total: u64) -> ProgressBar {
    let (bar, template) = match total {
        0 => (ProgressBar::no_length(), "  {pos} {msg}"),
        _ => (
            ProgressBar::new(total),
            "  [{bar:30}] {pos}/{len} {msg}, {eta} left",
        ),
    };
    #[expect(
        clippy::expect_used,
        reason = "both templates stand above, and a test reads them"
    )]
    let style = ProgressStyle::with_template(template).expect("a template of indicatif");
    bar.set_draw_target(ProgressDrawTarget::stderr());
    bar.with_style(style.progress_chars("#>."))
}

impl Drop for Display {
    fn drop(&mut self) {
        self.close();
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_templates_are_read() {
        for total in [0, 7] {
            super::bar(total).abandon();
        }
    }
}
