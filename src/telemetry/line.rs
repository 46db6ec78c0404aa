//! The way of an event into a line.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use time::OffsetDateTime;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{
    self as subscriber, FmtContext, FormatEvent, FormatFields, MakeWriter,
};
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::event::{Fields, RequestFields};
use super::frame::Frame;
use super::layout::{Layout, LogLine};
use crate::clock::Clock;

/// Writes each event as a line. Needs a [`RequestLayer`] before it.
pub(super) fn layer<S, W>(layout: Layout, frame: Frame, clock: Clock, writer: W) -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + 'static,
{
    subscriber::layer()
        .fmt_fields(NoFields)
        .event_format(LineFormat {
            layout,
            frame,
            clock,
            last: ArcSwapOption::empty(),
        })
        .with_writer(writer)
}

/// Keeps what the span of a request tells, for the lines that are logged within it.
pub(super) struct RequestLayer;

/// Fields of spans as text, of which no line makes use: they are kept by the [`RequestLayer`].
struct NoFields;

impl FormatFields<'_> for NoFields {
    fn format_fields<R: RecordFields>(&self, _: Writer<'_>, _: R) -> fmt::Result {
        Ok(())
    }
}

/// How an event becomes a line.
struct LineFormat {
    layout: Layout,
    frame: Frame,
    clock: Clock,
    last: ArcSwapOption<Second>,
}

/// A second, and how it is written: formats have nothing finer, and many lines stand within one.
struct Second {
    timestamp: i64,
    text: String,
}

impl LineFormat {
    #[expect(
        clippy::expect_used,
        reason = "a point in time in UTC has all that strftime can name"
    )]
    fn second(&self, time: OffsetDateTime) -> Arc<Second> {
        let timestamp = time.unix_timestamp();
        if let Some(last) = &*self.last.load()
            && last.timestamp == timestamp
        {
            return Arc::clone(last);
        }
        let text = time.format(self.layout.date().items());
        let text = text.expect("a date and a time");
        let second = Arc::new(Second { timestamp, text });
        self.last.store(Some(Arc::clone(&second)));
        second
    }
}

impl<S> Layer<S> for RequestLayer
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut request = RequestFields::default();
        attributes.record(&mut request);
        if let Some(span) = context
            .span(id)
            .filter(|_| request.get("request_id").is_some())
        {
            span.extensions_mut().insert(request);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(request) = span.extensions_mut().get_mut::<RequestFields>()
        {
            values.record(request);
        }
    }
}

