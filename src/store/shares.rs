//! Fair shares of the connections to the database. What all callers want at once is what the database can do, so that a request of one
//! caller waits for others of the same caller before it waits for those of others.
//!
//! A caller has half of the connections at most, and a few for reads while others ask too: the requests of somebody who asks now and then do not
//! stand behind the hundreds of somebody who does not stop. Each request counts for its user and for its project: neither who has a
//! token for each project nor who has many users in one gets more.
//!
//! What took long is followed by a rest that is as long, while others ask: so one caller who always asks keeps about one processor of the
//! database's busy, whatever each request costs.
//!
//! A request waits for the share of its user, then for that of its project, and then for a connection, and never the other way round. Who
//! has a share waits for no client: a list that is sent while it is read has given it back
//! ([ADR 15](../../docs/adr/0015-callers-have-shares-of-the-connections.md)).

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// For how long somebody counts as one who asks, after he has asked.
const RECENT: Duration = Duration::from_secs(1);
/// Callers that are kept in mind without being looked at again.
const KEPT: usize = 1024;

/// Reads that take no longer are followed by no rest.
const SHORT: Duration = Duration::from_millis(2);
/// The longest rest, so that a database that stood still is not waited for twice.
const MAX_REST: Duration = Duration::from_millis(250);
/// The least rest after a statement or a connection that was given up: another connection costs the database far more than a statement.
const AFTER_GIVING_UP: Duration = Duration::from_millis(250);

/// For whom a piece of work is done: hashes of a user's id and of a project's.
#[derive(Clone, Copy, Debug)]
pub struct Caller {
    user: u64,
    project: u64,
}

tokio::task_local! {
    static CALLER: Caller;
}

impl Caller {
    /// A user in a project, by their ids.
    pub fn new(user_id: &str, project_id: &str) -> Caller {
        Caller {
            user: hash(user_id),
            project: hash(project_id),
        }
    }

    /// Does a piece of work for them: what it asks of the database counts for the user and for the project. Other work, that of the
    /// service itself, counts for nobody.
    pub async fn served<T>(self, work: impl Future<Output = T>) -> T {
        CALLER.scope(self, work).await
    }
}

fn hash(id: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    hasher.finish()
}

/// What a connection is for. Reads are what keeps a database busy; changes are short, but may wait for a lock, and those of one
/// row must not hold up all others of their project.
#[derive(Clone, Copy, Debug)]
pub(super) enum Purpose {
    Read,
    Change,
}

/// Who works on what now: users, and projects.
#[derive(Debug)]
pub(super) struct Shares {
    users: Parties,
    projects: Parties,
}

/// A place in the share of a user and in that of a project, while it is kept, and while it rests.
#[derive(Debug)]
pub(super) struct Share {
    places: Option<(Place, Place)>,
    since: Instant,
    /// Whether a statement was given up, or a connection while it was opened.
    gave_up: Arc<AtomicBool>,
    company: Company,
}

/// Those who ask beside a caller.
#[derive(Clone, Debug)]
pub(super) struct Company {
    shares: Arc<Shares>,
    caller: Caller,
}

impl Company {
    /// Whether somebody else is here, or was lately.
    pub(super) fn is_there(&self) -> bool {
        self.shares.users.has_others(self.caller.user)
            || self.shares.projects.has_others(self.caller.project)
    }
}

impl Shares {
    /// Shares of so many connections. While others ask, the reads of a caller have `among_others`; 0 for half as many as there are processors, but 2.
    pub(super) fn new(connections: usize, among_others: usize) -> Shares {
        let parties = || Parties::new(connections, among_others, RECENT);
        Shares {
            users: parties(),
            projects: parties(),
        }
    }

    /// Waits until the caller of this task has a place in both; `None` for work of the service itself.
    pub(super) async fn enter(self: &Arc<Self>, purpose: Purpose) -> Option<Share> {
        let caller = CALLER.try_get().ok()?;
        let user = self.users.enter(caller.user, purpose).await;
        let project = self.projects.enter(caller.project, purpose).await;
        Some(Share {
            places: Some((user, project)),
            since: Instant::now(),
            gave_up: Arc::default(),
            company: Company {
                shares: Arc::clone(self),
                caller,
            },
        })
    }
}

impl Share {
    pub(super) fn company(&self) -> Company {
        self.company.clone()
    }

    /// Opens a connection with it. Who leaves meanwhile has the database open one for nobody, as who gives up a statement has.
    pub(super) async fn opening<T>(&self, opening: impl Future<Output = T>) -> T {
        self.gave_up.store(true, Ordering::Relaxed);
        let opened = opening.await;
        self.gave_up.store(false, Ordering::Relaxed);
        opened
    }

