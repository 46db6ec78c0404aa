//! What signals mean to the service.
//!
//! | signal | meaning |
//! |---|---|
//! | SIGTERM, SIGINT, SIGQUIT | stop, without losing a request |
//! | SIGHUP | read log level and policy again |
//! | SIGUSR1, SIGUSR2 | nothing: logs are reopened without a signal, and there are no reports |
//!
//! To the kernel each of them ends a process at once.

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that do not stop the service.
pub(super) struct Signals {
    hangup: Signal,
    user1: Signal,
    user2: Signal,
}

impl Signals {
    /// From now on these signals wait. Those that stop end the process until [`Signals::until_stopped`], so that a start that
    /// takes long can be given up.
    pub(super) fn new() -> anyhow::Result<Signals> {
        Ok(Signals {
            hangup: listen(SignalKind::hangup())?,
            user1: listen(SignalKind::user_defined1())?,
            user2: listen(SignalKind::user_defined2())?,
        })
    }

    /// Ready when the service is to stop. `reload` is called for each SIGHUP until then.
    pub(super) fn until_stopped(
        mut self,
        mut reload: impl FnMut(),
    ) -> anyhow::Result<impl Future<Output = ()>> {
        let mut terminate = listen(SignalKind::terminate())?;
        let mut interrupt = listen(SignalKind::interrupt())?;
        let mut quit = listen(SignalKind::quit())?;
        Ok(async move {
            loop {
                tokio::select! {
                    _ = terminate.recv() => return,
                    _ = interrupt.recv() => return,
                    _ = quit.recv() => return,
                    _ = self.hangup.recv() => reload(),
                    _ = self.user1.recv() => ignored("SIGUSR1"),
                    _ = self.user2.recv() => ignored("SIGUSR2"),
                }
            }
        })
    }
}

fn listen(kind: SignalKind) -> anyhow::Result<Signal> {
    signal(kind).context("cannot wait for signals")
}

fn ignored(signal: &str) {
    tracing::info!(signal, "this signal has no meaning here");
}
