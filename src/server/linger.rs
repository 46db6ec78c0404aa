//! The end of a connection on which the client may still be sending: a body that is refused unread, for instance.
//!
//! A connection that is closed before all is read is reset, and a reset takes away an answer that the client has not read yet.
//! Proxies make 502 of that. So what comes is taken, and dropped, until the client closes too or the time is over.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead as _, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

use super::CLOSE_TIMEOUT;
use super::stream::Stream;

/// The wait for the client's end, which begins when it is first polled.
#[derive(Default)]
pub(super) struct Linger(Option<Pin<Box<Sleep>>>);

impl Linger {
    pub(super) fn poll(
        &mut self,
        stream: &mut Stream,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let end = self.0.get_or_insert_with(|| Box::pin(sleep(CLOSE_TIMEOUT)));
        let mut bytes = [0; 8192];
        while Instant::now() < end.deadline() {
            let mut buffer = ReadBuf::new(&mut bytes);
            match Pin::new(&mut *stream).poll_read(context, &mut buffer) {
                Poll::Pending => return end.as_mut().poll(context).map(Ok),
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {}
                // The client has closed, in order or not.
                Poll::Ready(_) => break,
            }
        }
        Poll::Ready(Ok(()))
    }
}
