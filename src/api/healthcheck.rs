//! `/healthcheck`, as oslo.middleware answers it: without a token, to any method.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use serde_json::{Value, json};

use super::Api;
use super::accept::{accept_header, preferred};
use crate::config::{Config, Healthcheck, HealthcheckBackend};
use crate::error::ApiError;

/// What one backend found, in oslo.middleware's words.
struct Finding {
    available: bool,
    reason: &'static str,
    details: String,
}

impl Finding {
    fn healthy(details: impl Into<String>) -> Finding {
        Finding {
            available: true,
            reason: "OK",
            details: details.into(),
        }
    }

    fn disabled(details: impl Into<String>) -> Finding {
        Finding {
            available: false,
            reason: "DISABLED BY FILE",
            details: details.into(),
        }
    }
}

/// What a finding may be sent as, the first where the client does not mind.
const FORMS: [(&str, &str); 3] = [("text", "plain"), ("text", "html"), ("application", "json")];

/// The health checks of the configuration, each at its path.
pub(super) fn routes(config: &Config) -> Router<Arc<Api>> {
    let add = |router: Router<Arc<Api>>, options: &Healthcheck| {
        let path = options.path.as_str().to_owned();
        let options = Arc::new(options.clone());
        let check = async move |State(api): State<Arc<Api>>, request: Request| {
            check(&api, &options, &request)
        };
        router.route(&path, any(check))
    };
    config.healthchecks().fold(Router::new(), add)
}

/// Whether this server wants requests.
fn check(api: &Api, options: &Healthcheck, request: &Request) -> Response {
    if !is_for(options, request) {
        return ApiError::NoRoute.into_response();
    }
    let findings = findings(options, api.config.default.bind_port);
    let detailed = options.detailed;
    let healthy = findings.iter().all(|finding| finding.available);
    let status = match (healthy, request.method() == Method::HEAD) {
        (true, false) => StatusCode::OK,
        // oslo.middleware's answer to HEAD; load balancers ask so.
        (true, true) => StatusCode::NO_CONTENT,
        (false, _) => StatusCode::SERVICE_UNAVAILABLE,
    };
    if request.method() == Method::HEAD {
        return status.into_response();
    }
    let accept = accept_header(request.headers());
    let (content_type, body) = match preferred(&accept, &FORMS) {
        Some(("text", "html")) => ("text/html; charset=UTF-8", html(api, detailed, &findings)),
        Some(("application", "json")) => (
            "application/json",
            json(api, detailed, &findings).to_string(),
        ),
        // A 406 would take the server out of service.
        _ => ("text/plain; charset=UTF-8", reasons(&findings).join("\n")),
    };
    let content_type = [(header::CONTENT_TYPE, HeaderValue::from_static(content_type))];
    (status, content_type, body).into_response()
}

/// The headers by which a proxy shows itself to `ignore_proxied_requests`.
const PROXIED: [&str; 5] = [
    "x-forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-prefix",
    "x-forwarded-proto",
];

/// Whether the health check exists for the client of a request.
fn is_for(options: &Healthcheck, request: &Request) -> bool {
    let ranges = &options.allowed_source_ranges;
    let remote = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let remote = remote.map(|info| info.0.ip().to_canonical());
    let is_near = || remote.is_some_and(|ip| ranges.iter().any(|range| range.contains(&ip)));
    let headers = request.headers();
    let is_proxied = || {
        let mut values = PROXIED.iter().filter_map(|name| headers.get(*name));
        values.any(|value| !value.is_empty())
    };
    (ranges.is_empty() || is_near()) && !(options.ignore_proxied_requests && is_proxied())
}

