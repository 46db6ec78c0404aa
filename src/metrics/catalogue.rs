//! What the tables tell: the same on every node, also after a restart.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::families::{Families, Figures, text};
use crate::domain::figures::{CatalogueFigures, ClientFigures, HostFigures};
use crate::domain::run::RunState;

/// The figures of the catalogue; none where they cannot be read now.
struct Catalogue(Option<Arc<CatalogueFigures>>);

/// The text of what the tables tell, or that they tell nothing now.
pub fn catalogue_text(figures: Option<Arc<CatalogueFigures>>) -> String {
    text(Catalogue(figures))
}

/// A project as a label; empty where there is none.
fn project(project_id: &Option<String>) -> (&'static str, &str) {
    ("project_id", project_id.as_deref().unwrap_or_default())
}

/// A project's hosts of all states together.
struct ProjectFigures {
    jobs: i64,
    active_jobs: i64,
    running: i64,
    oldest_success_at: Option<i64>,
}

fn by_project(hosts: &[HostFigures]) -> BTreeMap<&Option<String>, ProjectFigures> {
    let mut projects = BTreeMap::new();
    for host in hosts {
        let project = projects.entry(&host.project_id).or_insert(ProjectFigures {
            jobs: 0,
            active_jobs: 0,
            running: 0,
            oldest_success_at: None,
        });
        project.jobs += host.jobs;
        project.active_jobs += host.active_jobs;
        project.running += host.running;
        let times = [project.oldest_success_at, host.oldest_success_at];
        project.oldest_success_at = times.into_iter().flatten().min();
    }
    projects
}

impl Figures for Catalogue {
    fn write(&self, families: &mut Families<'_>) -> fmt::Result {
        families.gauge(
            "freezer_metrics_catalogue_up",
            "1 where the figures of the catalogue could be read, else 0 and they are left out.",
            u64::from(self.0.is_some()),
        )?;
        let Some(figures) = &self.0 else {
            return Ok(());
        };
        write_rounds(families, figures)?;
        write_hosts(families, &figures.hosts)?;
        families.gauges(
            "freezer_problems",
            "What is wrong with jobs and clients, as it was found last.",
            figures.findings.iter().map(|found| {
                let labels = [
                    project(&found.project_id),
                    ("kind", found.finding.name()),
                    ("severity", found.finding.severity()),
                ];
                (labels, found.count)
            }),
        )?;
        write_runs(families, figures)?;
        write_clients(families, figures)
    }
}

fn write_rounds(families: &mut Families<'_>, figures: &CatalogueFigures) -> fmt::Result {
    let done = [
        ("rounds", figures.rounds_done_at),
        ("series", figures.series_done_at),
    ];
    families.gauges(
        "freezer_api_housekeeper_last_run_timestamp_seconds",
        "When one node among all came to the end of its work last.",
        done.into_iter()
            .filter_map(|(work, time)| Some(([("work", work)], time?))),
    )
}

fn write_hosts(families: &mut Families<'_>, hosts: &[HostFigures]) -> fmt::Result {
    families.gauges(
        "freezer_clients",
        "Registered clients, by whether their schedulers poll.",
        hosts.iter().map(|host| {
            let labels = [project(&host.project_id), ("state", host.state.name())];
            (labels, host.clients)
        }),
    )?;
    let projects = by_project(hosts);
    families.gauges(
        "freezer_jobs",
        "Jobs, by whether they are to run.",
        projects.iter().flat_map(|(project_id, figures)| {
            let inactive = figures.jobs - figures.active_jobs;
            [("active", figures.active_jobs), ("inactive", inactive)]
                .map(|(status, jobs)| ([project(project_id), ("status", status)], jobs))
        }),
    )?;
    families.gauges(
        "freezer_runs_open",
        "Runs that go on.",
        projects
            .iter()
            .map(|(project_id, figures)| ([project(project_id)], figures.running)),
    )?;
    families.gauges(
        "freezer_oldest_last_success_timestamp_seconds",
        "The last success of the client whose last success is the oldest.",
        projects.iter().filter_map(|(project_id, figures)| {
            Some(([project(project_id)], figures.oldest_success_at?))
        }),
    )
}

