//! `freezer-manager-status`; see [`freezer_api::cli::status`].

use std::process::ExitCode;

fn main() -> ExitCode {
    freezer_api::cli::status::main()
}
