//! Scopes, files that change, and the sample.

use std::fs;
use std::path::PathBuf;

use serde_json::{Map, Value, json};

use super::*;

const fn rule(
    name: &'static str,
    check: &'static str,
    scope_types: &'static [ScopeType],
) -> RuleDefault {
    RuleDefault {
        name,
        check,
        description: "",
        scope_types,
        operations: &[],
    }
}

#[test]
fn a_token_of_another_scope_is_refused_unless_that_is_switched_off() {
    const DEFAULTS: &[RuleDefault] = &[
        rule("p", "role:admin", &[ScopeType::Project]),
        rule("d", "@", &[ScopeType::Domain, ScopeType::System]),
    ];
    let token = |scope: Value| {
        let mut values = object(json!({"user_id": "u1", "roles": ["admin"]}));
        values.extend(object(scope));
        Credentials::from_values(values)
    };
    let strict = Enforcer::new(DEFAULTS, options()).unwrap();
    let lax = Enforcer::new(
        DEFAULTS,
        Options {
            enforce_scope: false,
            ..options()
        },
    )
    .unwrap();
    for (scope, p, d) in [
        (
            json!({"project_id": "p1"}),
            Decision::Allowed,
            Decision::WrongScope,
        ),
        (json!({}), Decision::Allowed, Decision::WrongScope),
        (
            json!({"domain_id": "d1"}),
            Decision::WrongScope,
            Decision::Allowed,
        ),
        (
            json!({"system_scope": "all"}),
            Decision::WrongScope,
            Decision::Allowed,
        ),
    ] {
        let credentials = token(scope.clone());
        assert_eq!(
            strict.authorize("p", &Map::new(), &credentials),
            p,
            "{scope}"
        );
        assert_eq!(
            strict.authorize("d", &Map::new(), &credentials),
            d,
            "{scope}"
        );
        assert_eq!(
            strict.explain("p", &Map::new(), &credentials).decision,
            p,
            "{scope}"
        );
        assert_eq!(
            lax.authorize("p", &Map::new(), &credentials),
            Decision::Allowed,
            "{scope}"
        );
        assert_eq!(
            lax.explain("p", &Map::new(), &credentials).scope.is_some(),
            p == Decision::WrongScope,
            "{scope}"
        );
    }
}

struct Site {
    _directory: tempfile::TempDir,
    file: PathBuf,
    dir: PathBuf,
}

impl Site {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (file, dir) = (
            directory.path().join("policy.yaml"),
            directory.path().join("policy.d"),
        );
        Self {
            _directory: directory,
            file,
            dir,
        }
    }

    fn enforcer(&self) -> Result<Enforcer, PolicyError> {
        const DEFAULTS: &[RuleDefault] =
            &[rule("a", "role:admin", &[]), rule("b", "role:admin", &[])];
        Enforcer::new(
            DEFAULTS,
            Options {
                policy_file: Some(self.file.clone()),
                policy_dirs: vec![self.dir.clone()],
                ..options()
            },
        )
    }
}

/// Which of the rules a and b a member passes, after a look at the files.
fn answers(enforcer: &Enforcer) -> (bool, bool) {
    enforcer.reload_if_changed();
    let answer = |rule| enforcer.authorize(rule, &target(), &member()).is_allowed();
    (answer("a"), answer("b"))
}

#[test]
fn files_override_defaults_in_order_and_are_reread_when_they_change() {
    let site = Site::new();
    let enforcer = site.enforcer().unwrap();
    assert_eq!(answers(&enforcer), (false, false));
    fs::write(&site.file, "a: role:member").unwrap();
    assert_eq!(answers(&enforcer), (true, false));
    fs::create_dir(&site.dir).unwrap();
    fs::write(site.dir.join("20.yaml"), "{\"b\": \"\"}").unwrap();
    assert_eq!(answers(&enforcer), (true, true));
    fs::write(site.dir.join("30.yaml"), "a: '!'").unwrap();
    fs::write(site.dir.join(".hidden"), "b: '!'").unwrap();
    fs::create_dir(site.dir.join("90")).unwrap();
    assert_eq!(answers(&enforcer), (false, true));
    fs::write(site.dir.join("10.yaml"), "b: '!'").unwrap();
    assert_eq!(answers(&enforcer), (false, true), "a later file wins");
    fs::remove_file(site.dir.join("30.yaml")).unwrap();
    assert_eq!(answers(&enforcer), (true, true));
    let origins: Vec<String> = enforcer
        .rules()
        .iter()
        .map(|rule| rule.origin.to_string())
        .collect();
    assert_eq!(
        origins,
        [
            format!("{}, line 1", site.file.display()),
            format!("{}, line 1", site.dir.join("20.yaml").display())
        ]
    );
}

