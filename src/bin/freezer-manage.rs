//! `freezer-manage`; see [`freezer_api::cli::manage`].

use std::process::ExitCode;

fn main() -> ExitCode {
    freezer_api::cli::manage::main()
}