fn write_runs(families: &mut Families<'_>, figures: &CatalogueFigures) -> fmt::Result {
    let ended = figures.runs.iter();
    let ended = ended.filter(|run| run.state != RunState::Running);
    families.gauges(
        "freezer_runs_last_day",
        "Runs that began in the last 24 full hours or since and have ended, by what became of them.",
        ended.map(|run| {
            let labels = [project(&run.project_id), ("state", run.state.name())];
            (labels, run.runs)
        }),
    )?;
    let successes = figures.runs.iter();
    let successes = successes.filter(|run| run.state == RunState::Success);
    families.gauges(
        "freezer_run_seconds_last_day",
        "How long those of them that succeeded took together.",
        successes.map(|run| ([project(&run.project_id)], run.seconds)),
    )?;
    families.gauges(
        "freezer_series",
        "Series of backups.",
        figures
            .series
            .iter()
            .map(|series| ([project(&series.project_id)], series.series)),
    )?;
    families.gauges(
        "freezer_backups",
        "Records of backups in series.",
        figures
            .series
            .iter()
            .map(|series| ([project(&series.project_id)], series.backups)),
    )
}

/// What a client has a value of.
type ClientValue = fn(&ClientFigures) -> Option<i64>;

const OF_CLIENTS: [(&str, &str, ClientValue); 5] = [
    (
        "freezer_client_last_success_timestamp_seconds",
        "The last success of any of its jobs.",
        |client| client.last_success_at,
    ),
    (
        "freezer_client_due_timestamp_seconds",
        "When the first of its jobs should have succeeded again.",
        |client| client.due_at,
    ),
    (
        "freezer_client_last_poll_timestamp_seconds",
        "When its scheduler polled last.",
        |client| client.last_poll_at,
    ),
    (
        "freezer_client_failed_runs_in_a_row",
        "The most failures in a row of any of its jobs.",
        |client| Some(client.failed_in_a_row),
    ),
    (
        "freezer_client_last_run_success",
        "0 where the last run of one of its jobs failed, 1 where none did.",
        |client| match (client.failed_in_a_row, client.last_success_at) {
            (0, None) => None,
            (0, Some(_)) => Some(1),
            _ => Some(0),
        },
    ),
];

fn write_clients(families: &mut Families<'_>, figures: &CatalogueFigures) -> fmt::Result {
    for (name, help, value) in OF_CLIENTS {
        families.gauges(
            name,
            help,
            figures.clients.iter().filter_map(|client| {
                let labels = [
                    project(&client.project_id),
                    ("client_id", client.client_id.as_str()),
                ];
                Some((labels, value(client)?))
            }),
        )?;
    }
    families.gauge(
        "freezer_metrics_clients_dropped",
        "Clients without figures of their own, since there are more than [metrics] max_clients.",
        figures.clients_left_out,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_clients_cannot_break_the_text() {
        let client = ClientFigures {
            project_id: None,
            client_id: "a\"} 1\nfreezer_problems{kind=\"\\".to_owned(),
            last_success_at: Some(7),
            due_at: None,
            failed_in_a_row: 0,
            last_poll_at: None,
        };
        let figures = CatalogueFigures {
            clients: vec![client],
            ..CatalogueFigures::default()
        };
        let text = catalogue_text(Some(Arc::new(figures)));
        let line = r#"freezer_client_last_success_timestamp_seconds{project_id="",client_id="a\"} 1\nfreezer_problems{kind=\"\\"} 7"#;
        assert!(text.lines().any(|one| one == line), "{text}");
        assert!(
            !text.lines().any(|one| one.starts_with("freezer_problems{")),
            "{text}"
        );
    }

    #[test]
    fn what_cannot_be_read_is_left_out() {
        let text = catalogue_text(None);
        let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(lines, ["freezer_metrics_catalogue_up 0"]);
    }
}
