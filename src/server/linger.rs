//! The end of a connection on which the client may still be sending: a body that is refused unread, for instance.
//!
//! A connection that is closed before all is read is reset, and a reset takes away an answer that the client has not read yet.
//! Proxies make 502 of that. So what comes is taken, and dropped, until the client closes too or the time is over.
//!
//! A connection of HTTP/2 ends when its requests are answered, or because its client floods it, to take all of which would be work for
//! the flood. There a little is taken.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead as _, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

use super::CLOSE_TIMEOUT;
use super::stream::Stream;

/// How many bytes are taken of a client of HTTP/2: frames that acknowledge, a header or two.
const MAX_OF_HTTP2: usize = 64 * 1024;

/// The wait for the client's end, which begins when it is first polled.
#[derive(Default)]
pub(super) struct Linger {
    end: Option<Pin<Box<Sleep>>>,
    taken: usize,
}

impl Linger {
    pub(super) fn poll(
        &mut self,
        stream: &mut Stream,
        context: &mut Context<'_>,
        is_http2: bool,
    ) -> Poll<io::Result<()>> {
        let most = if is_http2 { MAX_OF_HTTP2 } else { usize::MAX };
        let end = self
            .end
            .get_or_insert_with(|| Box::pin(sleep(CLOSE_TIMEOUT)));
        let mut bytes = [0; 8192];
        while self.taken < most && Instant::now() < end.deadline() {
            let mut buffer = ReadBuf::new(&mut bytes);
            match Pin::new(&mut *stream).poll_read(context, &mut buffer) {
                Poll::Pending => return end.as_mut().poll(context).map(Ok),
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    self.taken = self.taken.saturating_add(buffer.filled().len());
                }
                // The client has closed, in order or not.
                Poll::Ready(_) => break,
            }
        }
        Poll::Ready(Ok(()))
    }
}
