//! `freezer-manager-status upgrade check`: whether this release can run with what is installed, in the form of
//! oslo.upgradecheck.

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use serde_json::json;
use textwrap::{Options, WordSplitter};

use super::{CompletionArguments, ConfigArguments, block_on, connect, output};
use crate::config::Config;
use crate::schema::SchemaState;
use crate::store::{Engine, Store, StoreError};

/// The width to which details are wrapped, as in oslo.upgradecheck.
const WIDTH: usize = 60;

/// The program's name, also that of its log file.
const PROGRAM: &str = "freezer-manager-status";

/// Checks whether this release can be run.
#[derive(Debug, Parser)]
#[command(name = PROGRAM, version, infer_long_args = true)]
struct Arguments {
    #[command(flatten)]
    completion: CompletionArguments,
    #[command(flatten)]
    config: ConfigArguments,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Checks before an upgrade.
    Upgrade {
        /// Print the results as JSON.
        #[arg(long, global = true)]
        json: bool,
        #[command(subcommand)]
        command: Upgrade,
    },
}

#[derive(Debug, Subcommand)]
enum Upgrade {
    /// Checks the configuration, the policy file and the database. The exit code is 0 for success, 1 for warnings, 2 for failures.
    Check,
}

/// How a check went; the highest is the program's exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Code {
    Success = 0,
    Warning = 1,
    Failure = 2,
}

/// A check's name and what it found.
#[derive(Debug)]
struct Check {
    name: &'static str,
    code: Code,
    details: Option<String>,
}

impl Check {
    fn new(name: &'static str, code: Code, details: impl Into<Option<String>>) -> Check {
        Check {
            name,
            code,
            details: details.into(),
        }
    }
}

/// The program's command line.
pub(super) fn command() -> clap::Command {
    Arguments::command()
}

/// The program. It ends with 255 when the checks cannot be made, as upstream's does.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let Some(Command::Upgrade {
        json,
        command: Upgrade::Check,
    }) = arguments.command
    else {
        let script = arguments.completion.script::<Arguments>();
        return print(&script.unwrap_or_else(|| Arguments::command().render_help().to_string()));
    };
    match checks(&arguments.config) {
        Ok(checks) => {
            let text = if json {
                as_json(&checks)
            } else {
                as_table(&checks)
            };
            // The exit code tells the worst, whether or not somebody reads the rest.
            if print(&text) != ExitCode::SUCCESS {
                return ExitCode::from(255);
            }
            let codes = checks.iter().map(|check| check.code);
            ExitCode::from(codes.fold(Code::Success, Code::max) as u8)
        }
        Err(error) => {
            output::note!("Error:\n{error:#}");
            ExitCode::from(255)
        }
    }
}

/// Writes to standard output, which a reader may have closed.
fn print(text: &str) -> ExitCode {
    match output::write(format_args!("{text}")).map_err(Into::into) {
        Err(error) if !output::reader_is_gone(&error) => ExitCode::from(255),
        Ok(()) | Err(_) => ExitCode::SUCCESS,
    }
}

fn checks(arguments: &ConfigArguments) -> anyhow::Result<Vec<Check>> {
    let (config, _log) = arguments.begin(PROGRAM)?;
    let mut checks = vec![policy_format(&config), memcached(&config)];
    block_on(async {
        let store = connect(&config).await?;
        let (node, is_ready) = cluster(&store, &config).await?;
        checks.push(node);
        if !is_ready {
            return Ok(());
        }
        checks.push(settings(&store).await?);
        let state = store.schema_state().await?;
        checks.push(revision(&state));
        // An upgrade gives MySQL's columns their encoding.
        if state == SchemaState::Current || store.engine() != Engine::MySql {
            checks.push(encoding(&store).await?);
        }
        checks.push(duplicate_clients(&store, &state).await?);
        // The other layouts do not have all columns.
        if state == SchemaState::Current {
            checks.push(integrity(&store).await?);
            checks.push(limits(&store).await?);
        }
        anyhow::Ok(())
    })?;
    Ok(checks)
}

fn policy_format(config: &Config) -> Check {
    const NAME: &str = "Policy File JSON to YAML Migration";
    let Some(path) = config.find_file(&config.oslo_policy.policy_file) else {
        return Check::new(NAME, Code::Success, None);
    };
    let text = match std::fs::read(&path) {
        Ok(text) => text,
        Err(error) => {
            let details = format!(
                "Your policy file {} cannot be read: {error}.",
                path.display()
            );
            return Check::new(NAME, Code::Failure, details);
        }
    };
    if serde_json::from_slice::<serde_json::Value>(&text).is_err() {
        return Check::new(NAME, Code::Success, None);
    }
    Check::new(
        NAME,
        Code::Failure,
        "Your policy file is in JSON, which is deprecated. oslopolicy-convert-json-to-yaml turns it into YAML that \
         means the same."
            .to_owned(),
    )
}

fn memcached(config: &Config) -> Check {
    const NAME: &str = "Tokens in Memcached";
    if !config.keystone_authtoken.trusts_memcached() {
        return Check::new(NAME, Code::Success, None);
    }
    Check::new(
        NAME,
        Code::Warning,
        "Whoever can write to memcached can make administrators. Set memcache_secret_key in [keystone_authtoken] to the \
         same secret on all API services."
            .to_owned(),
    )
}

