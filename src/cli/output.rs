//! What the programs print. When their output is closed (`freezer-manage … | head`), they end quietly.

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

/// Writes a line for a person to standard error. Where nobody reads it, that is no failure.
macro_rules! note {
    ($($text:tt)*) => {
        $crate::cli::output::write_note(format_args!("{}\n", format_args!($($text)*)))
    };
}

pub(super) use {line, note};

/// Writes text to standard output.
pub(super) fn write(text: fmt::Arguments<'_>) -> Result<(), OutputError> {
    Ok(io::stdout().write_fmt(text)?)
}

/// Writes text to standard error.
pub(super) fn write_note(text: fmt::Arguments<'_>) {
    // There is no other place to say that standard error is closed.
    let _ = io::stderr().write_fmt(text);
}

/// Whether a program ended because its output was closed.
pub(super) fn reader_is_gone(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<OutputError>()
        .is_some_and(|OutputError(error)| error.kind() == io::ErrorKind::BrokenPipe)
}
