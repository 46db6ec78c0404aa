//! The policy engine against the real oslo.policy, on thousands of generated rules, targets and credentials.
//!
//! `FREEZER_TEST_PYTHON` names a Python interpreter whose environment has oslo.policy and freezer_api. `FREEZER_TEST_SEED` (a number) gives other cases than the usual ones, `FREEZER_TEST_CASES` more or fewer.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};

use freezer_api::oslo::policy::{Credentials, Enforcer, Options, PolicyError};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Map, Value, json};

use crate::support::python;

const CASES: u64 = 4_000;

/// Asks the real oslo.policy; one answer a question.
pub(crate) fn ask(python: &str, questions: &[Value]) -> Vec<Value> {
    let mut input = tempfile::tempfile().unwrap();
    for question in questions {
        writeln!(input, "{question}").unwrap();
    }
    std::io::Seek::rewind(&mut input).unwrap();
    let output = Command::new(python)
        .arg(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/oracle/policy_oracle.py"
        ))
        .stdin(Stdio::from(input))
        .stderr(Stdio::inherit())
        .output()
        .expect("FREEZER_TEST_PYTHON starts");
    assert!(
        output.status.success(),
        "the oracle failed: {}",
        output.status
    );
    let answers: Vec<Value> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(answers.len(), questions.len());
    answers
}

/// A question: the rules of a file, of which `r0` is asked, with a target and credentials.
#[derive(Debug, Clone)]
struct Case {
    rules: Map<String, Value>,
    target: Map<String, Value>,
    credentials: Map<String, Value>,
}

impl Case {
    fn question(&self) -> Value {
        json!({
            "rules": self.rules, "default_rule": "default", "rule": "r0",
            "target": self.target, "creds": self.credentials,
        })
    }

    fn answer(&self) -> Result<bool, PolicyError> {
        let text = Value::Object(self.rules.clone()).to_string();
        let enforcer = Enforcer::from_text(&text, Options::default())?;
        let credentials = Credentials::from_values(self.credentials.clone());
        let allowed = enforcer
            .authorize("r0", &self.target, &credentials)
            .is_allowed();
        let explained = enforcer.explain("r0", &self.target, &credentials);
        assert_eq!(
            explained.decision.is_allowed(),
            allowed,
            "the explanation says otherwise: {self:?}"
        );
        Ok(allowed)
    }
}

fn words(words: &'static [&'static str]) -> impl Strategy<Value = String> + Clone {
    select(words).prop_map(str::to_owned)
}

const ROLES: &[&str] = &[
    "admin",
    "Member",
    "READER",
    "service",
    "compute:admin",
    "Größe",
    "x'y",
];
const TEXTS: &[&str] = &[
    "u1",
    "u2",
    "p1",
    "p2",
    "None",
    "True",
    "",
    "é\u{1F600}",
    "it's",
    "3",
    "[]",
    "%",
    "a b",
];
const KEYS: &[&str] = &[
    "project_id",
    "user_id",
    "target.role",
    "flag",
    "count",
    "list",
    "x(y)",
    "gone",
];
const PATHS: &[&str] = &[
    "user_id",
    "project_id",
    "is_admin",
    "level",
    "ratio",
    "nothing",
    "roles",
    "tags",
    "name",
    "token.user.id",
    "token.user.domain.id",
    "token.groups.id",
    "token.groups",
    "token.methods",
    "token.user",
    "token.empty",
    "gone",
    "gone.deeper",
    "token.gone",
    "os-thing",
    "größe",
    "Role",
    "RULE",
    "true",
    "level.deeper",
    "nothing.deeper",
    "tags.id",
];
const LITERALS: &[&str] = &[
    "'u1'",
    "\"p1\"",
    "''",
    "'it\\'s'",
    "'\\x61'",
    "True",
    "False",
    "None",
    "3",
    "0",
    "-5",
    "+3",
    "1_0",
    "0x1f",
    "0b11",
    "1.0",
    ".5",
    "1e3",
    "1e16",
    "1e-7",
    "-0.0",
    "123456789012345678901234567890",
];
/// Left sides that oslo.policy cannot evaluate, and we do not load.
const IMPOSSIBLE: &[&str] = &[
    "", "007", "1abc", "$x", "x..y", "'a", "a?b", "x.", "0x", "1_",
];
/// No checks at all, or such that look like others.
const JUNK: &[&str] = &[
    "nonsense",
    "'quoted'",
    "\"q:q\"",
    "'a':'a'",
    "'",
    "''",
    "&&",
    "role",
    "rule",
    "@@",
    "!x",
    "andand",
    "%(user_id)s",
];
const SPACES: &[&str] = &[
    " ",
    "  ",
    "\t",
    "\n",
    " \r\n ",
    "\u{a0}",
    "\u{1c}",
    "\u{2003}",
    "\u{85}\u{3000}",
];

