//! The command lines of the programs: all that the reference's take.

use std::path::Path;
use std::process::{Command, Output};

use crate::support::python;

/// The programs, which the reference has under the same names.
const PROGRAMS: [(&str, &str); 3] = [
    ("freezer-api", env!("CARGO_BIN_EXE_freezer-api")),
    ("freezer-manage", env!("CARGO_BIN_EXE_freezer-manage")),
    (
        "freezer-manager-status",
        env!("CARGO_BIN_EXE_freezer-manager-status"),
    ),
];

fn run(program: impl AsRef<Path>, arguments: &[&str]) -> Output {
    let mut command = Command::new(program.as_ref());
    command.args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// The options that a help text of argparse describes, and whether each takes a value.
fn options(help: &str) -> Vec<(String, bool)> {
    let described = help.lines().filter(|line| line.starts_with("  -"));
    let spellings = described.flat_map(|line| {
        let line = line.trim_start();
        // The help stands behind two blanks.
        line.split("  ").next().unwrap().split(", ")
    });
    spellings
        .map(|spelling| match spelling.split_once(' ') {
            Some((option, _)) => (option.to_owned(), true),
            None => (spelling.to_owned(), false),
        })
        .collect()
}

#[test]
#[ignore = "needs Python with the reference: ./test installs it"]
fn the_options_of_the_reference_are_taken() {
    let folder = Path::new(&python()).parent().unwrap().to_owned();
    for (name, ours) in PROGRAMS {
        let help = run(folder.join(name), &["--help"]);
        let options = options(text(&help.stdout));
        let least = if name == "freezer-manager-status" {
            5
        } else {
            20
        };
        assert!(options.len() >= least, "{name}: {options:?}");
        for (option, takes_value) in options {
            let value = match option.as_str() {
                "--shell_completion" => "zsh",
                "--bind-host" => "192.0.2.1",
                _ => "1",
            };
            let arguments = match takes_value {
                true => vec![option.as_str(), value, "--help"],
                false => vec![option.as_str(), "--help"],
            };
            let output = run(ours, &arguments);
            assert!(
                output.status.success(),
                "{name} {arguments:?}: {}",
                text(&output.stderr)
            );
        }
    }
}

#[test]
fn older_options_are_taken() {
    for (name, ours) in PROGRAMS {
        for option in ["--watch-log-file", "--nowatch-log-file", "-d"] {
            let output = run(ours, &[option, "--help"]);
            assert!(output.status.success(), "{name} {option}");
        }
    }
    let status = env!("CARGO_BIN_EXE_freezer-manager-status");
    for arguments in [
        ["upgrade", "--json", "check", "--help"],
        ["upgrade", "check", "--json", "--help"],
    ] {
        assert!(run(status, &arguments).status.success(), "{arguments:?}");
    }
}

/// argparse takes what begins only one of its options.
#[test]
fn options_may_be_shortened() {
    for (name, ours) in PROGRAMS {
        for arguments in [
            ["--config-f", "/nowhere/a.conf"],
            ["--config-d=/nowhere", "--log-da=%H"],
            ["--log-fi=/nowhere/log", "--use-sy"],
            ["--deb", "--nodeb"],
        ] {
            let output = run(ours, &[&arguments[..], &["--help"]].concat());
            assert!(
                output.status.success(),
                "{name} {arguments:?}: {}",
                text(&output.stderr)
            );
        }
        for ambiguous in ["--conf=/nowhere", "--use"] {
            let output = run(ours, &[ambiguous, "--help"]);
            assert_eq!(output.status.code(), Some(2), "{name} {ambiguous}");
        }
    }
    let manage = env!("CARGO_BIN_EXE_freezer-manage");
    let behind = ["db", "show", "--config-f=/nowhere/a.conf"];
    let output = run(manage, &behind);
    let told = text(&output.stderr);
    assert!(told.contains("/nowhere/a.conf"), "{told}");
}

#[test]
fn a_program_completes_itself_and_helps() {
    for (name, ours) in PROGRAMS {
        for (shell, mark) in [("bash", "COMPREPLY"), ("zsh", "#compdef")] {
            let script = run(ours, &["--shell_completion", shell]);
            let script = text(&script.stdout);
            assert!(
                script.contains(mark) && script.contains("--config-file"),
                "{name} {shell}"
            );
        }
    }
    for (_, ours) in &PROGRAMS[1..] {
        let help = run(ours, &[]);
        assert!(help.status.success());
        assert!(text(&help.stdout).contains("Usage:"));
    }
}
