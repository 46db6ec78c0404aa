//! The answer to a list: whole, or in pieces while it is still read.

use bytes::Bytes;
use serde_json::value::RawValue;
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;
use tracing::Instrument;

use crate::error::ApiError;
use crate::store::{Piece, Room, StoreError, with_room};

/// The answer to a list.
pub enum Answer {
    /// All of it.
    Whole(Bytes),
    /// Its pieces, as they are read.
    Pieces(Pieces),
}

/// A document as it is shown, with the memory that it takes.
pub struct Document {
    text: Box<RawValue>,
    room: Room,
}

impl Document {
    pub(super) fn new(text: Box<RawValue>, room: Room) -> Document {
        Document { text, room }
    }

    /// Its text, which keeps the memory.
    pub fn into_bytes(self) -> Bytes {
        let text = String::from(Box::<str>::from(self.text));
        with_room(text.into_bytes(), self.room)
    }
}

/// The pieces of a list. Reading ends when they are dropped.
pub struct Pieces {
    receiver: mpsc::Receiver<Piece>,
    /// Where it goes on.
    reading: Option<AbortHandle>,
}

impl Pieces {
    /// The next one; `None` when reading has failed.
    pub async fn next(&mut self) -> Option<Piece> {
        self.receiver.recv().await
    }
}

impl Drop for Pieces {
    fn drop(&mut self) {
        if let Some(reading) = &self.reading {
            reading.abort();
        }
    }
}

/// Answers with what `reading` comes to: the text, or `None` when it is `started`'s.
pub(super) async fn answer(
    mut started: oneshot::Receiver<mpsc::Receiver<Piece>>,
    mut reading: impl Future<Output = Result<Option<Bytes>, StoreError>> + Send + Unpin + 'static,
) -> Result<Answer, ApiError> {
    tokio::select! {
        biased;
        Ok(receiver) = &mut started => {
            let reading = tokio::spawn(reading.in_current_span()).abort_handle();
            Ok(Answer::Pieces(Pieces { receiver, reading: Some(reading) }))
        }
        text = &mut reading => match text? {
            Some(text) => Ok(Answer::Whole(text)),
            None => {
                let receiver = started.await.map_err(|_| StoreError::BrokenOff)?;
                Ok(Answer::Pieces(Pieces { receiver, reading: None }))
            }
        }
    }
}