/// The right side of a check.
fn wanted() -> BoxedStrategy<String> {
    prop_oneof![
        6 => words(TEXTS).prop_map(|text| text.replace('%', "%%").replace([' ', '\u{a0}'], "")),
        4 => words(KEYS).prop_map(|key| format!("%({key})s")),
        1 => (words(KEYS), words(KEYS)).prop_map(|(a, b)| format!("%({a})s-%%%({b})s")),
        1 => words(&["False", "3", "0.5", "1e+16", "['a',", "admin", "Member", "10", "31", "1.0", "-5"]),
    ]
    .boxed()
}

fn case_of(text: &str, upper: u32) -> String {
    let flip = |(position, c): (usize, char)| {
        if upper >> (position % 32) & 1 == 1 {
            c.to_uppercase().collect()
        } else {
            c.to_string()
        }
    };
    text.chars().enumerate().map(flip).collect()
}

/// One check. `deeper` is the number of the first rule that may be referred to.
fn check(deeper: usize) -> BoxedStrategy<String> {
    let reference = (deeper..deeper + 3).prop_map(|number| format!("rule:r{number}"));
    prop_oneof![
        3 => words(&["@", "!"]),
        5 => (words(ROLES), any::<u32>()).prop_map(|(role, upper)| format!("role:{}", case_of(&role, upper))),
        1 => words(KEYS).prop_map(|key| format!("role:%({key})s")),
        8 => (words(PATHS), wanted()).prop_map(|(path, wanted)| format!("{path}:{wanted}")),
        3 => (words(LITERALS), wanted()).prop_map(|(literal, wanted)| format!("{literal}:{wanted}")),
        3 => reference,
        1 => words(JUNK),
    ]
    .boxed()
}

fn rare_check(deeper: usize) -> BoxedStrategy<String> {
    prop_oneof![
        120 => check(deeper),
        1 => (words(IMPOSSIBLE), wanted()).prop_map(|(left, wanted)| format!("{left}:{wanted}")),
    ]
    .boxed()
}

/// An expression that is well formed, apart from what white space and stray quotes in it do.
fn expression(deeper: usize) -> BoxedStrategy<String> {
    let space = || words(SPACES);
    let operator = |word: &'static str| any::<u32>().prop_map(move |upper| case_of(word, upper));
    rare_check(deeper)
        .prop_recursive(5, 24, 3, move |inner| {
            prop_oneof![
                (
                    inner.clone(),
                    space(),
                    operator("and"),
                    space(),
                    inner.clone()
                )
                    .prop_map(|(a, s, and, t, b)| format!("{a}{s}{and}{t}{b}")),
                (
                    inner.clone(),
                    space(),
                    operator("or"),
                    space(),
                    inner.clone()
                )
                    .prop_map(|(a, s, or, t, b)| format!("{a}{s}{or}{t}{b}")),
                (operator("not"), space(), inner.clone())
                    .prop_map(|(not, s, a)| format!("{not}{s}{a}")),
                inner.clone().prop_map(|a| format!("({a})")),
                (space(), inner.clone(), space()).prop_map(|(s, a, t)| format!("({s}{a}{t})")),
                inner,
            ]
        })
        .boxed()
}

/// Tokens in any order.
fn soup(deeper: usize) -> BoxedStrategy<String> {
    let token = prop_oneof![
        4 => check(deeper),
        5 => words(&["and", "or", "not", "AND", "oR", "(", ")", "((", "))", "()", "(not", "or)"]),
        1 => check(deeper).prop_map(|check| format!("({check}")),
        1 => check(deeper).prop_map(|check| format!("{check})")),
    ];
    proptest::collection::vec((token, words(SPACES)), 0..7)
        .prop_map(|tokens| {
            tokens
                .into_iter()
                .fold(String::new(), |text, (token, space)| text + &token + &space)
        })
        .boxed()
}