    /// Where to say that a statement was given up.
    pub(super) fn gave_up(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.gave_up)
    }

    /// How long it rests, after so much work.
    fn rest(&self, worked: Duration) -> Duration {
        let is_read = self
            .places
            .as_ref()
            .is_some_and(|(user, _)| user.is_for_read);
        let least = if self.gave_up.load(Ordering::Relaxed) {
            AFTER_GIVING_UP
        } else {
            Duration::ZERO
        };
        if is_read && worked > SHORT && self.company.is_there() {
            worked.clamp(least, MAX_REST)
        } else {
            least
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let rest = self.rest(self.since.elapsed());
        if let Some(places) = self.places.take() {
            keep_for(rest, places);
        }
    }
}

/// Half of the processors of this machine, which what takes long may keep busy.
pub(super) fn half_of_processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from) / 2
}

/// Keeps something for a time, in which nobody waits for it.
pub(super) fn keep_for(time: Duration, kept: impl Send + 'static) {
    if !time.is_zero()
        && let Ok(runtime) = Handle::try_current()
    {
        runtime.spawn(async move {
            tokio::time::sleep(time).await;
            drop(kept);
        });
    }
}

/// All users, or all projects.
#[derive(Debug)]
struct Parties {
    alone: usize,
    among_others: usize,
    recent: Duration,
    asking: Mutex<Asking>,
    /// How many of them have requests here, that wait or are worked on.
    present: Arc<AtomicUsize>,
}

#[derive(Debug, Default)]
struct Asking {
    /// Who has asked last, and who was the last other one.
    last: Option<(u64, Instant)>,
    other: Option<(u64, Instant)>,
    parts: HashMap<u64, Arc<Part>>,
    /// How many parts there are when those that nobody uses are dropped.
    full: usize,
}

/// What one of them may have, and how many requests it has here.
#[derive(Debug)]
struct Part {
    alone: Arc<Semaphore>,
    among_others: Arc<Semaphore>,
    requests: AtomicUsize,
}

/// A request that is here.
#[derive(Debug)]
struct Presence {
    part: Arc<Part>,
    present: Arc<AtomicUsize>,
}

