//! Rounds in which one node among all looks at every job, series of backups and client, and writes down how hosts fare and what is wrong.

mod series;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::{Duration, Instant};

use time::OffsetDateTime;

use super::Catalogue;
use crate::domain::finding::Problem;
use crate::domain::host::{Counting, Host, HostState, JobTally, Registration};
use crate::domain::job_report::JobHistory;
use crate::domain::run::Run;
use crate::domain::run_day::SECONDS_OF_HOUR;
use crate::store::{HOST_BATCH, Store, StoreError, Tx};

use self::series::SeriesFindings;

/// How many jobs are looked at at once.
const JOBS: usize = 50;
/// How many times as long as it has worked a gentle round rests, and for how long at most.
const RESTS: u32 = 4;
const LONGEST_REST: Duration = Duration::from_secs(10);

/// How a round is done.
#[derive(Clone, Copy, Debug)]
pub struct RoundTerms {
    /// From when on the service has heard every poll, in seconds since 1970: nobody is silent for what was not heard.
    pub watching: i64,
    /// Since when something new of a run was heard.
    pub heard_since: i64,
    /// Whether it rests longer than it works, so that requests have their turn.
    pub is_gentle: bool,
}

/// Jobs of a page, which of them make backups, and what was wrong with them before.
struct JobPage {
    jobs: Vec<JobHistory>,
    backups: HashSet<String>,
    problems: Vec<Problem>,
}

/// Clients of a page, the hosts of their names, and what was wrong with the clients before.
struct ClientPage {
    clients: Vec<Registration>,
    hosts: Vec<Host>,
    problems: Vec<Problem>,
    /// What is wrong with series of theirs.
    of_series: SeriesFindings,
}

/// The jobs of one name of a client, by the name and the project. MySQL ignores trailing blanks in its order, so these do too.
#[derive(Default)]
struct Group {
    name: String,
    counts: HashMap<(String, Option<String>), Counting>,
}

type Tallies = Vec<((String, Option<String>), JobTally)>;

impl Group {
    fn end(self) -> Tallies {
        let ended = self.counts.into_iter();
        ended.map(|(key, counting)| (key, counting.end())).collect()
    }
}

/// A round, and what it has seen so far.
struct Round<'a> {
    store: &'a Store,
    terms: RoundTerms,
    now: OffsetDateTime,
    /// The hosts that have jobs.
    with_jobs: HashSet<String>,
    /// The hosts whose clients are registered.
    registered: HashSet<String>,
    /// The names of central clients.
    central: HashSet<String>,
    /// The hours in which runs began of which something was heard.
    heard: BTreeSet<i64>,
}

impl Catalogue {
    /// [`judge_all`].
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn judge_all(&self, terms: RoundTerms) -> Result<BTreeSet<i64>, StoreError> {
        judge_all(&self.store, terms).await
    }
}

/// Looks at all jobs, series and clients, and writes how hosts fare and what is wrong. What did not change is not written.
///
/// It answers in which hours those runs began, by the clocks of their hosts, of which something was heard: in hours since 1970, of the last
/// runs of each job.
///
/// # Errors
/// [`StoreError`]. What was written stays; the next round finds the rest.
pub async fn judge_all(store: &Store, terms: RoundTerms) -> Result<BTreeSet<i64>, StoreError> {
    let mut round = Round {
        store,
        terms,
        now: store.clock.now(),
        with_jobs: HashSet::new(),
        registered: HashSet::new(),
        central: HashSet::new(),
        heard: BTreeSet::new(),
    };
    round.judge_jobs().await?;
    round.judge_series().await?;
    round.judge_clients().await?;
    round.forget().await?;
    Ok(round.heard)
}