fn rule(deeper: usize) -> BoxedStrategy<Value> {
    let item = prop_oneof![
        8 => rare_check(deeper),
        1 => words(&["", "role:admin and role:member", " True:True", "a b", "(@)", "not @", "'x y':x"]),
    ];
    let alternative = prop_oneof![
        1 => item.clone().prop_map(Value::from),
        2 => proptest::collection::vec(item, 0..4).prop_map(Value::from),
    ];
    prop_oneof![
        12 => expression(deeper).prop_map(Value::from),
        4 => soup(deeper).prop_map(Value::from),
        4 => proptest::collection::vec(alternative, 0..4).prop_map(Value::from),
        1 => words(&["", " ", "@", "!"]).prop_map(Value::from),
    ]
    .boxed()
}

fn scalar() -> BoxedStrategy<Value> {
    prop_oneof![
        words(TEXTS).prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        Just(Value::Null),
        (-20_i64..20).prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_filter_map("finite", |float| float
            .is_finite()
            .then(|| Value::from(float))),
        select(vec![0.5, 1.0, 3.0, 1e16, 1e-7, -0.0, 1e15, 1e22, 0.0001]).prop_map(Value::from),
    ]
    .boxed()
}

fn thing() -> BoxedStrategy<Value> {
    let key = || words(&["id", "a", "it's"]);
    prop_oneof![
        4 => scalar(),
        1 => proptest::collection::vec(scalar(), 0..3).prop_map(Value::from),
        1 => (key(), scalar()).prop_map(|(key, value)| json!({key: value})),
        1 => proptest::collection::vec(scalar(), 0..2).prop_map(|list| json!([list, {"id": list}])),
    ]
    .boxed()
}

fn target() -> BoxedStrategy<Map<String, Value>> {
    let entry = |key: &'static str| {
        prop_oneof![
            5 => words(TEXTS).prop_map(Value::from),
            3 => thing(),
        ]
        .prop_map(move |value| (key.to_owned(), value))
    };
    (
        entry("project_id"),
        entry("user_id"),
        entry("target.role"),
        entry("flag"),
        entry("count"),
        entry("list"),
        entry("x(y)"),
        any::<u8>(),
    )
        .prop_map(|(a, b, c, d, e, f, g, drop)| {
            let entries = [a, b, c, d, e, f, g].into_iter().enumerate();
            entries
                .filter(|(position, _)| drop >> position & 3 != 3)
                .map(|(_, entry)| entry)
                .collect()
        })
        .boxed()
}

fn credentials() -> BoxedStrategy<Map<String, Value>> {
    let id = || prop_oneof![3 => words(&["u1", "u2", "p1", "p2"]).prop_map(Value::from), 1 => Just(Value::Null)];
    let roles = proptest::collection::vec(words(ROLES), 0..4);
    (id(), id(), roles, any::<bool>(), thing(), thing(), thing(), proptest::collection::vec(thing(), 0..4), id())
        .prop_map(|(user, project, roles, is_admin, level, ratio, name, tags, group)| {
            let values = json!({
                "user_id": user, "project_id": project, "roles": roles, "is_admin": is_admin, "level": level,
                "ratio": ratio, "name": name, "nothing": null, "tags": tags, "os-thing": group, "größe": 3,
                "system_scope": if is_admin { json!(null) } else { json!("all") },
                "token": {
                    "user": {"id": user, "domain": {"id": group}}, "methods": ["password", ["totp"]], "empty": [],
                    "groups": [{"id": group}, {"id": "p2"}, {"name": "no id"}],
                },
            });
            values.as_object().unwrap().clone()
        })
        .boxed()
}

