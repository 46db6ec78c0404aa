//! What schedulers and agents let be seen of themselves: kept in memory, and written once a minute, since no poll is worth a write.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Catalogue;
use crate::authz::{Authorized, rules};
use crate::domain::document::{self, Object};
use crate::domain::liveness::Sighting;
use crate::domain::validation::TEXT_WIDTH;
use crate::store::{BATCH, Listing, Registered, StoreError, Tx};

/// How many clients are kept in mind between two writes, and of one project: names cost a caller nothing before they are looked up.
const MAX_CLIENTS: usize = 50_000;
const MAX_OF_PROJECT: usize = 20_000;
/// The same in bytes of their names: callers can choose long ones.
const MAX_NAMES: usize = 4 << 20;
const MAX_NAMES_OF_PROJECT: usize = 2 << 20;
/// How many addresses of a client are told apart.
const MAX_ADDRESSES: usize = 8;
/// Characters of what an agent says of itself.
const AGENT_WIDTH: usize = 64;

/// What was seen since it was last written.
#[derive(Default)]
pub(super) struct Liveness {
    seen: Mutex<Seen>,
    /// Addresses are told apart by numbers that nobody outside can choose.
    hasher: RandomState,
}

#[derive(Default)]
struct Seen {
    clients: HashMap<(String, String), Polled>,
    of_project: HashMap<String, Names>,
    names: Names,
    /// What agents said with a backup, and of which project, by the job.
    agents: HashMap<String, (String, Agent)>,
}

/// How many names there are, and their bytes.
#[derive(Clone, Copy, Default)]
struct Names {
    count: usize,
    bytes: usize,
}

impl Names {
    fn with(self, name: &str) -> Names {
        Names {
            count: self.count + 1,
            bytes: self.bytes + name.len(),
        }
    }
}

#[derive(Default)]
struct Polled {
    sighting: Sighting,
    addresses: Vec<u64>,
}

/// What an agent says of itself.
pub(super) struct Agent {
    os: Option<String>,
    version: Option<String>,
}

impl Agent {
    /// What it says in the metadata of a backup.
    pub(super) fn of(metadata: &Object) -> Option<Agent> {
        let said = |key: &str| {
            let text = document::text(metadata, key)?;
            let text = text.chars().filter(|character| *character != '\0');
            let text: String = text.take(AGENT_WIDTH).collect();
            (!text.is_empty()).then_some(text)
        };
        let (os, version) = (said("client_os"), said("client_version"));
        (os.is_some() || version.is_some()).then_some(Agent { os, version })
    }
}

impl Seen {
    /// What is kept of a client, where there is room for it.
    fn client(&mut self, project_id: &str, client_id: &str) -> Option<&mut Polled> {
        match self
            .clients
            .entry((project_id.to_owned(), client_id.to_owned()))
        {
            Entry::Occupied(entry) => Some(entry.into_mut()),
            Entry::Vacant(entry) => {
                let of_project = self.of_project.entry(project_id.to_owned()).or_default();
                let all = self.names.with(client_id);
                let own = of_project.with(client_id);
                let are_too_many = all.count > MAX_CLIENTS || own.count > MAX_OF_PROJECT;
                if are_too_many || all.bytes > MAX_NAMES || own.bytes > MAX_NAMES_OF_PROJECT {
                    return None;
                }
                (self.names, *of_project) = (all, own);
                let sighting = Sighting::of(project_id, client_id);
                Some(entry.insert(Polled {
                    sighting,
                    addresses: Vec::new(),
                }))
            }
        }
    }

    fn add(&mut self, sighting: Sighting) {
        if let Some(client) = self.client(&sighting.project_id, &sighting.client_id) {
            client.sighting.add(sighting);
        }
    }
}

impl Liveness {
    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of a list that a scheduler begins to read, if it is one: it has the shape of a poll, and its caller may change jobs.
    pub(super) fn note_list(
        &self,
        caller: &Authorized,
        listing: &Listing,
        from: Option<IpAddr>,
        now: i64,
    ) {
        let search = listing.search.as_ref();
        let Some(client_id) = search.and_then(|search| search.polled_client()) else {
            return;
        };
        let is_first_page = listing.page.offset == 0 && listing.next.is_none();
        if !is_first_page || !is_name(client_id) || !caller.may(rules::JOBS_UPDATE) {
            return;
        }
        let address = from.map(|address| self.hasher.hash_one(address));
        if let Some(client) = self.lock().client(caller.project_id(), client_id) {
            client.sighting.add_poll(now);
            if let Some(address) = address
                && client.addresses.len() < MAX_ADDRESSES
                && !client.addresses.contains(&address)
            {
                client.addresses.push(address);
            }
            client.sighting.addresses = client.addresses.len() as i64;
        }
    }

    /// Takes note of another registration of a client: a scheduler sends one when it starts.
    pub(super) fn note_restart(&self, project_id: &str, client_id: &str) {
        if let Some(client) = self.lock().client(project_id, client_id) {
            client.sighting.restarts += 1;
        }
    }

    /// Takes note of what an agent says of itself with a backup of a job.
    pub(super) fn note_backup(&self, project_id: &str, job_id: &str, agent: Agent) {
        let mut seen = self.lock();
        if seen.agents.len() < MAX_CLIENTS || seen.agents.contains_key(job_id) {
            let of_job = (project_id.to_owned(), agent);
            seen.agents.insert(job_id.to_owned(), of_job);
        }
    }

    fn take(&self) -> Seen {
        std::mem::take(&mut *self.lock())
    }

