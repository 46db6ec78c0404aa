//! What the programs print. When their output is closed (`freezer-manage … | head`), they end quietly.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, Write};

/// Standard output cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write to standard output: {0}")]
pub(super) struct OutputError(#[from] pub(super) io::Error);

/// Writes a line to standard output.
macro_rules! line {
    ($($text:tt)*) => {
        $crate::cli::output::write(format_args!("{}\n", format_args!($($text)*)))
    };
}

/// Writes a line of JSON to standard output. What a terminal obeys stands in strings alone, and is escaped there, so that readers get it.
pub(super) fn json_line(json: &str) -> Result<(), OutputError> {
    write(format_args!("{}\n", escaped(json)))
}

/// JSON without control characters: serde_json escapes the first 32, and these are of the basic plane too.
fn escaped(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        if c.is_control() {
            text.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            text.push(c);
        }
    }
    text
}

/// Writes a line for a person to standard error. Where nobody reads it, that is no failure.
macro_rules! note {
    ($($text:tt)*) => {
        $crate::cli::output::write_note(format_args!("{}\n", format_args!($($text)*)))
    };
}

pub(super) use {line, note};

/// Writes text to standard output.
pub(super) fn write(text: fmt::Arguments<'_>) -> Result<(), OutputError> {
    Ok(io::stdout().write_all(printable(&text.to_string()).as_bytes())?)
}

/// Writes text to standard error.
pub(super) fn write_note(text: fmt::Arguments<'_>) {
    // There is no other place to say that standard error is closed.
    let _ = io::stderr().write_all(printable(&text.to_string()).as_bytes());
}

/// The text without what a terminal obeys: names are what users and other servers have chosen.
fn printable(text: &str) -> Cow<'_, str> {
    let is_command = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
    if text.contains(is_command) {
        Cow::Owned(text.replace(is_command, "\u{fffd}"))
    } else {
        Cow::Borrowed(text)
    }
}

/// Whether a program ended because its output was closed.
pub(super) fn reader_is_gone(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<OutputError>()
        .is_some_and(|OutputError(error)| error.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::{escaped, printable};

    #[test]
    fn json_keeps_what_terminals_obey() {
        let names = ["a é", "\u{1b}]0;\u{7f}\u{9b}2J\r\n\t\"\\"];
        let json = serde_json::to_string(&names).unwrap();
        let text = escaped(&json);
        assert!(!text.contains(char::is_control), "{text:?}");
        assert!(text.contains(r"\u007f\u009b2J"), "{text}");
        assert_eq!(
            serde_json::from_str::<[String; 2]>(&text).unwrap(),
            names.map(str::to_owned)
        );
    }

    #[test]
    fn nobody_but_us_speaks_to_the_terminal() {
        assert_eq!(printable("a\tb é\n"), "a\tb é\n");
        let hostile = "a\u{1b}]0;title\u{7}\u{9b}2J\rb\n";
        assert_eq!(
            printable(hostile),
            "a\u{fffd}]0;title\u{fffd}\u{fffd}2J\u{fffd}b\n"
        );
    }
}
