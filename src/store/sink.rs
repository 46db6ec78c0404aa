//! Where the documents of a list go: into one text as long as that is small, else piece by piece to whoever takes them.
//!
//! Large lists take memory from one account for the whole process. A list that finds it empty gives its connection back
//! before it waits.

use std::borrow::Cow;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json;
use serde_json::value::RawValue;
use tokio::sync::{Mutex, OwnedSemaphorePermit, mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use super::memory::{Memory, Room, Turn, with_room};
use super::shares::{Company, Share};
use super::{Mode, SMALL_ANSWER, Store, StoreError, Tx};

/// How large a list is answered as one text.
const SMALL: usize = 256 * 1024;
/// Pieces of a larger one.
const PIECE: usize = 64 * 1024;
/// Pieces that wait to be taken.
const WAITING: usize = 2;
/// Bytes that a batch of rows may have besides its last row.
const BATCH: usize = 1024 * 1024;
/// How large a row is of which a large list has the memory.
const ROW: usize = 2 * 1024 * 1024;
/// How often a list may wait: for the memory of one text, for that of more, and for that of larger rows.
const MAX_WAITS: u32 = 3;
/// How many bytes a client must take in a second, beyond the time that every request has.
const SLOWEST: f64 = 256.0 * 1024.0;

/// The address of the page that follows, up to the id behind which it begins.
#[derive(Clone, Debug)]
pub struct NextPage(pub String);

impl NextPage {
    /// The address of the page behind a document.
    pub(crate) fn behind(&self, id: &str) -> String {
        format!("{}{}", self.0, utf8_percent_encode(id, NON_ALPHANUMERIC))
    }
}

/// A list as a table: a line for each document.
pub trait Lines: Debug + Sync {
    /// What comes first.
    fn head(&self) -> Vec<u8>;
    /// The line of a document.
    fn line(&self, document: &RawValue) -> Vec<u8>;
}

/// How a list is written.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    /// As a JSON object: the documents below this name, and links.
    Json(&'static str),
    /// As lines, without links.
    Table(&'static dyn Lines),
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
    shape: Shape,
    text: Vec<u8>,
    is_empty: bool,
    /// The address of the next page.
    next: Option<String>,
    /// Whether what is read is of one moment, however many statements follow.
    in_snapshot: bool,
    /// Rows that its first batch has at most, when it is begun again.
    first_rows: u64,
    memory: Memory,
    /// The memory of a text that is not tiny.
    room: Room,
    /// The memory of a list that is sent in pieces, and whether it was found to be one.
    permit: Option<OwnedSemaphorePermit>,
    is_large: bool,
    /// The caller's share of the connections, until the list has that memory: then it goes by turns.
    share: Option<Share>,
    company: Option<Company>,
    turn: Option<Turn>,
    /// The memory of rows that are larger than [`ROW`], and the size of the first one.
    row_room: Room,
    row_bytes: usize,
    /// Gives the pieces to whoever takes them, once there are any.
    start: Option<oneshot::Sender<mpsc::Receiver<Piece>>>,
    pieces: Option<mpsc::Sender<Piece>>,
    /// When the client has taken too long.
    deadline: Instant,
}

impl Sink {
    /// A list, and where its pieces can be had when it is large.
    pub fn new(
        shape: Shape,
        memory: &Memory,
    ) -> (SharedSink, oneshot::Receiver<mpsc::Receiver<Piece>>) {
        let (start, started) = oneshot::channel();
        let sink = Sink {
            shape,
            text: Vec::new(),
            is_empty: true,
            next: None,
            in_snapshot: false,
            first_rows: u64::MAX,
            memory: memory.clone(),
            room: None,
            permit: None,
            is_large: false,
            share: None,
            company: None,
            turn: None,
            row_room: None,
            row_bytes: 0,
            start: Some(start),
            pieces: None,
            deadline: Instant::now(),
        };
        (Arc::new(Mutex::new(sink)), started)
    }

    /// Begins the text, also again, as long as no part of it is gone. It takes over the share of the one who reads it.
    pub(super) fn begin(
        &mut self,
        in_snapshot: bool,
        share: &mut Option<Share>,
    ) -> Result<(), StoreError> {
        if self.pieces.is_some() {
            return Err(StoreError::BrokenOff);
        }
        if let Some(share) = share.take() {
            self.company = Some(share.company());
            self.share = Some(share);
        }
        self.in_snapshot = in_snapshot;
        self.text.clear();
        self.is_empty = true;
        self.next = None;
        match self.shape {
            Shape::Json(collection) => {
                let head = format!("{{\"{collection}\":[");
                self.text.extend_from_slice(head.as_bytes());
            }
            Shape::Table(lines) => self.text.extend_from_slice(&lines.head()),
        }
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

    /// Bytes that a row may have now; `None` for any size.
    pub(super) fn largest_row(&self) -> Option<usize> {
        match (&self.permit, &self.row_room) {
            (Some(_), Some(_)) => None,
            (Some(_), None) => Some(ROW),
            (None, _) => Some(SMALL),
        }
    }

    /// Ends the work on it, until it is begun again.
    fn rest(&mut self) {
        self.turn = None;
        self.share = None;
    }

    /// Lets other large lists have their turn, and waits for the next one to read or to search if this is one.
    pub(super) async fn next_turn(&mut self) {
        self.take_turn(self.company.clone()).await;
    }

    async fn take_turn(&mut self, company: Option<Company>) {
        self.turn = None;
        if self.permit.is_some() {
            self.turn = Some(self.memory.turn(company).await);
        }
    }

    /// There is a row of so many bytes, which is larger than [`Sink::largest_row`].
    ///
    /// # Errors
    /// [`StoreError::NeedsSnapshot`] and [`StoreError::NeedsMemory`] where that is missing.
    pub(super) async fn expect_row(&mut self, bytes: usize) -> Result<(), StoreError> {
        self.expect_rows((BATCH / bytes.max(1) + 1) as u64);
        self.become_large()?;
        if bytes > ROW && self.row_room.is_none() {
            self.row_bytes = bytes;
            self.row_room = match self.pieces {
                None => self.memory.try_for_documents(bytes)?,
                // It cannot begin again any more.
                Some(_) => {
                    self.turn = None;
                    self.memory.for_documents(bytes).await?
                }
            };
        }
        Ok(())
    }

    /// The same, if it is larger.
    pub(super) async fn expect_document(&mut self, bytes: usize) -> Result<(), StoreError> {
        match self.largest_row() {
            Some(largest) if bytes > largest => self.expect_row(bytes).await,
            Some(_) | None => Ok(()),
        }
    }

    /// The list is not for one text, or takes more than a few rows to find.
    ///
    /// # Errors
    /// [`StoreError::NeedsSnapshot`] and [`StoreError::NeedsMemory`] where that is missing.
    pub(super) fn become_large(&mut self) -> Result<(), StoreError> {
        if !self.in_snapshot {
            return Err(StoreError::NeedsSnapshot);
        }
        self.is_large = true;
        if self.permit.is_none() {
            self.permit = Some(self.memory.try_for_list()?);
        }
        self.share = None;
        Ok(())
    }

    /// Adds a document.
    ///
    /// # Errors
    /// [`StoreError::NeedsSnapshot`] and [`StoreError::NeedsMemory`] where the list becomes large and there is none;
    /// [`StoreError::BrokenOff`] when nobody takes it.
    pub(super) async fn push(&mut self, document: &RawValue) -> Result<(), StoreError> {
        let line = match self.shape {
            Shape::Json(_) => Cow::Borrowed(document.get().as_bytes()),
            Shape::Table(lines) => Cow::Owned(lines.line(document)),
        };
        let bytes = line.as_ref();
        let length = self.text.len() + bytes.len();
        if self.pieces.is_none() && length > SMALL {
            self.flow()?;
        } else if self.pieces.is_none() && length > SMALL_ANSWER && self.room.is_none() {
            self.room = self.memory.try_for_answer(SMALL)?;
        }
        if !self.is_empty && matches!(self.shape, Shape::Json(_)) {
            self.text.push(b',');
        }
        self.is_empty = false;
        for part in bytes.chunks(PIECE) {
            self.text.extend_from_slice(part);
            if self.pieces.is_some() && self.text.len() >= PIECE {
                self.send().await?;
                // What is left to do is little.
                self.take_turn(None).await;
            }
        }
        Ok(())
    }

    fn flow(&mut self) -> Result<(), StoreError> {
        self.become_large()?;
        self.room = None;
        let (sender, receiver) = mpsc::channel(WAITING);
        let start = self.start.take().ok_or(StoreError::BrokenOff)?;
        start.send(receiver).map_err(|_| StoreError::BrokenOff)?;
        self.pieces = Some(sender);
        self.deadline = Instant::now() + self.memory.patience();
        Ok(())
    }

    /// Waits for the memory that it found missing, with no connection in hand.
    async fn wait_for_memory(&mut self) -> Result<(), StoreError> {
        self.text = Vec::new();
        if self.is_large && self.permit.is_none() {
            self.room = None;
            self.permit = Some(self.memory.for_list().await?);
        } else if self.is_large {
            self.row_room = self.memory.for_documents(self.row_bytes).await?;
        } else {
            self.room = self.memory.for_answer(SMALL).await?;
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

    async fn give(&mut self, piece: Piece) -> Result<(), StoreError> {
        // Nobody waits for a client but its own list.
        self.turn = None;
        let Some(pieces) = &self.pieces else {
            return Err(StoreError::BrokenOff);
        };
        match timeout_at(self.deadline, pieces.send(piece)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(StoreError::BrokenOff),
        }
    }

    /// What an error means: once a part of the list is gone, nothing can be tried again.
    pub(super) fn failed(&mut self, error: StoreError) -> StoreError {
        self.rest();
        if self.pieces.is_none() {
            return error;
        }
        if matches!(error, StoreError::BrokenOff) {
            tracing::info!("a client did not take all of its list");
        } else {
            tracing::error!(error = &error as &dyn std::error::Error, "a list broke off");
        }
        StoreError::BrokenOff
    }

    /// Links to the next page (API-SIG: Pagination, Filtering, and Sorting).
    pub(super) fn link(&mut self, next: String) {
        self.next = Some(next);
    }

    /// Ends the text: all of it where it is small.
    async fn end(&mut self) -> Result<Option<Bytes>, StoreError> {
        self.rest();
        if let Shape::Json(collection) = self.shape {
            self.text.push(b']');
            if let Some(next) = self.next.take() {
                let links = json!([{"rel": "next", "href": next}]);
                let links = format!(",\"{collection}_links\":{links}");
                self.text.extend_from_slice(links.as_bytes());
            }
            self.text.push(b'}');
        }
        if self.pieces.is_none() {
            let text = std::mem::take(&mut self.text);
            return Ok(Some(with_room(text, self.room.take())));
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
    ) -> Result<Option<Bytes>, StoreError> {
        let mut mode = None;
        let mut waits = 0;
        loop {
            match self.try_to_read((mode, None), action, &work).await {
                Err(error) if error.needs_snapshot() && mode.is_none() => {
                    mode = Some(Mode::Snapshot);
                }
                Err(error) if error.is_short_of_memory() && waits < MAX_WAITS => {
                    sink.lock().await.wait_for_memory().await?;
                    waits += 1;
                }
                other => break other?,
            }
        }
        sink.lock().await.end().await
    }
}
