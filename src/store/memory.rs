//! The account of what may be large: lists, bodies of requests, and documents with the answers that show them. All requests
//! together take no more than there is; small ones are not counted, and never wait.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::StoreError;

/// What a list holds while it is read: a batch of rows and one row beyond, in several copies, and its pieces.
const STREAM: usize = 16 * 1024 * 1024;
/// A body that is larger, in bytes, is counted while it is received.
const SMALL_UPLOAD: usize = 16 * 1024;
/// A body that takes more, in bytes, is counted while it is worked on.
const SMALL_BODY: usize = 64 * 1024;
/// How often a document is in memory: as its row, as its text, and in between.
const COPIES: usize = 3;

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

/// Half of the processors of this machine, which what takes long may keep busy.
pub(super) fn half_of_processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from) / 2
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

    /// A turn to work on a large list. Who has one waits for no client and for no lock, and gives it to the next one soon.
    #[expect(clippy::expect_used, reason = "nobody closes the semaphore")]
    pub(super) async fn turn(&self) -> OwnedSemaphorePermit {
        let turn = Arc::clone(&self.turns).acquire_owned().await;
        turn.expect("a turn")
    }

    /// The same, if it is there.
    pub(super) fn try_for_list(&self) -> Result<OwnedSemaphorePermit, StoreError> {
        let permit = Arc::clone(&self.lists).try_acquire_owned();
        permit.map_err(|_| StoreError::NeedsMemory)
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