fn case() -> impl Strategy<Value = Case> {
    // Rule r<n> refers to later rules only, so that most sets are free of circles; the last references lead nowhere.
    let each: Vec<BoxedStrategy<Value>> = (1..5).map(rule).collect();
    let rules = (each, 1_usize..5).prop_map(|(mut rules, count)| {
        rules.truncate(count);
        rules
    });
    let default = proptest::option::weighted(0.9, words(&["!", "@", "role:member"]));
    let circle = proptest::bool::weighted(0.01);
    (rules, default, circle, target(), credentials()).prop_map(
        |(rules, default, circle, target, credentials)| {
            let mut named: Map<String, Value> = rules
                .into_iter()
                .enumerate()
                .map(|(number, rule)| (format!("r{number}"), rule))
                .collect();
            named.extend(default.map(|rule| ("default".to_owned(), Value::from(rule))));
            if circle {
                named.insert("c1".to_owned(), json!("@ and rule:c2"));
                named.insert("c2".to_owned(), json!("not rule:c1"));
            }
            Case {
                rules: named,
                target,
                credentials,
            }
        },
    )
}

/// The number in an environment variable.
fn number(variable: &str, usual: u64) -> u64 {
    std::env::var(variable).map_or(usual, |number| number.parse().expect(variable))
}

fn generate() -> Vec<Case> {
    let seed = number("FREEZER_TEST_SEED", 19);
    let mut bytes = [0_u8; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let strategy = case();
    (0..number("FREEZER_TEST_CASES", CASES))
        .map(|_| strategy.new_tree(&mut runner).unwrap().current())
        .collect()
}

#[derive(Debug, Default)]
struct Tally {
    allowed: usize,
    denied: usize,
    raised: usize,
    refused: usize,
}

#[test]
#[ignore = "needs Python with the reference: ./test installs it"]
fn answers_equal_those_of_oslo_policy() {
    let python = python();
    let cases = generate();
    let questions: Vec<Value> = cases.iter().map(Case::question).collect();
    let answers = ask(&python, &questions);
    let mut tally = Tally::default();
    let mut impossible = Vec::new();
    let mut wrong = String::new();
    for (case, oracle) in cases.iter().zip(&answers) {
        let ours = case.answer();
        let is_right = match (&ours, oracle["result"].as_bool(), oracle["error"].as_str()) {
            (Ok(ours), Some(theirs), _) => {
                *(if theirs {
                    &mut tally.allowed
                } else {
                    &mut tally.denied
                }) += 1;
                *ours == theirs
            }
            // A path through a text or number, on which oslo.policy raises.
            (Ok(_), None, Some("TypeError")) => {
                tally.raised += 1;
                true
            }
            (Err(error), ..) => {
                tally.refused += 1;
                match error {
                    PolicyError::UnknownRule { unknown, .. } => {
                        !case.rules.contains_key(unknown) && !case.rules.contains_key("default")
                    }
                    PolicyError::Cycle { cycle, .. } => {
                        case.rules.contains_key("c1") && cycle == &["c1", "c2", "c1"]
                    }
                    PolicyError::Check { reason, .. } => {
                        impossible.push(refused_check(reason));
                        true
                    }
                    _ => false,
                }
            }
            _ => false,
        };
        if !is_right && wrong.len() < 10_000 {
            writeln!(
                wrong,
                "{}\n  ours {ours:?}\n  oslo.policy {oracle}",
                case.question()
            )
            .unwrap();
        }
    }
    assert!(wrong.is_empty(), "answers differ:\n{wrong}");
    eprintln!("{} cases: {tally:?}", cases.len());
    assert!(
        tally.allowed > cases.len() / 5 && tally.denied > cases.len() / 5,
        "{tally:?}"
    );
    assert!(
        tally.raised > 0 && tally.raised + tally.refused < cases.len() / 5,
        "{tally:?}"
    );

    assert!(!impossible.is_empty());
    let questions: Vec<Value> = impossible.iter().map(|check| json!({
        "rules": {"r": [[check]]}, "rule": "r", "creds": {},
        "target": KEYS.iter().map(|key| (*key, "x")).collect::<std::collections::BTreeMap<_, _>>(),
    })).collect();
    for (check, answer) in impossible.iter().zip(ask(&python, &questions)) {
        assert!(
            answer["error"].is_string(),
            "{check:?} is refused, but oslo.policy answers {answer}"
        );
    }
}

/// The check that an error speaks of: it begins with `check "…": `.
fn refused_check(reason: &str) -> String {
    let quoted = reason.strip_prefix("check ").unwrap();
    let text = serde_json::Deserializer::from_str(quoted)
        .into_iter::<String>()
        .next()
        .unwrap();
    text.unwrap_or_else(|error| panic!("{reason}: {error}"))
}
