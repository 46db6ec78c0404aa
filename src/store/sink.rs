//! Where the documents of a list go: into one text as long as that is small, else piece by piece to whoever takes them.
//!
//! Large lists take memory from one account for the whole process. A list that finds it empty gives its connection back
//! before it waits.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::value::RawValue;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use super::{Mode, Store, StoreError, Tx};

/// How large a list is answered as one text.
const SMALL: usize = 256 * 1024;
/// Pieces of a larger one.
const PIECE: usize = 64 * 1024;
/// Pieces that wait to be taken.
const WAITING: usize = 2;
/// What a list holds while it is read: a batch of rows and one row beyond, in several copies, and its pieces.
const STREAM: usize = 8 * 1024 * 1024;
/// Bytes that a batch of rows may have besides its last row.
const BATCH: usize = 1024 * 1024;
/// How many bytes a client must take in a second, beyond the time that every request has.
const SLOWEST: f64 = 256.0 * 1024.0;

/// A body that takes more than this, in bytes, takes it from the account.
const SMALL_BODY: usize = 512 * 1024;

/// The memory for large lists, and as much for the bodies of requests.
#[derive(Clone, Debug)]
pub struct Memory {
    streams: Arc<Semaphore>,
    /// In KiB: while they are received, and while they are worked on. A request that has the one waits for the other.
    uploads: Account,
    bodies: Account,
    /// How long a request waits for it, and how long a client may take nothing.
    patience: Duration,
}

/// Some KiB of memory.
#[derive(Clone, Debug)]
struct Account {
    free: Arc<Semaphore>,
    all: u32,
}

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
    async fn take(&self, bytes: usize, patience: Duration) -> Result<Reservation, StoreError> {
        let amount = u32::try_from(bytes / 1024).map_or(self.all, |amount| amount.min(self.all));
        let permit = Arc::clone(&self.free).acquire_many_owned(amount);
        match tokio::time::timeout(patience, permit).await {
            Ok(Ok(permit)) => Ok(Some(permit)),
            Ok(Err(_)) | Err(_) => Err(StoreError::NeedsMemory),
        }
    }
}

/// Memory that is given back with this value; none for what is small.
pub type Reservation = Option<OwnedSemaphorePermit>;

impl Memory {
    /// `bytes` for all lists together and as many for all bodies, but enough for one. A request waits `patience` for its part.
    /// Large lists get half of the database `connections` at most, since a slow client keeps one for as long as it takes its
    /// list.
    pub fn new(bytes: usize, connections: usize, patience: Duration) -> Memory {
        let lists = (bytes / STREAM).min(connections / 2).max(1);
        Memory {
            streams: Arc::new(Semaphore::new(lists)),
            uploads: Account::new(bytes / 4),
            bodies: Account::new(bytes / 4 * 3),
            patience,
        }
    }

    /// For a body of so many bytes while it is received.
    ///
    /// # Errors
    /// [`StoreError::NeedsMemory`] after the time for it.
    pub async fn for_upload(&self, bytes: usize) -> Result<Reservation, StoreError> {
        if bytes <= PIECE {
            return Ok(None);
        }
        self.uploads.take(bytes, self.patience).await
    }

    /// For a body that takes so many bytes while it is worked on.
    ///
    /// # Errors
    /// [`StoreError::NeedsMemory`] after the time for it.
    pub async fn for_body(&self, bytes: usize) -> Result<Reservation, StoreError> {
        if bytes <= SMALL_BODY {
            return Ok(None);
        }
        self.bodies.take(bytes, self.patience).await
    }
}

/// A piece of a list.
#[derive(Debug)]
pub enum Piece {
    /// The next part of the text.
    Text(Bytes),
    /// That was all. Without it, the list is not whole.
    End,
}

/// A sink that each attempt to read a list begins again.
pub type SharedSink = Arc<Mutex<Sink>>;

/// The text of a list while it is written.
#[derive(Debug)]
pub struct Sink {
    collection: &'static str,
    text: Vec<u8>,
    is_empty: bool,
    /// Whether what is read is of one moment, however many statements follow.
    in_snapshot: bool,
    /// Rows that its first batch has at most, when it is begun again.
    first_rows: u64,
    memory: Memory,
    permit: Option<OwnedSemaphorePermit>,
    /// Gives the pieces to whoever takes them, once there are any.
    start: Option<oneshot::Sender<mpsc::Receiver<Piece>>>,
    pieces: Option<mpsc::Sender<Piece>>,
    /// When the client has taken too long.
    deadline: Instant,
}

impl Sink {
    /// The list of a collection, and where its pieces can be had when it is large.
    pub fn new(
        collection: &'static str,
        memory: &Memory,
    ) -> (SharedSink, oneshot::Receiver<mpsc::Receiver<Piece>>) {
        let (start, started) = oneshot::channel();
        let sink = Sink {
            collection,
            text: Vec::new(),
            is_empty: true,
            in_snapshot: false,
            first_rows: u64::MAX,
            memory: memory.clone(),
            permit: None,
            start: Some(start),
            pieces: None,
            deadline: Instant::now(),
        };
        (Arc::new(Mutex::new(sink)), started)
    }