    /// Keeps what could not be written for the next time.
    fn give_back(&self, sightings: Vec<Sighting>) {
        let mut seen = self.lock();
        for sighting in sightings {
            seen.add(sighting);
        }
    }
}

/// In one order on all nodes, so that their statements do not lock the same rows in turn.
fn sort(sightings: &mut [Sighting]) {
    sightings.sort_unstable_by(|one, two| {
        (&one.client_id, &one.project_id).cmp(&(&two.client_id, &two.project_id))
    });
}

/// Whether a text can be the name of a client.
fn is_name(client_id: &str) -> bool {
    !client_id.contains('\0') && client_id.chars().count() <= TEXT_WIDTH
}

/// The sighting of the client in whose project the text stands, or of the central one of that name.
fn of_registered(mut sighting: Sighting, registered: &[Registered]) -> Option<Sighting> {
    let named = |client: &&Registered| client.client_id == sighting.client_id;
    let of_project =
        |client: &&Registered| client.project_id.as_ref() == Some(&sighting.project_id);
    let mut all = registered.iter().filter(named);
    let found = all
        .clone()
        .find(of_project)
        .or_else(|| all.find(|client| client.is_central))?;
    sighting.project_id = found.project_id.clone()?;
    Some(sighting)
}

impl Catalogue {
    /// Writes what was seen of registered clients since the last time; of how many. What cannot be written is kept for the next time.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn write_activity(&self) -> Result<usize, StoreError> {
        let seen = self.liveness.take();
        let mut sightings: Vec<Sighting> = seen
            .clients
            .into_values()
            .map(|polled| polled.sighting)
            .collect();
        // A backup is told of once. What its agent says is said again with the next one.
        match self.agents(seen.agents).await {
            Ok(agents) => sightings.extend(agents),
            Err(error) => tracing::debug!(%error, "what agents said of themselves is not kept"),
        }
        sort(&mut sightings);
        let mut written = 0;
        while !sightings.is_empty() {
            let rest = sightings.split_off(sightings.len().min(BATCH));
            match self.write_sightings(&sightings).await {
                Ok(count) => written += count,
                Err(error) => {
                    sightings.extend(rest);
                    self.liveness.give_back(sightings);
                    return Err(error);
                }
            }
            sightings = rest;
        }
        Ok(written)
    }

    /// Writes as many as one statement takes.
    async fn write_sightings(&self, sightings: &[Sighting]) -> Result<usize, StoreError> {
        let mut names: Vec<String> = sightings.iter().map(|one| one.client_id.clone()).collect();
        names.dedup();
        let registered = self
            .store
            .read("finding clients", async move |tx: &mut Tx| {
                tx.registered_clients(&names).await
            })
            .await?;
        let mut known: HashMap<(String, String), Sighting> = HashMap::new();
        for sighting in sightings.iter().cloned() {
            if let Some(sighting) = of_registered(sighting, &registered) {
                let key = (sighting.client_id.clone(), sighting.project_id.clone());
                match known.entry(key) {
                    Entry::Occupied(mut entry) => entry.get_mut().add(sighting),
                    Entry::Vacant(entry) => drop(entry.insert(sighting)),
                }
            }
        }
        let mut rows: Vec<Sighting> = known.into_values().collect();
        sort(&mut rows);
        let count = rows.len();
        if count == 0 {
            return Ok(0);
        }
        // Where nobody knows whether it was written, it is written again: its polls count twice then, and nothing else.
        self.store
            .insert_row(
                "writing what was seen of clients",
                async move |tx: &mut Tx| tx.add_sightings(&rows).await,
            )
            .await?;
        Ok(count)
    }

    /// What agents said of themselves, as sightings of the clients of their jobs.
    async fn agents(
        &self,
        said: HashMap<String, (String, Agent)>,
    ) -> Result<Vec<Sighting>, StoreError> {
        let ids: Vec<String> = said.keys().cloned().collect();
        let mut sightings = Vec::new();
        for ids in ids.chunks(BATCH) {
            let ids = ids.to_vec();
            let jobs = self
                .store
                .read("finding jobs", async move |tx: &mut Tx| {
                    tx.clients_of_jobs(&ids).await
                })
                .await?;
            for job in jobs {
                let agent = said.get(&job.id);
                let agent = agent.filter(|(project, _)| Some(project) == job.project_id.as_ref());
                if let Some((project_id, agent)) = agent {
                    sightings.push(Sighting {
                        os: agent.os.clone(),
                        agent_version: agent.version.clone(),
                        ..Sighting::of(project_id, &job.client_id)
                    });
                }
            }
        }
        Ok(sightings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of so many clients are kept of a project, and of all.
    fn kept(seen: &mut Seen, project: &str, clients: usize, width: usize) -> (usize, usize) {
        let name = |number| format!("{number:0width$}");
        let found = (0..clients).filter(|number| seen.client(project, &name(*number)).is_some());
        (found.count(), seen.clients.len())
    }

    #[test]
    fn invented_names_take_little_memory() {
        let mut seen = Seen::default();
        assert_eq!(kept(&mut seen, "a", 30_000, 8), (20_000, 20_000));
        assert_eq!(kept(&mut seen, "a", 30_000, 8), (20_000, 20_000));
        assert_eq!(kept(&mut seen, "b", 20_000, 1_000).0, (2 << 20) / 1_000);
        assert_eq!(kept(&mut seen, "c", 20_000, 1_000).0, 1_937);
        assert_eq!(kept(&mut seen, "d", 20_000, 8).0, 38);
        assert!(seen.names.bytes <= MAX_NAMES);
    }
}