impl Presence {
    fn new(part: Arc<Part>, present: Arc<AtomicUsize>) -> Presence {
        if part.requests.fetch_add(1, Ordering::Relaxed) == 0 {
            present.fetch_add(1, Ordering::Relaxed);
        }
        Presence { part, present }
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        if self.part.requests.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.present.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// A place in a part.
#[derive(Debug)]
struct Place {
    _alone: OwnedSemaphorePermit,
    _among_others: Option<OwnedSemaphorePermit>,
    is_for_read: bool,
    _presence: Presence,
}

impl Parties {
    fn new(connections: usize, among_others: usize, recent: Duration) -> Parties {
        let alone = (connections / 2).max(1);
        let among_others = match among_others {
            // With one, a slow request would hold up all others of its project.
            0 => half_of_processors().max(2),
            most => most,
        };
        Parties {
            alone,
            among_others: among_others.min(alone),
            recent,
            asking: Mutex::default(),
            present: Arc::default(),
        }
    }

    fn asking(&self) -> MutexGuard<'_, Asking> {
        self.asking.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[expect(clippy::expect_used, reason = "nobody closes the semaphores")]
    async fn enter(&self, key: u64, purpose: Purpose) -> Place {
        let part = self.asking().note(key, Instant::now(), self);
        let presence = Presence::new(part, Arc::clone(&self.present));
        let place = async |places: &Arc<Semaphore>| {
            let place = Arc::clone(places).acquire_owned().await;
            place.expect("a place")
        };
        let alone = place(&presence.part.alone).await;
        // Asked when it is its turn: many that came while nobody else asked may have waited before it.
        let among_others = match purpose {
            Purpose::Read if self.has_others(key) => Some(place(&presence.part.among_others).await),
            Purpose::Read | Purpose::Change => None,
        };
        Place {
            _alone: alone,
            _among_others: among_others,
            is_for_read: matches!(purpose, Purpose::Read),
            _presence: presence,
        }
    }

    /// Whether somebody else is here, or was lately.
    fn has_others(&self, key: u64) -> bool {
        let present = self.present.load(Ordering::Relaxed);
        if present > 1 {
            return true;
        }
        let asking = self.asking();
        present > usize::from(asking.is_present(key)) || asking.had_others(key, self.recent)
    }
}

impl Asking {
    /// Takes note of one who asks; what he may have.
    fn note(&mut self, key: u64, now: Instant, all: &Parties) -> Arc<Part> {
        if self.last.is_none_or(|(last, _)| last != key) {
            self.other = self.last;
        }
        self.last = Some((key, now));
        if self.parts.len() >= self.full.max(KEPT) {
            self.parts.retain(|_, part| Arc::strong_count(part) > 1);
            self.full = self.parts.len() * 2;
        }
        let part = self.parts.entry(key).or_insert_with(|| {
            Arc::new(Part {
                alone: Arc::new(Semaphore::new(all.alone)),
                among_others: Arc::new(Semaphore::new(all.among_others)),
                requests: AtomicUsize::new(0),
            })
        });
        Arc::clone(part)
    }

    fn is_present(&self, key: u64) -> bool {
        let part = self.parts.get(&key);
        part.is_some_and(|part| part.requests.load(Ordering::Relaxed) > 0)
    }

    /// Whether somebody else has asked lately.
    fn had_others(&self, key: u64, recent: Duration) -> bool {
        let is_other = |&(other, time): &(u64, Instant)| other != key && time.elapsed() < recent;
        [&self.last, &self.other]
            .into_iter()
            .flatten()
            .any(is_other)
    }
}

#[cfg(test)]
mod tests {
    use std::future;
    use std::task::Poll;

    use futures_util::future::BoxFuture;
    use futures_util::{FutureExt, poll};

    use super::*;

    const FOR_EVER: Duration = Duration::MAX;

    /// Requests that want a place, each asked once.
    async fn asked(
        parties: &Parties,
        key: u64,
        number: usize,
    ) -> Vec<(BoxFuture<'_, Place>, Option<Place>)> {
        let mut requests = Vec::new();
        for _ in 0..number {
            let mut request = parties.enter(key, Purpose::Read).boxed();
            let place = match poll!(&mut request) {
                Poll::Ready(place) => Some(place),
                Poll::Pending => None,
            };
            requests.push((request, place));
        }
        requests
    }

    fn served(requests: &[(BoxFuture<'_, Place>, Option<Place>)]) -> usize {
        requests.iter().filter(|(_, place)| place.is_some()).count()
    }

    #[tokio::test]
    async fn who_asks_alone_has_half() {
        let parties = Parties::new(55, 2, FOR_EVER);
        let requests = asked(&parties, 1, 100).await;
        assert_eq!(served(&requests), 27);
    }

    #[tokio::test]
    async fn who_asks_beside_others_has_little() {
        let parties = Parties::new(55, 2, FOR_EVER);
        asked(&parties, 2, 1).await;
        let many = asked(&parties, 1, 30).await;
        assert_eq!(served(&many), 2);
        // The other one is served at once all the same, and anybody else.
        for key in [2, 3, 4] {
            assert_eq!(served(&asked(&parties, key, 1).await), 1);
        }
        drop(many);
        assert_eq!(served(&asked(&parties, 1, 5).await), 2);
    }

    #[tokio::test]
    async fn changes_have_half_beside_others_too() {
        let parties = Parties::new(8, 1, FOR_EVER);
        asked(&parties, 2, 1).await;
        let mut changes = Vec::new();
        while let Some(place) = parties.enter(1, Purpose::Change).now_or_never() {
            changes.push(place);
        }
        assert_eq!(changes.len(), 4);
        changes.pop();
        // Reads wait behind none of them as long as half is not taken.
        assert_eq!(served(&asked(&parties, 1, 3).await), 1);
    }

    #[tokio::test]
    async fn others_count_while_they_are_here_and_for_a_time() {
        let parties = Parties::new(8, 1, Duration::ZERO);
        let other = asked(&parties, 2, 1).await;
        assert_eq!(served(&asked(&parties, 1, 8).await), 1);
        drop(other);
        assert_eq!(served(&asked(&parties, 1, 8).await), 4);
        assert_eq!(parties.present.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn those_that_wait_are_served_in_turn_when_others_come() {
        let parties = Parties::new(8, 1, FOR_EVER);
        let mut many = asked(&parties, 1, 12).await;
        assert_eq!(served(&many), 4);
        asked(&parties, 2, 1).await;
        // The four end, and each of the others has its place when the one before has ended.
        many.drain(..4);
        for left in (1..=8).rev() {
            let mut ready = 0;
            for (request, place) in many.iter_mut().filter(|(_, place)| place.is_none()) {
                if let Poll::Ready(got) = poll!(request) {
                    *place = Some(got);
                    ready += 1;
                }
            }
            assert_eq!((ready, many.len()), (1, left));
            let first = many.iter().position(|(_, place)| place.is_some()).unwrap();
            assert_eq!(first, 0, "the one that has waited longest");
            drop(many.remove(first));
        }
    }

    #[tokio::test]
    async fn one_connection_is_enough() {
        let parties = Parties::new(1, 0, FOR_EVER);
        assert_eq!(served(&asked(&parties, 1, 2).await), 1);
        let all = Parties::new(1000, 0, FOR_EVER);
        assert!(all.among_others >= 1);
    }

    fn shares(connections: usize, among_others: usize) -> Arc<Shares> {
        Arc::new(Shares {
            users: Parties::new(connections, among_others, FOR_EVER),
            projects: Parties::new(connections, among_others, FOR_EVER),
        })
    }

    async fn entered(shares: &Arc<Shares>, user: &str, purpose: Purpose) -> Option<Share> {
        let entering = async { shares.enter(purpose).now_or_never().flatten() };
        Caller::new(user, user).served(entering).await
    }

    #[tokio::test]
    async fn long_reads_rest_beside_others() {
        let shares = shares(8, 2);
        let times = [0, 1, 100, 60_000].map(Duration::from_millis);
        let rests = |share: &Share| times.map(|worked| share.rest(worked).as_millis());
        let read = entered(&shares, "one", Purpose::Read).await.unwrap();
        assert_eq!(rests(&read), [0; 4]);
        drop(entered(&shares, "other", Purpose::Read).await.unwrap());
        assert_eq!(rests(&read), [0, 0, 100, 250]);
        let change = entered(&shares, "one", Purpose::Change).await.unwrap();
        assert_eq!(rests(&change), [0; 4]);
        for share in [read, change] {
            share.gave_up().store(true, Ordering::Relaxed);
            assert!(
                times
                    .iter()
                    .all(|&worked| share.rest(worked) >= AFTER_GIVING_UP)
            );
        }
    }

    #[tokio::test]
    async fn who_rests_keeps_his_place() {
        let shares = shares(2, 1);
        let share = entered(&shares, "one", Purpose::Read).await.unwrap();
        share.gave_up().store(true, Ordering::Relaxed);
        drop(share);
        assert!(entered(&shares, "one", Purpose::Read).await.is_none());
        assert!(entered(&shares, "other", Purpose::Read).await.is_some());
        let next = Caller::new("one", "one").served(shares.enter(Purpose::Read));
        let Some(share) = next.await else {
            panic!("no place after the rest");
        };
        drop(share);
        assert!(entered(&shares, "one", Purpose::Read).await.is_some());
    }

    #[tokio::test]
    async fn who_leaves_while_a_connection_is_opened_keeps_his_place() {
        let shares = shares(2, 1);
        for (opening, is_kept) in [
            (future::ready(()).boxed(), false),
            (future::pending().boxed(), true),
        ] {
            let share = entered(&shares, "one", Purpose::Read).await.unwrap();
            assert_eq!(share.opening(opening).now_or_never().is_none(), is_kept);
            drop(share);
            let next = entered(&shares, "one", Purpose::Read).await;
            assert_eq!(next.is_none(), is_kept);
        }
    }

    #[tokio::test]
    async fn users_and_projects_have_shares_each() {
        let shares = shares(100, 3);
        let enter = async |user: &str, project: &str| {
            let entering = async { shares.enter(Purpose::Read).now_or_never() };
            Caller::new(user, project).served(entering).await
        };
        assert!(shares.enter(Purpose::Read).await.is_none());
        let mut places = vec![enter("honest", "p0").await.unwrap()];
        // A token for each of many projects.
        let projects: Vec<String> = (1..9).map(|number| format!("p{number}")).collect();
        let mut got = 0;
        for project in &projects {
            let place = enter("one", project).await;
            got += usize::from(place.is_some());
            places.extend(place);
        }
        assert_eq!(got, 3);
        // Many users of one project.
        let mut got = 0;
        for number in 0..8 {
            let place = enter(&format!("u{number}"), "crowd").await;
            got += usize::from(place.is_some());
            places.extend(place);
        }
        assert_eq!(got, 3);
        // Everybody else is served, also the one in the project of another.
        assert!(enter("honest", "p0").await.is_some());
        assert!(enter("honest", "p1").await.is_some());
        assert!(enter("somebody", "p0").await.is_some());
    }

    #[test]
    fn those_that_come_once_take_no_memory() {
        let parties = Parties::new(8, 1, FOR_EVER);
        let mut asking = parties.asking();
        let held = asking.note(0, Instant::now(), &parties);
        for key in 1..100_000 {
            asking.note(key, Instant::now(), &parties);
            assert!(asking.parts.len() <= KEPT, "{}", asking.parts.len());
        }
        let again = asking.note(0, Instant::now(), &parties);
        assert!(Arc::ptr_eq(&held, &again));
    }
}