impl<S, N> FormatEvent<S, N> for LineFormat
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let mut spans = context.event_scope().into_iter().flatten();
        let span = spans.find(|span| span.extensions().get::<RequestFields>().is_some());
        let extensions = span.as_ref().map(|span| span.extensions());
        let request = extensions
            .as_ref()
            .and_then(|extensions| extensions.get::<RequestFields>());
        let metadata = event.metadata();
        let time = self.clock.now();
        let second = self.second(time);
        let line = LogLine {
            time,
            asctime: &second.text,
            level: *metadata.level(),
            module: fields.log_target.as_deref().unwrap_or(metadata.target()),
            file: metadata.file(),
            line: metadata.line(),
            fields: &fields,
            request,
        };
        self.frame.write(&mut writer, &line, &self.layout)
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error;
    use std::io;
    use std::sync::Mutex;

    use tracing::subscriber::with_default;
    use tracing_subscriber::layer::SubscriberExt;
    use tracing_subscriber::registry;

    use serde_json::Value;

    use super::*;
    use crate::config::{DateFormat, Global, SyslogFacility};
    use crate::oslo::log_format::LogFormat;
    use crate::telemetry::event::shortened;
    use crate::telemetry::layout::TextLayout;
    use crate::telemetry::{Identity, identify, request_span};

    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What is logged at 2026-11-22 19:00:00.
    fn logged(layout: Layout, frame: Frame, log: impl FnOnce()) -> String {
        let memory = Memory::default();
        let writer = memory.clone();
        let clock = Clock::fixed(1_795_374_000);
        let layer = layer(layout, frame, clock, move || writer.clone());
        with_default(registry().with(RequestLayer).with(layer), log);
        let bytes = memory.0.lock().unwrap().clone();
        String::from_utf8(bytes)
            .unwrap()
            .replace(&format!(" {} ", std::process::id()), " PID ")
    }

    fn text() -> Layout {
        Layout::Text(TextLayout::new(&Global::default()))
    }

    fn json() -> Layout {
        Layout::json(DateFormat::default())
    }

    fn in_request(log: impl FnOnce()) {
        let span = request_span("req-1", None);
        identify(
            &span,
            &Identity {
                user: Some("u1"),
                project: Some("p1"),
                user_domain: Some("default"),
                ..Identity::default()
            },
        );
        span.in_scope(|| tracing::debug_span!("inner", user = "not this").in_scope(log));
    }

    #[test]
    fn text_outside_of_a_request() {
        let text = logged(text(), Frame::Line, || {
            tracing::info!(port = 9090, ready = true, path = "/a b", empty = "", plain = %"x:y", "listening");
            tracing::warn!(target: "a::b", "first\nsecond \u{1b}[1m");
        });
        insta::assert_snapshot!(text, @r#"
        2026-11-22 19:00:00.000 PID INFO freezer_api.telemetry.line.tests [-] listening port=9090 ready=true path="/a b" empty="" plain=x:y
        2026-11-22 19:00:00.000 PID WARNING a.b [-] first\nsecond \u{1b}[1m
        "#);
    }

    #[test]
    fn text_within_a_request() {
        insta::assert_snapshot!(logged(text(), Frame::Line, || in_request(|| tracing::error!("no"))), @"2026-11-22 19:00:00.000 PID ERROR freezer_api.telemetry.line.tests [- req-1 u1 p1 - - default -] no");
        let global = || request_span("req-2", Some("req-0")).in_scope(|| tracing::debug!("yes"));
        insta::assert_snapshot!(logged(text(), Frame::Line, global), @"2026-11-22 19:00:00.000 PID DEBUG freezer_api.telemetry.line.tests [req-0 req-2 - - - - - -] yes");
    }

    #[test]
    fn an_error_is_told_with_its_causes() {
        #[derive(Debug, thiserror::Error)]
        #[error("outer")]
        struct Outer(#[source] io::Error);
        let error = Outer(io::Error::other("in\nner"));
        let text = logged(text(), Frame::Line, || {
            tracing::error!(error = &error as &dyn Error, "failed")
        });
        insta::assert_snapshot!(text, @r#"2026-11-22 19:00:00.000 PID ERROR freezer_api.telemetry.line.tests [-] failed error="outer: in\nner""#);
    }

    #[test]
    fn long_texts_are_cut() {
        assert_eq!(shortened("aé", 3), "aé");
        assert_eq!(shortened("aéb", 2), "a… (4 bytes)");
        let long = "é".repeat(1 << 20);
        for layout in [text(), json()] {
            let text = logged(layout, Frame::Line, || {
                tracing::warn!(statement = long, "{long}")
            });
            assert!(text.len() < 9000, "{}", text.len());
            assert_eq!(text.matches("… (2097152 bytes)").count(), 2);
        }
    }

    #[test]
    fn json_is_one_object_a_line() {
        let text = logged(json(), Frame::Line, || {
            in_request(|| tracing::info!(status = 200, path = "/v2/\n", "done"))
        });
        assert_eq!(text.lines().count(), 1);
        let mut line: Value = serde_json::from_str(&text).unwrap();
        let object = line.as_object_mut().unwrap();
        assert_eq!(object.remove("process"), Some(std::process::id().into()));
        assert!(
            object
                .remove("hostname")
                .is_some_and(|name| name.is_string())
        );
        assert!(object.remove("lineno").is_some_and(|line| line.is_u64()));
        assert!(object.remove("thread_name").is_some());
        insta::assert_snapshot!(line.to_string(), @r#"{"message":"done","asctime":"2026-11-22 19:00:00","name":"freezer_api.telemetry.line.tests","levelname":"INFO","levelno":20,"pathname":"src/telemetry/line.rs","context":{"request_id":"req-1","user":"u1","project":"p1","user_domain":"default"},"created":1795374000.0,"msecs":0,"extra":{"status":200,"path":"/v2/\n"}}"#);
    }

    #[test]
    fn format_strings_are_those_of_the_operator() {
        let format = |text| LogFormat::parse(text).unwrap();
        let options = Global {
            log_date_format: DateFormat::new("%d/%b/%Y:%H:%M:%S %z").unwrap(),
            logging_context_format_string: format(
                "%(asctime)s %(levelname)-8s %(filename)s %(request_id)s <%(user_identity)s> %(message)s",
            ),
            logging_default_format_string: format(
                "%(isotime)s %(created)f %(msecs)d %(nothing)s %(message)s",
            ),
            logging_user_identity_format: format("%(user)s/%(project_domain)s"),
            logging_debug_format_suffix: Some(format("(%(levelno)d)")),
            ..Global::default()
        };
        let layout = || Layout::Text(TextLayout::new(&options));
        let within = logged(layout(), Frame::Line, || {
            in_request(|| tracing::info!("no\nsecond"))
        });
        insta::assert_snapshot!(within, @r"22/Nov/2026:19:00:00 +0000 INFO     line.rs req-1 <u1/-> no\nsecond");
        let outside = logged(layout(), Frame::Line, || tracing::debug!(a = 1, "yes"));
        insta::assert_snapshot!(outside, @"2026-11-22T19:00:00.000000+00:00 1795374000.000000 0 - yes a=1 (10)");
    }

    #[test]
    fn daemons_get_what_they_know_a_line_by() {
        let (facility, program) = (SyslogFacility::USER, "freezer-api".to_owned());
        let layout = || {
            let message = LogFormat::parse("%(message)s\nend").unwrap();
            let options = Global {
                logging_context_format_string: message.clone(),
                logging_default_format_string: message,
                ..Global::default()
            };
            Layout::Text(TextLayout::new(&options))
        };
        let syslog = Frame::Syslog {
            facility,
            program: program.clone(),
        };
        let text = logged(text(), syslog, || tracing::warn!("no"));
        insta::assert_snapshot!(text, @"<12>freezer-api: 2026-11-22 19:00:00.000 PID WARNING freezer_api.telemetry.line.tests [-] no");
        let journal = Frame::Journal { facility, program };
        let text = logged(layout(), journal, || in_request(|| tracing::error!("no")));
        let text = text.lines().filter(|line| !line.starts_with("CODE_LINE"));
        insta::assert_snapshot!(text.collect::<Vec<_>>().join("\n"), @r"
        MESSAGE=no\nend
        PRIORITY=3
        SYSLOG_FACILITY=1
        SYSLOG_IDENTIFIER=freezer-api
        LOGGER_NAME=freezer_api.telemetry.line.tests
        LOGGER_LEVEL=ERROR
        CODE_FILE=src/telemetry/line.rs
        REQUEST_ID=req-1
        USER_ID=u1
        PROJECT_ID=p1
        ");
    }
}
