//! What openstack-helm makes of values: the merge of two files, what the chart `freezer` fills in, and helm-toolkit's forms
//! `to_oslo_conf` and `to_ini`.

use serde_json::{Map, Value, json};

/// The files of the chart's Secret `freezer-etc`, from the chart's values and an operator's, which win.
pub(super) fn render(chart: &str, operator: &str) -> Vec<(String, String)> {
    let read = |text: &str| serde_saphyr::from_str::<Value>(text).unwrap();
    let mut values = read(chart);
    merge(&mut values, read(operator));
    fill_in(&mut values);
    let conf = &values["conf"];
    vec![
        ("freezer.conf".to_owned(), to_oslo_conf(&conf["freezer"])),
        ("logging.conf".to_owned(), to_oslo_conf(&conf["logging"])),
        ("api-paste.ini".to_owned(), to_oslo_conf(&conf["paste"])),
        ("policy.yaml".to_owned(), conf["policy"].to_string()),
    ]
}

/// As Helm does it: maps are merged, all else is replaced.
fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from,
    }
}

/// The chart's `configmap-etc.yaml`: the account, Keystone and the database of the values' endpoints.
fn fill_in(values: &mut Value) {
    let mut account = values["endpoints"]["identity"]["auth"]["freezer"].clone();
    let keystone = json!("http://192.0.2.20:5000/v3");
    account["auth_uri"] = keystone.clone();
    account["auth_url"] = keystone;
    let freezer = &mut values["conf"]["freezer"];
    merge(&mut freezer["keystone_authtoken"], account);
    freezer["database"]["connection"] = json!("mysql+pymysql://192.0.2.10:3306/freezer");
}

/// Sections and keys in the order of their names, lists with commas. Of `to_ini` the result is the same.
fn to_oslo_conf(sections: &Value) -> String {
    let mut text = String::new();
    for (section, entries) in sorted(sections.as_object().unwrap()) {
        text += &format!("[{section}]\n");
        for (key, value) in sorted(entries.as_object().unwrap()) {
            if !value.is_null() {
                text += &format!("{key} = {}\n", plain(value));
            }
        }
    }
    text
}

fn sorted(map: &Map<String, Value>) -> Vec<(&String, &Value)> {
    let mut entries: Vec<_> = map.iter().collect();
    entries.sort_unstable_by_key(|(key, _)| *key);
    entries
}

fn plain(value: &Value) -> String {
    match value {
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(","),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