    /// Begins the text, also again, as long as no part of it is gone.
    pub(super) fn begin(&mut self, in_snapshot: bool) -> Result<(), StoreError> {
        if self.pieces.is_some() {
            return Err(StoreError::BrokenOff);
        }
        self.in_snapshot = in_snapshot;
        self.text.clear();
        self.is_empty = true;
        self.text.extend_from_slice(b"{\"");
        self.text.extend_from_slice(self.collection.as_bytes());
        self.text.extend_from_slice(b"\":[");
        Ok(())
    }

    /// Keeps another beginning from reading more rows than there was room for.
    pub(super) fn expect_rows(&mut self, rows: u64) {
        self.first_rows = rows;
    }

    pub(super) fn first_rows(&self) -> u64 {
        self.first_rows
    }

    /// Bytes that a batch of rows may have now, besides its last row.
    pub(super) fn batch(&self) -> usize {
        if self.permit.is_some() { BATCH } else { SMALL }
    }

    /// Adds a document.
    ///
    /// # Errors
    /// [`StoreError::NeedsSnapshot`] and [`StoreError::NeedsMemory`] where the list becomes large and there is none;
    /// [`StoreError::BrokenOff`] when nobody takes it.
    pub(super) async fn push(&mut self, document: &RawValue) -> Result<(), StoreError> {
        let bytes = document.get().as_bytes();
        if self.pieces.is_none() && self.text.len() + bytes.len() > SMALL {
            self.flow()?;
        }
        if !self.is_empty {
            self.text.push(b',');
        }
        self.is_empty = false;
        for part in bytes.chunks(PIECE) {
            self.text.extend_from_slice(part);
            if self.pieces.is_some() && self.text.len() >= PIECE {
                self.send().await?;
            }
        }
        Ok(())
    }

    fn flow(&mut self) -> Result<(), StoreError> {
        if !self.in_snapshot {
            return Err(StoreError::NeedsSnapshot);
        }
        if self.permit.is_none() {
            let permit = Arc::clone(&self.memory.streams).try_acquire_owned();
            self.permit = Some(permit.map_err(|_| StoreError::NeedsMemory)?);
        }
        let (sender, receiver) = mpsc::channel(WAITING);
        let start = self.start.take().ok_or(StoreError::BrokenOff)?;
        start.send(receiver).map_err(|_| StoreError::BrokenOff)?;
        self.pieces = Some(sender);
        self.deadline = Instant::now() + self.memory.patience;
        Ok(())
    }

    /// Waits for the memory of a large list, with no connection in hand.
    async fn wait_for_memory(&mut self) -> Result<(), StoreError> {
        let permit = Arc::clone(&self.memory.streams).acquire_owned();
        match tokio::time::timeout(self.memory.patience, permit).await {
            Ok(Ok(permit)) => self.permit = Some(permit),
            Ok(Err(_)) | Err(_) => return Err(StoreError::NeedsMemory),
        }
        Ok(())
    }

    async fn send(&mut self) -> Result<(), StoreError> {
        let text = std::mem::replace(&mut self.text, Vec::with_capacity(2 * PIECE));
        let time = Duration::from_secs_f64(text.len() as f64 / SLOWEST);
        self.give(Piece::Text(text.into())).await?;
        self.deadline += time;
        Ok(())
    }

    async fn give(&self, piece: Piece) -> Result<(), StoreError> {
        let Some(pieces) = &self.pieces else {
            return Err(StoreError::BrokenOff);
        };
        match timeout_at(self.deadline, pieces.send(piece)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(StoreError::BrokenOff),
        }
    }

    /// What an error means: once a part of the list is gone, nothing can be tried again.
    pub(super) fn failed(&self, error: StoreError) -> StoreError {
        if self.pieces.is_none() {
            return error;
        }
        tracing::error!(error = &error as &dyn std::error::Error, "a list broke off");
        StoreError::BrokenOff
    }

    /// Ends the text: all of it where it is small.
    async fn end(&mut self) -> Result<Option<Vec<u8>>, StoreError> {
        self.text.extend_from_slice(b"]}");
        if self.pieces.is_none() {
            return Ok(Some(std::mem::take(&mut self.text)));
        }
        self.send().await?;
        self.give(Piece::End).await?;
        Ok(None)
    }
}

impl Store {
    /// Writes a list that `work` reads into the sink: its text where it is small, `None` where it went away in pieces. One that
    /// takes a single statement needs no transaction; others are read in one snapshot. It is begun again as any read is, as
    /// long as no piece is gone.
    ///
    /// # Errors
    /// [`StoreError`]; [`StoreError::NeedsMemory`] when a large list got no memory in time.
    pub async fn read_list(
        &self,
        action: &'static str,
        sink: SharedSink,
        work: impl AsyncFn(&mut Tx) -> Result<(), StoreError>,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let mut mode = None;
        let mut has_waited = false;
        loop {
            match self.try_to_read(mode, action, &work).await {
                Err(error) if error.needs_snapshot() && mode.is_none() => {
                    mode = Some(Mode::Snapshot);
                }
                Err(error) if error.is_short_of_memory() && !has_waited => {
                    sink.lock().await.wait_for_memory().await?;
                    has_waited = true;
                }
                other => break other?,
            }
        }
        sink.lock().await.end().await
    }
}
