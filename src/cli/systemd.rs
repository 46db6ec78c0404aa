//! What systemd is told of the service (`sd_notify`), where it has started it.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::task::JoinSet;
use tokio::time::interval;

/// Requests are answered.
pub(super) fn ready() {
    tell(&[NotifyState::Ready]);
}

/// The configuration is read again, until [`ready`].
pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(_) => tell(&[NotifyState::Reloading]),
    }
}

/// The service stops.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Tells that the service runs, twice in the time after which systemd would start it anew (`WatchdogSec`). Ends with the value.
pub(super) fn watchdog() -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    if let Some(limit) = sd_notify::watchdog_enabled() {
        tasks.spawn(async move {
            let mut times = interval((limit / 2).max(Duration::from_millis(1)));
            loop {
                times.tick().await;
                tell(&[NotifyState::Watchdog]);
            }
        });
    }
    tasks
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "systemd cannot be told of the service's state");
    }
}
