//! The end of a connection of HTTP/2 by the server, for the errors of its client: GOAWAY with an error (RFC 9113, section 6.8).
//!
//! A client that floods its connection is told so after a few frames, and may open another one at once. To open connections and to
//! read what comes with them is work as well, so farewells are sent at a [`Pace`]; until its own is, the client is not read.

use std::io::IoSlice;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::time::{Sleep, sleep};

use crate::pace::Pace;

/// What a flood takes until its connection is ended, most of it in the kernel: to accept it, to take what comes, to answer the first
/// frames, to close it. On a machine that sends the flood itself it is about that much.
pub(super) const FLOOD: Duration = Duration::from_millis(1);

/// The type of the frame.
const GOAWAY: u8 = 7;
/// The length of a frame's payload in three bytes, its type, its flags, and its stream in four bytes.
const HEADER: usize = 9;
/// That of GOAWAY, and the last stream and the error, in four bytes each.
const HEADER_WITH_ERROR: usize = HEADER + 8;

/// Follows the frames that are sent.
#[derive(Clone, Copy, Default)]
struct Frames {
    /// The beginning of a frame, and how much of it is known.
    header: [u8; HEADER_WITH_ERROR],
    known: usize,
    /// How much of the last frame is still to come.
    rest: usize,
}

impl Frames {
    /// Goes on by some bytes; whether a farewell is among them.
    fn follow(&mut self, mut bytes: &[u8]) -> bool {
        let mut is_farewell = false;
        loop {
            let (_, others) = bytes.split_at(bytes.len().min(self.rest));
            self.rest -= bytes.len() - others.len();
            let Some((byte, others)) = others.split_first() else {
                return is_farewell;
            };
            bytes = others;
            is_farewell |= self.begin(*byte);
        }
    }

    /// Takes a byte of a frame's beginning; whether it completes a farewell.
    fn begin(&mut self, byte: u8) -> bool {
        if let Some(place) = self.header.get_mut(self.known) {
            *place = byte;
            self.known += 1;
        }
        let [a, b, c, kind, _, _, _, _, _, _, _, _, _, error @ ..] = self.header;
        let is_goaway = kind == GOAWAY;
        let whole = if is_goaway { HEADER_WITH_ERROR } else { HEADER };
        if self.known < HEADER || self.known < whole {
            return false;
        }
        let length = usize::try_from(u32::from_be_bytes([0, a, b, c])).unwrap_or(usize::MAX);
        self.rest = length.saturating_sub(whole - HEADER);
        self.known = 0;
        is_goaway && error != [0; 4]
    }
}

/// Keeps a connection's farewell back.
pub(super) struct Farewell {
    floods: Arc<Pace>,
    sent: Frames,
    /// When it may be sent.
    due: Option<Pin<Box<Sleep>>>,
}

impl Farewell {
    pub(super) fn new(floods: Arc<Pace>) -> Farewell {
        Farewell {
            floods,
            sent: Frames::default(),
            due: None,
        }
    }

    /// Ready when these bytes may be sent.
    pub(super) fn poll(&mut self, bytes: &[IoSlice<'_>], context: &mut Context<'_>) -> Poll<()> {
        let mut frames = self.sent;
        if self.due.is_none() && bytes.iter().any(|bytes| frames.follow(bytes)) {
            let delay = self.floods.delay(Duration::ZERO, Instant::now());
            self.due = Some(Box::pin(sleep(delay)));
        }
        if let Some(due) = &mut self.due {
            ready!(due.as_mut().poll(context));
        }
        Poll::Ready(())
    }

    /// So many of these bytes are sent.
    pub(super) fn sent(&mut self, bytes: &[IoSlice<'_>], mut count: usize) {
        for bytes in bytes {
            let (sent, _) = bytes.split_at(bytes.len().min(count));
            self.sent.follow(sent);
            count -= sent.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
        frame.extend([kind, 0, 0, 0, 0, 1]);
        frame.extend(payload);
        frame
    }

    #[test]
    fn a_farewell_is_found_wherever_writes_are_cut() {
        let goaway = |error: u8| {
            frame(
                GOAWAY,
                &[0, 0, 0, 9, 0, 0, 0, error, b'm', b'a', b'n', b'y'],
            )
        };
        let before = [
            frame(4, &[0, 3, 0, 0, 0, 32]),
            frame(4, &[]),
            frame(0, &[GOAWAY; 40]),
            goaway(0),
        ]
        .concat();
        let all = [before.clone(), goaway(11), frame(0, b"x")].concat();
        for cut in 0..all.len() {
            let (first, second) = all.split_at(cut);
            let mut frames = Frames::default();
            let found = [frames.follow(first), frames.follow(second)];
            let end = before.len() + HEADER_WITH_ERROR;
            assert_eq!(found, [cut >= end, cut < end], "cut at {cut}");
            assert_eq!((frames.known, frames.rest), (0, 0), "cut at {cut}");
        }
    }
}