#[test]
fn a_broken_or_removed_file_keeps_the_last_good_rules() {
    let site = Site::new();
    fs::write(&site.file, "a: role:member").unwrap();
    let enforcer = site.enforcer().unwrap();
    for broken in [
        "a: [",
        "a: null",
        "a: rule:b\nb: rule:a",
        "a: http://x",
        "a: rule:gone",
        "\u{0}",
    ] {
        fs::write(&site.file, broken).unwrap();
        assert_eq!(answers(&enforcer), (true, false), "{broken}");
        assert!(site.enforcer().is_err(), "{broken} at start");
    }
    fs::write(&site.file, [0xff, 0xfe, 0xfd]).unwrap();
    assert_eq!(answers(&enforcer), (true, false));
    fs::remove_file(&site.file).unwrap();
    assert_eq!(answers(&enforcer), (true, false));
    fs::create_dir(&site.dir).unwrap();
    fs::write(site.dir.join("b.yaml"), "b: ''").unwrap();
    assert_eq!(
        answers(&enforcer),
        (true, false),
        "still without the policy file"
    );
    fs::write(&site.file, "a: '!'").unwrap();
    assert_eq!(answers(&enforcer), (false, true), "it is back");
}

#[test]
fn an_exclamation_mark_without_quotes_is_refused() {
    for (text, tag) in [
        ("a: !", "!"),
        ("a: role:x\n'b': !  # nobody", "!"),
        ("a: ! role:admin", "!"),
        ("a: !role:admin", "!role:admin"),
        ("a: [!]", "!"),
        ("a:\n- [role:x, ! ]", "!"),
        ("a: ! [role:x]", "!"),
        ("{\"a\": !}", "!"),
    ] {
        let error = Enforcer::from_text(text, options())
            .unwrap_err()
            .to_string();
        let line = text.lines().count().min(2);
        let expected = format!("line {line}: YAML reads {tag} as a tag, not as text");
        assert!(error.contains(&expected), "{text}: {error}");
    }
    for text in [
        "a: '!'",
        "a: \"!\"",
        "a: ['!']",
        "a: not role:x",
        "a: !!str '!'",
    ] {
        let enforcer = Enforcer::from_text(text, options()).unwrap();
        let passes = enforcer.authorize("a", &target(), &member()).is_allowed();
        assert_eq!(passes, text.contains("not"), "{text}");
    }
}

#[test]
fn a_change_is_noticed_by_requests_alone() {
    let site = Site::new();
    let enforcer = site.enforcer().unwrap();
    fs::write(&site.file, "a: role:member").unwrap();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(5);
    while !enforcer.authorize("a", &target(), &member()).is_allowed() {
        assert!(
            std::time::Instant::now() < deadline,
            "the change was not noticed"
        );
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

#[test]
fn the_sample_is_a_policy_file_without_rules_that_shows_all() {
    const DEFAULTS: &[RuleDefault] = &[RuleDefault {
        name: "things:create",
        check: "role:member",
        description: "Make a thing.",
        scope_types: &[ScopeType::Project, ScopeType::System],
        operations: &[Operation {
            method: "POST",
            path: "/things",
        }],
    }];
    let text = sample(DEFAULTS);
    insta::assert_snapshot!(text, @r##"
    # Make a thing.
    # POST  /things
    # Intended scope(s): project, system
    #"things:create": "role:member"
    "##);
    assert!(
        Enforcer::from_text(&text, options())
            .unwrap()
            .rules()
            .is_empty()
    );
    let uncommented = text.replace("#\"", "\"");
    assert_eq!(
        Enforcer::from_text(&uncommented, options())
            .unwrap()
            .rules()
            .len(),
        1
    );
}