/// What a node of Galera says of itself, and whether it can be asked for more.
async fn cluster(store: &Store, config: &Config) -> anyhow::Result<(Check, bool)> {
    const NAME: &str = "Galera Cluster";
    let node = store
        .cluster_node(config.database.mysql_wsrep_sync_wait)
        .await?;
    let Some(node) = node else {
        return Ok((Check::new(NAME, Code::Success, None), true));
    };
    let code = match (node.failures.as_slice(), node.warnings.as_slice()) {
        ([], []) => Code::Success,
        ([], _) => Code::Warning,
        _ => Code::Failure,
    };
    let details = [node.failures, node.warnings, node.notes]
        .concat()
        .join("; ");
    Ok((Check::new(NAME, code, details), node.is_ready))
}

async fn settings(store: &Store) -> anyhow::Result<Check> {
    const NAME: &str = "Database Settings";
    match store.check_settings().await {
        Ok(()) => Ok(Check::new(NAME, Code::Success, None)),
        Err(StoreError::Settings(details)) => Ok(Check::new(NAME, Code::Failure, details)),
        Err(error) => Err(error.into()),
    }
}

async fn encoding(store: &Store) -> anyhow::Result<Check> {
    let limit = store.narrow_encoding().await?;
    let code = match &limit {
        None => Code::Success,
        Some(_) => Code::Warning,
    };
    Ok(Check::new("Database Encoding", code, limit))
}

fn revision(state: &SchemaState) -> Check {
    let code = match state {
        SchemaState::Current => return Check::new("Database Revision", Code::Success, None),
        SchemaState::Empty | SchemaState::Behind { .. } => Code::Warning,
        SchemaState::Unknown { .. } | SchemaState::Unstamped { .. } => Code::Failure,
    };
    Check::new("Database Revision", code, state.to_string())
}

async fn duplicate_clients(store: &Store, state: &SchemaState) -> anyhow::Result<Check> {
    const NAME: &str = "Duplicate Clients";
    if !matches!(state, SchemaState::Current | SchemaState::Behind { .. }) {
        return Ok(Check::new(NAME, Code::Success, None));
    }
    let duplicates = store.duplicate_clients().await?;
    Ok(match duplicates.as_slice() {
        [] => Check::new(NAME, Code::Success, None),
        [first, ..] => Check::new(
            NAME,
            Code::Warning,
            format!(
                "{} clients are registered more than once, for example {} of project {}. Delete all but one of each.",
                duplicates.len(),
                first.client_id,
                first.project_id.as_deref().unwrap_or("none")
            ),
        ),
    })
}

async fn integrity(store: &Store) -> anyhow::Result<Check> {
    const NAME: &str = "Consistent Rows";
    let mut wrong = 0u64;
    match store.check(false, &mut |_| wrong += 1).await {
        Err(error) if error.is_unencodable() => {
            let details = "A stored text is not UTF-8; the rows cannot be read.".to_owned();
            return Ok(Check::new(NAME, Code::Failure, details));
        }
        other => other?,
    }
    Ok(match wrong {
        0 => Check::new(NAME, Code::Success, None),
        _ => Check::new(
            NAME,
            Code::Warning,
            format!("{wrong} rows are inconsistent. freezer-manage db check lists them."),
        ),
    })
}

async fn limits(store: &Store) -> anyhow::Result<Check> {
    const NAME: &str = "Columns Near Their Limits";
    let near = store.near_limits().await?;
    Ok(if near.is_empty() {
        Check::new(NAME, Code::Success, None)
    } else {
        Check::new(NAME, Code::Warning, near.join("; "))
    })
}

fn as_json(checks: &[Check]) -> String {
    let checks: Vec<_> = checks
        .iter()
        .map(|check| json!({"check": check.name, "result": check.code as u8, "details": check.details}))
        .collect();
    format!(
        "{}\n",
        json!({"name": "Upgrade Check Results", "checks": checks})
    )
}

fn as_table(checks: &[Check]) -> String {
    let cells: Vec<Vec<String>> = checks.iter().map(cell).collect();
    let title = "Upgrade Check Results";
    let lines = cells.iter().flatten().map(|line| line.chars().count());
    let width = lines.fold(title.len(), usize::max);
    let rule = format!("+{}+\n", "-".repeat(width + 2));
    let mut table = format!("{rule}| {title:width$} |\n{rule}");
    for cell in cells {
        for line in cell {
            table.push_str(&format!("| {line:width$} |\n"));
        }
        table.push_str(&rule);
    }
    table
}

fn cell(check: &Check) -> Vec<String> {
    let details = match &check.details {
        None => "None".to_owned(),
        Some(details) => wrap(details),
    };
    let text = format!(
        "Check: {}\nResult: {:?}\nDetails: {details}",
        check.name, check.code
    );
    text.lines().map(str::to_owned).collect()
}

/// Lines of at most 60 characters, all but the first indented by two.
fn wrap(text: &str) -> String {
    let options = Options::new(WIDTH)
        .subsequent_indent("  ")
        .word_splitter(WordSplitter::NoHyphenation)
        .break_words(false);
    textwrap::fill(text, options)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_a_table() {
        let checks = [
            Check::new("One", Code::Success, None),
            Check::new("Two", Code::Failure, "word ".repeat(20)),
        ];
        insta::assert_snapshot!(as_table(&checks), @r"
        +----------------------------------------------------------------------+
        | Upgrade Check Results                                                |
        +----------------------------------------------------------------------+
        | Check: One                                                           |
        | Result: Success                                                      |
        | Details: None                                                        |
        +----------------------------------------------------------------------+
        | Check: Two                                                           |
        | Result: Failure                                                      |
        | Details: word word word word word word word word word word word word |
        |   word word word word word word word word                            |
        +----------------------------------------------------------------------+
        ");
    }
}
