//! The account of what may be large: lists, bodies of requests, and documents with the answers that show them. All requests
//! together take no more than there is; small ones are not counted, and never wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::StoreError;
use super::shares::{Company, half_of_processors, keep_for};

/// What a list holds while it is read: a batch of rows and one row beyond, in several copies, and its pieces.
const STREAM: usize = 16 * 1024 * 1024;
/// A body that is larger, in bytes, is counted while it is received.
const SMALL_UPLOAD: usize = 16 * 1024;
/// A body that takes more, in bytes, is counted while it is worked on.
const SMALL_BODY: usize = 64 * 1024;
/// How often a document is in memory: as its row, as its text, and in between.
const COPIES: usize = 3;
/// The least rest between turns: the work of shorter ones is added up.
const LEAST_REST: Duration = Duration::from_millis(4);

/// The memory for large lists, as much for the bodies of requests, and half of it for documents and answers.
#[derive(Clone, Debug)]
pub struct Memory {
    lists: Arc<Semaphore>,
    /// While they are received, and while they are worked on. A request that has the one waits for the other, and then for
    /// `documents`; never the other way round.
    uploads: Account,
    bodies: Account,
    documents: Account,
    /// Who works on a large list now.
    turns: Arc<Semaphore>,
    /// For how long they have worked beside others since the last rest, in nanoseconds.
    worked: Arc<AtomicU64>,
    /// How long a request waits for it, and how long a client may take nothing.
    patience: Duration,
}

/// Some KiB of memory.
#[derive(Clone, Debug)]
struct Account {
    free: Arc<Semaphore>,
    all: u32,
}

/// Memory that is given back with this value; none for what is small.
pub type Reservation = Option<OwnedSemaphorePermit>;

/// Memory of a document that is given back when nobody holds it any more.
pub type Room = Option<Arc<OwnedSemaphorePermit>>;

impl Account {
    fn new(bytes: usize) -> Account {
        let all = u32::try_from(bytes / 1024).unwrap_or(u32::MAX).max(1);
        let permits = (all as usize).min(Semaphore::MAX_PERMITS);
        Account {
            free: Arc::new(Semaphore::new(permits)),
            all,
        }
    }

    /// What needs more than there is gets all of it.
    fn amount(&self, bytes: usize) -> u32 {
        u32::try_from(bytes / 1024).map_or(self.all, |amount| amount.min(self.all))
    }

    async fn take(
        &self,
        bytes: usize,
        patience: Duration,
    ) -> Result<OwnedSemaphorePermit, StoreError> {
        let permit = Arc::clone(&self.free).acquire_many_owned(self.amount(bytes));
        within(patience, permit).await
    }
}

async fn within<E>(
    patience: Duration,
    permit: impl Future<Output = Result<OwnedSemaphorePermit, E>>,
) -> Result<OwnedSemaphorePermit, StoreError> {
    match tokio::time::timeout(patience, permit).await {
        Ok(Ok(permit)) => Ok(permit),
        Ok(Err(_)) | Err(_) => Err(StoreError::NeedsMemory),
    }
}

impl Memory {
    /// `bytes` for all lists together and as many for all bodies, but enough for one. A request waits `patience` for its part.
    /// Large lists get half of the database `connections` at most, since a slow client keeps one for as long as it takes its
    /// list.
    pub fn new(bytes: usize, connections: usize, patience: Duration) -> Memory {
        let lists = (bytes / STREAM).min(connections / 2).max(1);
        Memory {
            lists: Arc::new(Semaphore::new(lists)),
            uploads: Account::new(bytes / 4),
            bodies: Account::new(bytes / 4 * 3),
            documents: Account::new(bytes / 2),
            turns: Arc::new(Semaphore::new(half_of_processors().max(1))),
            worked: Arc::default(),
            patience,
        }
    }

    pub(super) fn patience(&self) -> Duration {
        self.patience
    }

    /// For a body of so many bytes while it is received.
    ///
    /// # Errors
    /// [`StoreError::NeedsMemory`] after the time for it.
    pub async fn for_upload(&self, bytes: usize) -> Result<Reservation, StoreError> {
        if bytes <= SMALL_UPLOAD {
            return Ok(None);
        }
        self.uploads.take(bytes, self.patience).await.map(Some)
    }

    /// For a body that takes so many bytes while it is worked on.
    ///
    /// # Errors
    /// [`StoreError::NeedsMemory`] after the time for it.
    pub async fn for_body(&self, bytes: usize) -> Result<Reservation, StoreError> {
        if bytes <= SMALL_BODY {
            return Ok(None);
        }
        self.bodies.take(bytes, self.patience).await.map(Some)
    }

