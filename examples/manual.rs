//! Writes the manual pages of the programs to a folder, and to folders in it their completions for bash, fish and zsh, named as these
//! shells look for them. For packages.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::PathBuf;

use clap::Command;
use clap_complete::Shell;

fn main() -> io::Result<()> {
    let argument = std::env::args_os().nth(1);
    let folder = PathBuf::from(argument.unwrap_or_else(|| OsString::from(".")));
    for shell in [Shell::Bash, Shell::Fish, Shell::Zsh] {
        fs::create_dir_all(folder.join(shell.to_string()))?;
    }
    for mut command in freezer_api::cli::commands() {
        let name = command.get_name().to_owned();
        for (shell, file) in [
            (Shell::Bash, name.clone()),
            (Shell::Fish, format!("{name}.fish")),
            (Shell::Zsh, format!("_{name}")),
        ] {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut command, &name, &mut script);
            fs::write(folder.join(shell.to_string()).join(file), script)?;
        }
        clap_mangen::generate_to(without_help(command), &folder)?;
    }
    Ok(())
}

/// Of the commands `help` there would be a page for each other command again.
fn without_help(command: Command) -> Command {
    command
        .disable_help_subcommand(true)
        .mut_subcommands(without_help)
}
