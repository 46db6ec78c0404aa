//! The rules and the dashboard that operators get: whatever they ask for is there, and rules do what they say.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use freezer_api::config::PerClient;
use freezer_api::domain::finding::Finding;
use freezer_api::domain::host::HostState;
use regex::Regex;
use serde_json::Value;

use super::catalogue::{feed, look};
use super::{figures, lines, measured};

const RULES: &str = "etc/prometheus/freezer-api.rules.yml";
const DASHBOARD: &str = "etc/grafana/freezer-api.json";
const RULE_TESTS: &str = "tests/prometheus/freezer-api.test.yml";

/// Prometheus' own.
const OTHERS: [&str; 1] = ["up"];
/// A service without Keystone tells that there are such figures, and has none.
const OF_KEYSTONE: [&str; 2] = [
    "freezer_api_keystone_requests_total",
    "freezer_api_token_cache_requests_total",
];

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn text_of(name: &str) -> String {
    fs::read_to_string(file(name)).unwrap()
}

fn rules() -> Vec<Value> {
    let rules: Value = serde_saphyr::from_str(&text_of(RULES)).unwrap();
    let groups = rules["groups"].as_array().unwrap();
    let rules = groups
        .iter()
        .flat_map(|group| group["rules"].as_array().unwrap());
    rules.cloned().collect()
}

/// All texts under a key, at any depth.
fn texts(value: &Value, key: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                match value {
                    Value::String(text) if name == key => found.push(text.clone()),
                    value => texts(value, key, found),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| texts(value, key, found)),
        _ => {}
    }
}

/// What the dashboard asks for.
fn dashboard() -> Vec<String> {
    let dashboard: Value = serde_json::from_str(&text_of(DASHBOARD)).unwrap();
    let mut queries = Vec::new();
    texts(&dashboard, "expr", &mut queries);
    assert!(queries.len() >= 16, "{queries:?}");
    texts(&dashboard, "definition", &mut queries);
    queries
}

fn queries() -> Vec<String> {
    let mut queries = dashboard();
    let rules = rules();
    let of_rules = rules
        .iter()
        .map(|rule| rule["expr"].as_str().unwrap().to_owned());
    queries.extend(of_rules);
    queries
}

/// The metrics that a query names: what is no text, and neither a function nor a label.
fn metrics(query: &str) -> BTreeSet<String> {
    let texts = Regex::new(r#""[^"]*""#).unwrap();
    let query = texts.replace_all(query, "");
    let names = Regex::new(r"\b(up|freezer_[a-z_]+|process_[a-z_]+)\b").unwrap();
    let names = names.find_iter(&query);
    names.map(|name| name.as_str().to_owned()).collect()
}

on_each_engine! {
    async fn whatever_rules_and_dashboard_ask_for_is_there(database: Database) {
        let service = measured(&database, |config| config.metrics.per_client = PerClient::All).await;
        feed(&service).await;
        look(&service).await;
        let text = figures(&service).await;
        for query in queries() {
            let metrics = metrics(&query);
            assert!(!metrics.is_empty(), "{query}");
            for metric in metrics.iter().filter(|name| !OTHERS.contains(&name.as_str())) {
                let described = text.contains(&format!("# TYPE {metric} counter"));
                let is_there = !lines(&text, metric).is_empty() || OF_KEYSTONE.contains(&metric.as_str()) && described;
                assert!(is_there, "{metric} of {query} is nowhere in {text}");
            }
        }
    }
}

#[test]
fn values_of_labels_are_those_that_there_are() {
    let kinds = Regex::new(r#"\b(kind|state|severity)=~?"([^"]+)""#).unwrap();
    let mut seen = BTreeSet::new();
    for query in queries() {
        for found in kinds.captures_iter(&query) {
            for value in found[2].split('|') {
                let is_known = match &found[1] {
                    "kind" => Finding::parse(value).is_some(),
                    "state" => HostState::parse(value).is_some(),
                    _ => matches!(value, "red" | "amber"),
                };
                assert!(is_known, "{value} in {query}");
                seen.insert(value.to_owned());
            }
        }
    }
    assert!(
        seen.contains("overdue") && seen.contains("silent"),
        "{seen:?}"
    );
}

/// The anchor of a heading, as GitHub and others make it.
fn anchor(heading: &str) -> String {
    let kept = heading
        .trim()
        .chars()
        .filter(|c| c.is_alphanumeric() || " -".contains(*c));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

#[test]
fn each_alert_has_a_runbook_that_is_there() {
    for rule in rules() {
        let runbook = rule["annotations"]["runbook"].as_str().unwrap();
        let (page, section) = runbook.split_once('#').unwrap();
        let text = text_of(page);
        let mut headings = text.lines().filter_map(|line| line.strip_prefix("## "));
        assert!(
            headings.any(|heading| anchor(heading) == section),
            "{runbook}"
        );
        let name = rule["alert"].as_str().unwrap();
        assert!(
            text_of("docs/metrics.md").contains(name),
            "{name} is not described"
        );
        let is_tested = text_of(RULE_TESTS).contains(&format!("alertname: {name}\n"));
        assert!(is_tested, "nothing shows that {name} fires");
    }
}

fn promtool(arguments: &[&str]) {
    let output = Command::new("promtool").args(arguments).output().unwrap();
    let said = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    assert!(output.status.success(), "{}", said.concat());
}

#[test]
#[ignore = "needs promtool: ./test installs it"]
fn promtool_finds_that_rules_fire_and_are_quiet() {
    promtool(&["check", "rules", file(RULES).to_str().unwrap()]);
    promtool(&["test", "rules", file(RULE_TESTS).to_str().unwrap()]);
}

#[test]
#[ignore = "needs promtool: ./test installs it"]
fn promtool_reads_the_queries_of_the_dashboard() {
    let folder = tempfile::tempdir().unwrap();
    let queries = dashboard();
    let queries = queries
        .iter()
        .filter(|query| !query.starts_with("label_values"));
    let rules: Vec<Value> = queries
        .enumerate()
        .map(|(number, query)| {
            let query = query
                .replace("$project", ".*")
                .replace("$__rate_interval", "5m");
            serde_json::json!({"record": format!("query:{number}"), "expr": query})
        })
        .collect();
    let text = serde_json::json!({"groups": [{"name": "dashboard", "rules": rules}]});
    // JSON is YAML.
    let path = folder.path().join("dashboard.rules.yml");
    fs::write(&path, text.to_string()).unwrap();
    promtool(&["check", "rules", path.to_str().unwrap()]);
}

on_each_engine! {
    needs "needs promtool: ./test installs it":
    async fn promtool_reads_the_figures(database: Database) {
        use std::io::Write as _;
        use std::process::Stdio;
        let service = measured(&database, |config| config.metrics.per_client = PerClient::All).await;
        feed(&service).await;
        look(&service).await;
        let mut command = Command::new("promtool");
        let mut child = command.args(["check", "metrics"]).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(figures(&service).await.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success() && said.is_empty(), "{said}");
    }
}