    /// For documents of so many bytes, from when they are read until they are answered.
    pub(super) async fn for_documents(&self, bytes: usize) -> Result<Room, StoreError> {
        let bytes = bytes.saturating_mul(COPIES);
        let permit = self.documents.take(bytes, self.patience).await?;
        Ok(Some(Arc::new(permit)))
    }

    /// For an answer of so many bytes until its client has taken it.
    pub(super) async fn for_answer(&self, bytes: usize) -> Result<Room, StoreError> {
        let permit = self.documents.take(bytes, self.patience).await?;
        Ok(Some(Arc::new(permit)))
    }

    /// For documents, if it is there.
    pub(super) fn try_for_documents(&self, bytes: usize) -> Result<Room, StoreError> {
        self.try_for_answer(bytes.saturating_mul(COPIES))
    }

    /// For an answer, if it is there.
    pub(super) fn try_for_answer(&self, bytes: usize) -> Result<Room, StoreError> {
        let free = Arc::clone(&self.documents.free);
        match free.try_acquire_many_owned(self.documents.amount(bytes)) {
            Ok(permit) => Ok(Some(Arc::new(permit))),
            Err(_) => Err(StoreError::NeedsMemory),
        }
    }

    /// For a list that is sent in pieces.
    pub(super) async fn for_list(&self) -> Result<OwnedSemaphorePermit, StoreError> {
        within(self.patience, Arc::clone(&self.lists).acquire_owned()).await
    }

    /// A turn to work on a large list, which is followed by a rest beside that company. Who has one waits for no client and for no
    /// lock, and gives it to the next one soon.
    #[expect(clippy::expect_used, reason = "nobody closes the semaphore")]
    pub(super) async fn turn(&self, company: Option<Company>) -> Turn {
        let turn = Arc::clone(&self.turns).acquire_owned().await;
        Turn {
            permit: Some(turn.expect("a turn")),
            begun: Instant::now(),
            worked: Arc::clone(&self.worked),
            company,
        }
    }

    /// The same, if it is there.
    pub(super) fn try_for_list(&self) -> Result<OwnedSemaphorePermit, StoreError> {
        let permit = Arc::clone(&self.lists).try_acquire_owned();
        permit.map_err(|_| StoreError::NeedsMemory)
    }
}

/// A turn. Where others ask beside its caller, it is followed by a rest twice as long as it took.
#[derive(Debug)]
pub(super) struct Turn {
    permit: Option<OwnedSemaphorePermit>,
    begun: Instant,
    worked: Arc<AtomicU64>,
    company: Option<Company>,
}

impl Drop for Turn {
    fn drop(&mut self) {
        if !self.company.as_ref().is_some_and(Company::is_there) {
            return;
        }
        let worked = u64::try_from(self.begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let rest = self.worked.fetch_add(worked, Ordering::Relaxed) + worked;
        let rest = Duration::from_nanos(rest);
        if rest >= LEAST_REST {
            self.worked.store(0, Ordering::Relaxed);
            keep_for(rest * 2, self.permit.take());
        }
    }
}

/// A text that keeps its memory until the last of it is handed over.
struct Held {
    text: Vec<u8>,
    _room: Room,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.text
    }
}

/// The text of an answer, which keeps its memory until its client has taken it.
pub(crate) fn with_room(mut text: Vec<u8>, room: Room) -> Bytes {
    text.shrink_to_fit();
    Bytes::from_owner(Held { text, _room: room })
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::super::shares::{Caller, Purpose, Shares};
    use super::*;

    #[tokio::test]
    async fn turns_rest_beside_others() {
        let shares = Arc::new(Shares::new(8, 0));
        let share = Caller::new("one", "one").served(shares.enter(Purpose::Read));
        let share = share.await.unwrap();
        let memory = Memory {
            turns: Arc::new(Semaphore::new(1)),
            ..Memory::new(STREAM, 8, Duration::MAX)
        };
        let work = async || {
            let turn = memory.turn(Some(share.company())).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
            drop(turn);
        };
        work().await;
        assert!(memory.turn(None).now_or_never().is_some());
        let other = Caller::new("other", "other").served(shares.enter(Purpose::Read));
        let other = other.await;
        work().await;
        assert!(memory.turn(None).now_or_never().is_none());
        drop(memory.turn(None).await);
        assert!(memory.turn(None).now_or_never().is_some());
        drop((share, other));
    }
}
