//! The command lines of the programs.

pub mod policy;
pub mod serve;

use std::process::ExitCode;

/// Ends a program: an error goes to standard error with its causes, each on a line of its own.
pub fn exit(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let causes: Vec<String> = error.chain().map(ToString::to_string).collect();
            eprintln!("error: {}", causes.join("\n  because: "));
            ExitCode::FAILURE
        }
    }
}
