//! The statements that services send, as sqlx logs them.

use std::sync::{Mutex, OnceLock};

use freezer_api::config::Config;
use tokio::sync::{Mutex as Turn, MutexGuard};
use tracing::field::{Field, Visit};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

/// The log is that of the whole process, so one test has it at a time.
pub(crate) struct Statements {
    _turn: MutexGuard<'static, ()>,
}

static TURN: Turn<()> = Turn::const_new(());
static SENT: Mutex<Vec<String>> = Mutex::new(Vec::new());

impl Statements {
    /// Those of all services for which [`Statements::are_logged`].
    pub(crate) async fn of_process() -> Statements {
        static INSTALLED: OnceLock<()> = OnceLock::new();
        let turn = TURN.lock().await;
        INSTALLED.get_or_init(|| {
            tracing::subscriber::set_global_default(tracing_subscriber::registry().with(Log))
                .unwrap();
        });
        Statements { _turn: turn }
    }

    /// What was sent since the last call, with single blanks.
    pub(crate) fn take(&self) -> Vec<String> {
        SENT.lock().unwrap().drain(..).collect()
    }

    /// Makes a service log its statements.
    pub(crate) fn are_logged(config: &mut Config) {
        config.database.connection_debug = 100;
    }
}

struct Log;

impl<S: tracing::Subscriber + for<'s> LookupSpan<'s>> Layer<S> for Log {
    fn on_event(&self, event: &tracing::Event<'_>, context: Context<'_, S>) {
        // Tests have connections of their own, outside of any request.
        if event.metadata().target() != "sqlx::query" || context.lookup_current().is_none() {
            return;
        }
        let mut text = Text::default();
        event.record(&mut text);
        let text = if text.whole.trim().is_empty() {
            text.summary
        } else {
            text.whole
        };
        let words: Vec<&str> = text.split_whitespace().collect();
        SENT.lock().unwrap().push(words.join(" "));
    }
}

#[derive(Default)]
struct Text {
    summary: String,
    whole: String,
}

impl Visit for Text {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "summary" => value.clone_into(&mut self.summary),
            "db.statement" => value.clone_into(&mut self.whole),
            _ => {}
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}