impl Round<'_> {
    async fn rest(&self, since: Instant) {
        if self.terms.is_gentle {
            let rest = since.elapsed().saturating_mul(RESTS);
            tokio::time::sleep(rest.min(LONGEST_REST)).await;
        }
    }

    async fn judge_jobs(&mut self) -> Result<(), StoreError> {
        let mut after = (String::new(), String::new());
        let mut group = Group::default();
        loop {
            let started = Instant::now();
            let page = self.jobs_after(after.clone()).await?;
            let is_last = page.jobs.len() < JOBS;
            if let Some(last) = page.jobs.last() {
                after = (last.client_id.clone(), last.job_id.clone());
            }
            self.listen(page.jobs.iter().flat_map(|job| &job.runs));
            let mut ended = self.judge_page(page, &mut group).await?;
            if is_last {
                ended.extend(std::mem::take(&mut group).end());
            }
            self.write_tallies(ended).await?;
            if is_last {
                return Ok(());
            }
            self.rest(started).await;
        }
    }

    fn listen<'r>(&mut self, runs: impl Iterator<Item = &'r Run>) {
        let is_new = |run: &&Run| run.heard_at() >= Some(self.terms.heard_since);
        let hours = runs
            .filter(is_new)
            .map(|run| run.started_at.div_euclid(SECONDS_OF_HOUR));
        self.heard.extend(hours);
    }

    async fn jobs_after(&self, after: (String, String)) -> Result<JobPage, StoreError> {
        let store = self.store;
        store
            .read("judging jobs", async move |tx: &mut Tx| {
                let jobs = tx.jobs_by_client(&after, JOBS).await?;
                let ids: Vec<String> = jobs.iter().map(|job| job.job_id.clone()).collect();
                Ok(JobPage {
                    backups: tx.backup_jobs(&ids).await?,
                    problems: tx.problems_of_jobs(&ids).await?,
                    jobs,
                })
            })
            .await
    }

    /// Judges the jobs of a page; the tallies of the clients whose jobs have ended with it.
    async fn judge_page(&self, page: JobPage, group: &mut Group) -> Result<Tallies, StoreError> {
        let mut ended = Tallies::new();
        let mut problems = Vec::new();
        for job in &page.jobs {
            let judgement = job.judge(self.now);
            problems.extend(job.problems(&judgement));
            let name = job.client_id.trim_end_matches(' ');
            if group.name != name {
                let next = Group {
                    name: name.to_owned(),
                    counts: HashMap::new(),
                };
                ended.extend(std::mem::replace(group, next).end());
            }
            let key = (job.client_id.clone(), job.project_id.clone());
            let makes_backups = page.backups.contains(&job.job_id);
            let counting = group.counts.entry(key).or_default();
            counting.add(job, &judgement, makes_backups);
        }
        self.write_problems(page.problems, problems).await?;
        Ok(ended)
    }

    async fn write_tallies(&mut self, tallies: Tallies) -> Result<(), StoreError> {
        let names = tallies.iter().map(|((name, _), _)| name.clone()).collect();
        let before = self.hosts_of(names).await?;
        let mut now = Vec::new();
        for ((name, project_id), tally) in tallies {
            let mut host = Host::of(project_id.as_deref(), &name);
            if let Some(known) = before.iter().find(|known| known.id == host.id) {
                host = known.clone();
            }
            host.tally = tally;
            self.with_jobs.insert(host.id.clone());
            now.push(host);
        }
        self.write_hosts(&before, now, Vec::new()).await
    }

    async fn hosts_of(&self, mut names: Vec<String>) -> Result<Vec<Host>, StoreError> {
        names.sort_unstable();
        names.dedup();
        let store = self.store;
        store
            .read("finding hosts", async move |tx: &mut Tx| {
                tx.hosts_of_clients(&names).await
            })
            .await
    }

    async fn judge_clients(&mut self) -> Result<(), StoreError> {
        let mut after = String::new();
        loop {
            let started = Instant::now();
            let page = self.clients_after(after.clone()).await?;
            let Some(last) = page.clients.last() else {
                return Ok(());
            };
            after.clone_from(&last.id);
            let is_last = page.clients.len() < HOST_BATCH;
            self.judge_client_page(page).await?;
            if is_last {
                return Ok(());
            }
            self.rest(started).await;
        }
    }

    async fn clients_after(&self, after: String) -> Result<ClientPage, StoreError> {
        let store = self.store;
        store
            .read("judging clients", async move |tx: &mut Tx| {
                let clients = tx.registrations_after(&after).await?;
                let mut names: Vec<String> = clients
                    .iter()
                    .map(|client| client.client_id.clone())
                    .collect();
                names.sort_unstable();
                names.dedup();
                Ok(ClientPage {
                    hosts: tx.hosts_of_clients(&names).await?,
                    problems: tx.problems_of_clients(&names).await?,
                    of_series: tx.series_findings_of_clients(&names).await?.into(),
                    clients,
                })
            })
            .await
    }

    async fn judge_client_page(&mut self, page: ClientPage) -> Result<(), StoreError> {
        let (mut hosts, mut problems) = (HashMap::new(), Vec::new());
        for client in &page.clients {
            let mut host = Host::of(client.project_id.as_deref(), &client.client_id);
            let known = page.hosts.iter().find(|known| known.id == host.id);
            // One without jobs may have had some in the last round.
            if let Some(known) = known.filter(|_| self.with_jobs.contains(&host.id)) {
                host.tally.clone_from(&known.tally);
            }
            let found = client.findings(&host.tally, self.terms.watching, self.unix());
            host.findings = found.iter().map(|found| found.finding).collect();
            page.of_series.add_to(&mut host);
            host.is_registered = true;
            self.tell_of_client(&mut host, client);
            let of_client = found.iter().map(|found| {
                let new = client.problem(*found, &host.tally);
                let known = page.problems.iter().find(|known| known.id == new.id);
                new.continuing(known)
            });
            problems.extend(of_client);
            self.registered.insert(host.id.clone());
            if client.is_central {
                self.central.insert(client.client_id.clone());
                hosts.extend(self.hosts_of_central(client, &page));
            }
            hosts.insert(host.id.clone(), host);
        }
        let is_of_page = |problem: &Problem| {
            page.clients.iter().any(|client| {
                client.client_id == problem.client_id && client.project_id == problem.project_id
            })
        };
        let before = page.problems.iter().filter(|problem| is_of_page(problem));
        self.write_problems(before.cloned().collect(), problems)
            .await?;
        let hosts = hosts.into_values().collect();
        self.write_hosts(&page.hosts, hosts, Vec::new()).await
    }

    fn unix(&self) -> i64 {
        self.now.unix_timestamp()
    }

    fn tell_of_client(&self, host: &mut Host, client: &Registration) {
        host.hostname.clone_from(&client.hostname);
        host.is_central = client.is_central;
        host.state = client.state(self.terms.watching, self.unix());
    }

    /// What other projects that have jobs on a central client see of it.
    fn hosts_of_central(&self, client: &Registration, page: &ClientPage) -> Vec<(String, Host)> {
        let of_others = page.hosts.iter().filter(|host| {
            host.client_id == client.client_id && host.project_id != client.project_id
        });
        of_others
            .map(|host| {
                let mut host = host.clone();
                host.is_registered = false;
                host.findings.clear();
                page.of_series.add_to(&mut host);
                self.tell_of_client(&mut host, client);
                (host.id.clone(), host)
            })
            .collect()
    }

    /// Tells of jobs and clients that are gone.
    async fn forget(&self) -> Result<(), StoreError> {
        let mut after = String::new();
        loop {
            let place = after.clone();
            let store = self.store;
            let before = store
                .read(
                    "looking for hosts that are gone",
                    async move |tx: &mut Tx| tx.hosts_after(&place).await,
                )
                .await?;
            let Some(last) = before.last() else {
                break;
            };
            after.clone_from(&last.id);
            let now: Vec<Host> = before.iter().map(|host| self.as_it_is(host)).collect();
            let (now, gone): (Vec<Host>, Vec<Host>) = now
                .into_iter()
                .partition(|host| host.is_registered || host.tally.jobs > 0);
            let gone = gone.into_iter().map(|host| host.id).collect();
            self.write_hosts(&before, now, gone).await?;
        }
        let store = self.store;
        store
            .write("forgetting problems", async move |tx: &mut Tx| {
                tx.forget_problems().await.map(drop)
            })
            .await
    }

    /// A host without what the round has not seen.
    fn as_it_is(&self, host: &Host) -> Host {
        let mut host = host.clone();
        if !self.with_jobs.contains(&host.id) {
            host.tally = JobTally::default();
        }
        if self.registered.contains(&host.id) {
            return host;
        }
        host.is_registered = false;
        host.findings.clear();
        if !self.central.contains(&host.client_id) {
            host.is_central = false;
            host.state = HostState::Unknown;
        }
        host
    }

    /// Writes those hosts that are not as before, and removes those that are gone.
    async fn write_hosts(
        &self,
        before: &[Host],
        now: Vec<Host>,
        gone: Vec<String>,
    ) -> Result<(), StoreError> {
        let mut changed = now;
        changed.retain(|host| !before.contains(host));
        if changed.is_empty() && gone.is_empty() {
            return Ok(());
        }
        changed.sort_unstable_by(|one, two| one.id.cmp(&two.id));
        let store = self.store;
        store
            .write("writing hosts", async move |tx: &mut Tx| {
                tx.write_hosts(&changed, &gone).await
            })
            .await
    }

    /// Writes those problems that are not as before, and removes those that are none any more.
    async fn write_problems(
        &self,
        before: Vec<Problem>,
        now: Vec<Problem>,
    ) -> Result<(), StoreError> {
        let ids: HashSet<&str> = now.iter().map(|problem| problem.id.as_str()).collect();
        let gone: Vec<String> = before
            .iter()
            .filter(|problem| !ids.contains(problem.id.as_str()))
            .map(|problem| problem.id.clone())
            .collect();
        let mut changed: Vec<Problem> = now;
        changed.retain(|problem| !before.contains(problem));
        if changed.is_empty() && gone.is_empty() {
            return Ok(());
        }
        changed.sort_unstable_by(|one, two| one.id.cmp(&two.id));
        let store = self.store;
        store
            .write("writing problems", async move |tx: &mut Tx| {
                tx.write_problems(&changed, &gone).await
            })
            .await
    }
}
