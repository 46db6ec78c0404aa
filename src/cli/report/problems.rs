//! `freezer-manage report problems`: what the rounds of the service have found to be wrong.

use anyhow::bail;

use super::super::output;
use super::overview::require_rounds;
use super::{Format, Of, time_of};
use crate::domain::Scope;
use crate::domain::finding::{Problem, ProblemQuery};
use crate::domain::host::ROUNDS;
use crate::store::{Store, StoreError, Tx};

/// How many problems are read at once.
const BATCH: usize = 500;

/// Prints each problem, and fails where one means that backups are missing, or where nobody has looked for long.
pub(super) async fn problems(store: &Store, of: Of) -> anyhow::Result<()> {
    let scope = of.scope();
    let (mut listed, mut red) = (0, 0);
    let mut last = None;
    loop {
        let problems = batch(store, &scope, last.take()).await?;
        for problem in problems.iter().take(BATCH) {
            listed += 1;
            red += usize::from(problem.finding.is_urgent());
            match of.format {
                Format::Json => output::json_line(problem.to_json().get())?,
                Format::Table => print(problem)?,
            }
        }
        if problems.len() <= BATCH {
            break;
        }
        last = problems.into_iter().nth(BATCH - 1);
    }
    if of.format == Format::Table {
        output::line!("{listed} problems, {red} of them mean that backups are missing")?;
    }
    let done_at = async |tx: &mut Tx| tx.lease_done_at(ROUNDS).await;
    let as_of = store.read("looking at the rounds", done_at).await?;
    require_rounds(as_of, store.clock.timestamp())?;
    if red > 0 {
        bail!("{red} problems mean that backups are missing");
    }
    Ok(())
}

/// The next problems, and one more where there are more.
async fn batch(
    store: &Store,
    scope: &Scope,
    after: Option<Problem>,
) -> Result<Vec<Problem>, StoreError> {
    let query = ProblemQuery {
        limit: BATCH,
        ..ProblemQuery::default()
    };
    store
        .read("listing problems", async |tx: &mut Tx| {
            tx.list_problems(scope, &query, after.as_ref()).await
        })
        .await
}

fn print(problem: &Problem) -> Result<(), output::OutputError> {
    // Texts of users may have characters that steer a terminal.
    let text = |text: &str| text.escape_debug().to_string();
    let about = problem.job_id.as_deref().or(problem.series_id.as_deref());
    output::line!(
        "{:<12} {:<6} {:<32} {:<30} since {}, last success {}: {} \"{}\"",
        problem.finding.name(),
        problem.finding.severity(),
        problem.project_id.as_deref().unwrap_or("-"),
        text(&problem.client_id),
        time_of(Some(problem.since), "ever"),
        time_of(problem.last_success_at, "never"),
        about.unwrap_or("the client"),
        text(problem.description.as_deref().unwrap_or_default()),
    )
}
