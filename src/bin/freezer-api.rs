//! The server.

use std::process::ExitCode;

use clap::Parser;
use freezer_api::cli::{self, serve};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::exit(serve::main(serve::Arguments::parse()))
}
