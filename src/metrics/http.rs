//! Requests, counted by route, method and status. Whatever can be counted has its place from the start, so that no request asks for
//! memory or waits for a map; what strangers send cannot make more lines.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::encoding::EncodeMetric;
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::histogram::Histogram;

use super::families::Families;

/// The route of what has none, and the label of methods and statuses that are not in the lists below.
pub const OTHER: &str = "other";

const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// The statuses that this service answers with.
const CODES: [(u16, &str); 27] = [
    (200, "200"),
    (201, "201"),
    (202, "202"),
    (204, "204"),
    (300, "300"),
    (303, "303"),
    (304, "304"),
    (307, "307"),
    (308, "308"),
    (400, "400"),
    (401, "401"),
    (403, "403"),
    (404, "404"),
    (405, "405"),
    (406, "406"),
    (408, "408"),
    (409, "409"),
    (412, "412"),
    (413, "413"),
    (415, "415"),
    (422, "422"),
    (429, "429"),
    (431, "431"),
    (500, "500"),
    (502, "502"),
    (503, "503"),
    (504, "504"),
];

/// The upper bounds of the histogram, in seconds.
const BOUNDS: [f64; 13] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0,
];

/// All counts of requests.
pub struct Http {
    routes: Vec<Route>,
    places: HashMap<String, usize>,
    in_flight: AtomicI64,
}

struct Route {
    path: String,
    /// One for each method, and one for all others.
    methods: [OfMethod; METHODS.len() + 1],
}

struct OfMethod {
    /// One for each status, and one for all others.
    codes: [AtomicU64; CODES.len() + 1],
    seconds: Histogram,
}

impl OfMethod {
    fn new() -> OfMethod {
        OfMethod {
            codes: std::array::from_fn(|_| AtomicU64::new(0)),
            seconds: Histogram::new(BOUNDS),
        }
    }
}

/// A request that is worked on, until it is dropped.
pub struct InFlight<'a>(&'a AtomicI64);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The place of a method; that behind the last is for all others.
fn place_of_method(method: &str) -> usize {
    let found = METHODS.iter().position(|known| *known == method);
    found.unwrap_or(METHODS.len())
}

fn place_of_code(status: u16) -> usize {
    let found = CODES.iter().position(|(code, _)| *code == status);
    found.unwrap_or(CODES.len())
}

fn name_of_method(place: usize) -> &'static str {
    METHODS.get(place).copied().unwrap_or(OTHER)
}

fn name_of_code(place: usize) -> &'static str {
    CODES.get(place).map_or(OTHER, |(_, name)| name)
}

impl Http {
    /// Counts for routes, which are known by their paths with parameters.
    pub fn new(paths: impl IntoIterator<Item = String>) -> Http {
        let (mut routes, mut places) = (Vec::new(), HashMap::new());
        for path in [OTHER.to_owned()].into_iter().chain(paths) {
            if let Entry::Vacant(place) = places.entry(path.clone()) {
                place.insert(routes.len());
                let methods = std::array::from_fn(|_| OfMethod::new());
                routes.push(Route { path, methods });
            }
        }
        Http {
            routes,
            places,
            in_flight: AtomicI64::new(0),
        }
    }

    /// The place of a route; 0 where there is no such route.
    pub fn place(&self, path: &str) -> usize {
        self.places.get(path).copied().unwrap_or(0)
    }

    /// A request begins.
    pub fn begin(&self) -> InFlight<'_> {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(&self.in_flight)
    }

    /// A request of the route at a place is answered.
    pub fn count(&self, route: usize, method: &str, status: u16, took: Duration) {
        let route = self.routes.get(route).or(self.routes.first());
        let method = place_of_method(method);
        let Some(of_method) = route.and_then(|route| route.methods.get(method)) else {
            return;
        };
        if let Some(count) = of_method.codes.get(place_of_code(status)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        of_method.seconds.observe(took.as_secs_f64());
    }

    fn of_methods(&self) -> impl Iterator<Item = (&str, &'static str, &OfMethod)> {
        self.routes.iter().flat_map(|route| {
            let methods = route.methods.iter().enumerate();
            methods.map(|(place, of_method)| (&*route.path, name_of_method(place), of_method))
        })
    }

    pub(super) fn write(&self, families: &mut Families<'_>) -> fmt::Result {
        let mut requests = Vec::new();
        for (route, method, of_method) in self.of_methods() {
            for (place, count) in of_method.codes.iter().enumerate() {
                let labels = [
                    ("method", method),
                    ("route", route),
                    ("code", name_of_code(place)),
                ];
                requests.push((labels, count.load(Ordering::Relaxed)));
            }
        }
        requests.retain(|(_, count)| *count > 0);
        families.counters(
            "freezer_api_http_requests",
            "Requests that were answered, by method, route and status.",
            requests,
        )?;
        let help = "Seconds until an answer began, by method and route.";
        let mut seconds = families.0.encode_descriptor(
            "freezer_api_http_request_duration_seconds",
            help,
            None,
            MetricType::Histogram,
        )?;
        for (route, method, of_method) in self.of_methods() {
            let is_used = |count: &AtomicU64| count.load(Ordering::Relaxed) > 0;
            if of_method.codes.iter().any(is_used) {
                let labels = [("method", method), ("route", route)];
                of_method.seconds.encode(seconds.encode_family(&labels)?)?;
            }
        }
        families.gauge(
            "freezer_api_http_requests_in_flight",
            "Requests that are being worked on.",
            self.in_flight.load(Ordering::Relaxed),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::families::{Figures, text};
    use super::*;

    impl Figures for Http {
        fn write(&self, families: &mut Families<'_>) -> fmt::Result {
            Http::write(self, families)
        }
    }

    #[test]
    fn what_strangers_send_makes_no_lines() {
        let http = Http::new(["/a/{id}".to_owned(), "/a/{id}".to_owned()]);
        let second = Duration::from_secs(1);
        http.count(http.place("/a/{id}"), "GET", 200, second);
        for method in ["BREW", "get", "PROPFIND"] {
            http.count(http.place("/nothing"), method, 418, second);
        }
        http.count(99, "GET", 404, second);
        drop(http.begin());
        let text = text(http);
        let lines: Vec<&str> = text
            .lines()
            .filter(|line| line.starts_with("freezer_api_http_requests"))
            .collect();
        assert_eq!(
            lines,
            [
                r#"freezer_api_http_requests_total{method="GET",route="other",code="404"} 1"#,
                r#"freezer_api_http_requests_total{method="other",route="other",code="other"} 3"#,
                r#"freezer_api_http_requests_total{method="GET",route="/a/{id}",code="200"} 1"#,
                "freezer_api_http_requests_in_flight 0",
            ]
        );
        for line in [
            r#"freezer_api_http_request_duration_seconds_bucket{method="GET",route="/a/{id}",le="0.5"} 0"#,
            r#"freezer_api_http_request_duration_seconds_bucket{method="GET",route="/a/{id}",le="1"} 1"#,
            r#"freezer_api_http_request_duration_seconds_count{method="GET",route="/a/{id}"} 1"#,
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
    }
}