/// What each backend found. Without any, the answer is that of the reference's own `disable_by_file`.
fn findings(options: &Healthcheck, port: u16) -> Vec<Finding> {
    if options.backends.is_empty() {
        return vec![disable_by_file(None)];
    }
    let finding = |backend: &HealthcheckBackend| match backend {
        HealthcheckBackend::DisableByFile => {
            disable_by_file(options.disable_by_file_path.as_deref())
        }
        HealthcheckBackend::DisableByFilesPorts => {
            let mut files = options.disable_by_file_paths.iter().rev();
            match files.find(|file| file.port == port) {
                Some(file) if file.path.exists() => Finding::disabled(""),
                _ => Finding::healthy(""),
            }
        }
        HealthcheckBackend::EnableByFiles => {
            let mut files = options.enable_by_file_paths.iter();
            match files.find(|path| !path.exists()) {
                None => Finding::healthy("Specified file paths are available"),
                Some(path) => Finding {
                    available: false,
                    reason: "FILE PATH MISSING",
                    details: format!("File path {} is missing", path.display()),
                },
            }
        }
    };
    options.backends.iter().map(finding).collect()
}

fn disable_by_file(path: Option<&Path>) -> Finding {
    match path {
        None => Finding::healthy("No 'disable_by_file_path' configuration value specified"),
        Some(path) if path.exists() => {
            Finding::disabled(format!("Path '{}' was found", path.display()))
        }
        Some(path) => Finding::healthy(format!("Path '{}' was not found", path.display())),
    }
}

fn reasons(findings: &[Finding]) -> Vec<&'static str> {
    findings.iter().map(|finding| finding.reason).collect()
}

fn json(api: &Api, detailed: bool, findings: &[Finding]) -> Value {
    if !detailed {
        return json!({"detailed": false, "reasons": reasons(findings)});
    }
    let reason = |finding: &Finding| json!({"class": CLASS, "details": finding.details, "reason": finding.reason});
    json!({
        "detailed": true,
        "now": now(api),
        "platform": platform(),
        "reasons": findings.iter().map(reason).collect::<Vec<Value>>(),
    })
}

/// The name that oslo.middleware gives to the kind of a finding.
const CLASS: &str = "HealthcheckResult";

fn html(api: &Api, detailed: bool, findings: &[Finding]) -> String {
    let mut page = "<HTML>\n<HEAD><TITLE>Healthcheck Status</TITLE></HEAD>\n<BODY>\n".to_owned();
    let mut add = |line: String| {
        page.push_str(&line);
        page.push('\n');
    };
    if detailed {
        add("<H1>Server status</H1>".to_owned());
        for (name, value) in [
            ("Server hostname", kernel("hostname")),
            ("Current time", now(api)),
            ("Platform", platform()),
        ] {
            add(format!("<B>{name}:</B><PRE>{}</PRE>", escaped(&value)));
        }
        add("<HR></HR>".to_owned());
    }
    add(format!("<H2>Result of {} checks:</H2>", findings.len()));
    add("<TABLE bgcolor=\"#ffffff\" border=\"1\">\n<TBODY>".to_owned());
    add(row("TH", detailed, ["Kind", "Reason", "Details"]));
    for finding in findings {
        add(row(
            "TD",
            detailed,
            [CLASS, finding.reason, &finding.details],
        ));
    }
    page.push_str("</TBODY>\n</TABLE>\n<HR></HR>\n</BODY>\n</HTML>");
    page
}

/// A row of the table of findings; the first and the last column are for details.
fn row(cell: &str, detailed: bool, columns: [&str; 3]) -> String {
    let mut row = "<TR>".to_owned();
    for (index, text) in columns.into_iter().enumerate() {
        if detailed || index == 1 {
            // Writing to a String cannot fail.
            let _ = write!(row, "<{cell}>{}</{cell}>", escaped(text));
        }
    }
    row.push_str("</TR>");
    row
}

/// The time in UTC, as Python prints it.
fn now(api: &Api) -> String {
    let now = api.catalogue.clock.now();
    format!(
        "{} {}.{:06}",
        now.date(),
        hours(now.time()),
        now.microsecond()
    )
}

fn hours(time: time::Time) -> String {
    let (hour, minute, second) = time.as_hms();
    format!("{hour:02}:{minute:02}:{second:02}")
}

/// System, release and machine.
fn platform() -> String {
    let machine = std::env::consts::ARCH;
    format!("{}-{}-{machine}", kernel("ostype"), kernel("osrelease"))
}

/// What Linux says of itself; empty where there is no /proc.
fn kernel(name: &str) -> String {
    std::fs::read_to_string(Path::new("/proc/sys/kernel").join(name))
        .map(|text| text.trim().to_owned())
        .unwrap_or_default()
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}
