//! Activity on a connection: when it has been idle, or a header outstanding, for too long.
//!
//! hyper's own limit counts the time between two requests like the time for a header, has none for an answer that nobody
//! takes, and none for a connection of HTTP/2 that only answers pings.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, sleep};

use super::farewell::Farewell;
use super::linger::Linger;
use super::stream::Stream;

/// What a client of HTTP/2 sends first (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// An answer is handed over in pieces of this size, so that it is seen whether a client takes it.
const PIECE: usize = 64 * 1024;

#[derive(Debug, Clone, Copy)]
enum Protocol {
    /// This much of the preface has not come yet.
    Unknown(&'static [u8]),
    Http1,
    Http2,
}

#[derive(Debug)]
struct State {
    protocol: Protocol,
    /// When something moved.
    last: Instant,
    /// Since when the client has owed the rest of what it began: the preface, or the header of a request.
    owes: Option<Instant>,
    /// Whether no request has come yet.
    is_new: bool,
    /// Requests that are worked on. They have limits of their own.
    working: usize,
    /// Answers that are not handed over whole.
    answering: usize,
}

/// What moves on a connection.
#[derive(Debug)]
pub(super) struct Activity {
    state: Mutex<State>,
    read_timeout: Duration,
    idle_timeout: Duration,
}

impl Activity {
    /// `read_timeout` limits the time for a header, `idle_timeout` that in which nothing moves.
    pub(super) fn new(read_timeout: Duration, idle_timeout: Duration) -> Activity {
        let now = Instant::now();
        Activity {
            state: Mutex::new(State {
                protocol: Protocol::Unknown(PREFACE),
                last: now,
                owes: Some(now),
                is_new: true,
                working: 0,
                answering: 0,
            }),
            read_timeout,
            idle_timeout,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_http2(&self) -> bool {
        matches!(self.state().protocol, Protocol::Http2)
    }

    /// Whether no request has come yet.
    pub(super) fn is_new(&self) -> bool {
        self.state().is_new
    }

    /// A request has come.
    pub(super) fn begin(self: &Arc<Self>) -> Work {
        let mut state = self.state();
        state.working += 1;
        state.is_new = false;
        state.owes = None;
        Work(Arc::clone(self))
    }

    /// Returns when a time limit has passed, late by a quarter of it at most.
    pub(super) async fn expired(&self) {
        loop {
            let left = self.left(Instant::now());
            if left.is_zero() {
                return;
            }
            sleep(left.min(self.read_timeout / 4)).await;
        }
    }

    fn left(&self, now: Instant) -> Duration {
        let state = self.state();
        if state.working > 0 {
            return self.idle_timeout;
        }
        let idle = state.last + self.idle_timeout;
        let end = state.owes.map_or(idle, |since| since + self.read_timeout);
        end.saturating_duration_since(now)
    }

    fn received(&self, bytes: &[u8]) {
        let mut state = self.state();
        match state.protocol {
            Protocol::Unknown(missing) => {
                if bytes.starts_with(missing) {
                    state.protocol = Protocol::Http2;
                    state.last = Instant::now();
                    state.owes = None;
                } else if let Some(missing) = missing.strip_prefix(bytes) {
                    state.protocol = Protocol::Unknown(missing);
                } else {
                    state.protocol = Protocol::Http1;
                }
            }
            Protocol::Http1 if state.working + state.answering == 0 && state.owes.is_none() => {
                state.owes = Some(Instant::now());
            }
            // Pings are no reason to keep a connection.
            Protocol::Http1 | Protocol::Http2 => {}
        }
    }

    /// The client takes what was sent, not by HTTP/2: there it may be an answer to a ping.
    fn sent(&self) {
        let mut state = self.state();
        state.last = Instant::now();
        // It cannot owe more than it could send meanwhile.
        state.owes = state.owes.map(|_| state.last);
    }

    fn moved(&self) {
        self.state().last = Instant::now();
    }
}

/// A request that is worked on.
#[derive(Debug)]
pub(super) struct Work(Arc<Activity>);

impl Work {
    /// What moves on its connection.
    pub(super) fn activity(&self) -> &Arc<Activity> {
        &self.0
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.working -= 1;
        state.last = Instant::now();
    }
}

/// The body of an answer, in small pieces.
pub(super) struct Answer {
    body: axum::body::Body,
    /// The part of the last frame that is not handed over yet.
    rest: Bytes,
    activity: Arc<Activity>,
}

impl Answer {
    pub(super) fn new(body: axum::body::Body, activity: &Arc<Activity>) -> Answer {
        activity.state().answering += 1;
        Answer {
            body,
            rest: Bytes::new(),
            activity: Arc::clone(activity),
        }
    }

    fn piece(&mut self) -> Frame<Bytes> {
        Frame::data(self.rest.split_to(self.rest.len().min(PIECE)))
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = self.get_mut();
        if this.rest.is_empty() {
            let frame = ready!(Pin::new(&mut this.body).poll_frame(context));
            this.activity.moved();
            match frame.map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(data))) => this.rest = data,
                Some(Ok(Err(other))) => return Poll::Ready(Some(Ok(other))),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
        this.activity.moved();
        Poll::Ready(Some(Ok(this.piece())))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (mut hint, rest) = (self.body.size_hint(), self.rest.len() as u64);
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper + rest);
        }
        hint.set_lower(hint.lower() + rest);
        hint
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        let mut state = self.activity.state();
        state.answering -= 1;
        state.last = Instant::now();
    }
}

/// A connection that tells what it moves.
pub(super) struct TrackedStream {
    stream: Stream,
    activity: Arc<Activity>,
    farewell: Farewell,
    linger: Linger,
}

impl TrackedStream {
    pub(super) fn new(
        stream: Stream,
        activity: Arc<Activity>,
        farewell: Farewell,
    ) -> TrackedStream {
        TrackedStream {
            stream,
            activity,
            farewell,
            linger: Linger::default(),
        }
    }
}

impl AsyncRead for TrackedStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(context, buffer))?;
        match buffer.filled().get(before..) {
            None | Some([]) => {}
            Some(bytes) => this.activity.received(bytes),
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for TrackedStream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[io::IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let is_http2 = this.activity.is_http2();
        if is_http2 {
            ready!(this.farewell.poll(slices, context));
        }
        let written = ready!(Pin::new(&mut this.stream).poll_write_vectored(context, slices))?;
        if is_http2 {
            this.farewell.sent(slices, written);
        } else if written > 0 {
            this.activity.sent();
        }
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(Pin::new(&mut this.stream).poll_shutdown(context))?;
        this.linger
            .poll(&mut this.stream, context, this.activity.is_http2())
    }
}
