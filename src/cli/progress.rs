//! How a long piece of work shows that it goes on: a line that is renewed on a terminal, plain lines elsewhere.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use crate::schema::Progress;

/// How often a plain line about rows is written, at most.
const PLAIN_INTERVAL: Duration = Duration::from_secs(5);
/// The width of the bar, in characters.
const BAR: u64 = 30;

/// How much of a statement is shown, in characters.
const WIDTH: usize = 100;

/// Writes to standard error, so that standard output has results alone.
pub(super) struct Display {
    terminal: bool,
    /// A bar stands in the current line.
    open: bool,
    waiting: bool,
    last: Option<Instant>,
}

impl Display {
    pub(super) fn new() -> Display {
        Display {
            terminal: std::io::stderr().is_terminal(),
            open: false,
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
            Progress::DataWarning(oddity) => self.line(&format!("  note: {oddity}")),
        }
    }

    fn line(&mut self, text: &str) {
        self.close();
        eprintln!("{text}");
    }

    /// A `total` of 0 is one that nobody knows.
    fn rows(&mut self, what: &str, done: u64, total: u64) {
        let last = total > 0 && done >= total;
        if self.terminal {
            let filled = (done * BAR).checked_div(total).unwrap_or_default();
            let bar: String = (0..BAR)
                .map(|at| if at < filled { '#' } else { '.' })
                .collect();
            match total {
                0 => eprint!("\r  {done} {what}"),
                _ => eprint!("\r  [{bar}] {done}/{total} {what}"),
            }
            // A bar that does not appear at once is no harm.
            let _ = std::io::stderr().flush();
            self.open = true;
            if last {
                self.close();
            }
        } else if last || self.last.is_none_or(|last| last.elapsed() > PLAIN_INTERVAL) {
            self.last = Some(Instant::now());
            match total {
                0 => eprintln!("  {done} {what}"),
                _ => eprintln!("  {done} of {total} {what}"),
            }
        }
    }

    fn close(&mut self) {
        if self.open {
            eprintln!();
            self.open = false;
        }
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        self.close();
    }
}
