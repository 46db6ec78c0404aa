//! The language: texts, lists, files, and what is refused.

use serde_json::json;

use super::*;

/// The answer for a rule given as JSON: `"text"` or a list.
fn passes(rule: &str) -> bool {
    let text = format!("{{\"r\": {rule}, \"yes\": \"@\", \"no\": \"!\", \"default\": \"!\"}}");
    let enforcer =
        Enforcer::from_text(&text, options()).unwrap_or_else(|error| panic!("{rule}: {error}"));
    let explanation = enforcer.explain("r", &target(), &member());
    let decision = enforcer.authorize("r", &target(), &member());
    assert_eq!(explanation.decision, decision, "{rule}");
    decision.is_allowed()
}

fn text_passes(rule: &str) -> bool {
    passes(&json!(rule).to_string())
}

#[test]
fn texts() {
    for rule in [
        "",
        "@",
        "role:member",
        "ROLE:x or role:MEMBER",
        "role:%(wanted)s",
        "project_id:%(project_id)s",
        "project_id:p1",
        "is_admin:False",
        "level:3",
        "'Member':%(role.name)s",
        "\"Member\":%(role.name)s",
        "True:%(enabled)s",
        "1_0:10",
        "roles:reader",
        "token.user.id:u1",
        "token.user.groups.id:g2",
        "token.methods:password",
        "token.methods:['totp']",
        "rule:yes",
        "rule:absent or rule:yes",
        "not !",
        "not not @",
        "NOT rule:no AND @",
        "( @ )",
        "((@) and (not (!)))",
        "@ or ! and !",
        "! and ! or @",
        "! or @ and @",
        "(@ and @) or ! and !",
        "! or (@ and @) and @",
        "\t@\u{a0}and\u{1c}@\n",
        "not nonsense",
        "not user_id:%(gone)s",
        "not token.user.id.deeper:u1",
        "project_id:%(project_id)s and not user_id:%(user_id)s",
    ] {
        assert!(text_passes(rule), "{rule}");
    }
}

#[test]
fn texts_that_deny() {
    for rule in [
        "!",
        "role:admin",
        "Role:member",
        "role:member:x",
        "role:%(gone)s",
        "project_id:%(user_id)s",
        "user_id:%(gone)s",
        "gone:x",
        "token.user.id.deeper:u1",
        "token.user:u1",
        "is_admin:false",
        "roles:member",
        "roles.name:reader",
        "level:3.0",
        "rule:no",
        "rule:absent",
        "not @",
        "@ and !",
        "(@ or @) and !",
        "nonsense",
        " ",
        "()",
        "(@",
        "@)",
        "@ @",
        "@ and",
        "or @",
        "not",
        "and",
        "@ not @",
        "'@'",
        "'a':'a'",
        "\"quoted text\" or @",
        "@ or 'x'",
        "@ and (@ or)",
    ] {
        assert!(!text_passes(rule), "{rule}");
    }
}

#[test]
fn what_cannot_be_evaluated_is_no_error_in_a_text_that_is_no_rule() {
    for rule in ["http://x and", "role:%x (", "rule:absent or", "?:x )"] {
        assert!(!text_passes(rule), "{rule}");
    }
}

#[test]
fn lists() {
    for (rule, expected) in [
        ("[]", true),
        ("[[]]", false),
        ("[\"\"]", false),
        ("[[\"\"]]", false),
        ("[\"@\"]", true),
        ("[\"role:admin\", \"role:member\"]", true),
        ("[[\"role:member\", \"role:reader\"]]", true),
        ("[[\"role:member\", \"role:admin\"]]", false),
        (
            "[[\"role:admin\"], [], [\"role:member\", \"rule:yes\"]]",
            true,
        ),
        ("[\"role:member and role:reader\"]", false),
        ("[\"not !\"]", false),
        ("[\" True:%(enabled)s\"]", true),
        ("[\"'READER':%(wanted)s\"]", true),
    ] {
        assert_eq!(passes(rule), expected, "{rule}");
    }
}

fn load_error(text: &str) -> String {
    let options = Options {
        default_rule: String::new(),
        ..options()
    };
    Enforcer::from_text(text, options)
        .map(|_| ())
        .unwrap_err()
        .to_string()
}

#[test]
fn what_could_only_fail_later_is_refused_with_file_and_rule() {
    for (text, expected) in [
        (
            "ok: '@'\n\"a:b\": role:x or http://host/%(x)s",
            "policy rule \"a:b\" ((text), line 2): check \"http://host/%(x)s\" asks a remote server, which is not \
             supported: write the decision as a rule",
        ),
        (
            "a: https:x",
            "policy rule \"a\" ((text), line 1): check \"https:x\" asks a remote server",
        ),
        (
            "a: 'x:%d'",
            "policy rule \"a\" ((text), line 1): check \"x:%d\": \"%d\" is not %(key)s",
        ),
        ("a: '(x:%(y)'", "check \"x:%(y\": \"%(y\" is not %(key)s"),
        (
            "a: ':x'",
            "check \":x\": the left side \"\" is neither an attribute",
        ),
        ("a: '[1]:x'", "the left side \"[1]\""),
        ("a: '007:x'", "the left side \"007\""),
        (
            "a: 'x y:z'\nb: ['x y:z']",
            "policy rule \"b\" ((text), line 2): check \"x y:z\": the left side \"x y\"",
        ),
        (
            "a: rule:b",
            "policy rule \"a\" ((text), line 1) refers to rule \"b\", which is not defined",
        ),
        (
            "a: rule:a",
            "policy rule \"a\" ((text), line 1) refers to itself: a -> a",
        ),
        (
            "a: rule:b\nb: not (@ and rule:c)\nc: [[\"@\", \"rule:b\"]]",
            "policy rule \"b\" ((text), line 2) refers to itself: b -> c -> b",
        ),
    ] {
        let error = load_error(text);
        assert!(error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn a_reference_may_fall_back_on_the_default_rule_but_not_in_a_circle() {
    let enforcer = Enforcer::from_text("default: role:member\na: rule:gone", options()).unwrap();
    assert!(enforcer.authorize("a", &target(), &member()).is_allowed());
    assert!(
        enforcer
            .authorize("unheard:of", &target(), &member())
            .is_allowed()
    );
    assert!(
        enforcer
            .explain("unheard:of", &target(), &member())
            .source
            .starts_with("not defined, the default rule")
    );
    let error = Enforcer::from_text("default: rule:gone", options())
        .map(|_| ())
        .unwrap_err();
    assert!(matches!(error, PolicyError::Cycle { cycle, .. } if cycle == ["default", "default"]));
    let enforcer = Enforcer::from_text("a: '@'", options()).unwrap();
    assert_eq!(
        enforcer.authorize("unheard:of", &target(), &member()),
        Decision::Denied
    );
}

#[test]
fn files_that_are_no_mapping_of_rules_are_refused_with_their_place() {
    for (text, expected) in [
        ("[1, 2]", "a mapping of rule names to rules"),
        ("a: {b: c}", "role:admin"),
        ("a:\n", "no value"),
        ("a: null", "no value"),
        ("x: '@'\na: true", "line 2"),
        ("a: 5", "a text such as"),
        ("a: [[5]]", "a text with one check"),
        ("a: [5]", "or a list of such texts"),
        ("a: [[[\"@\"]]]", "a text with one check"),
        ("{\"a\": \"@\",\n \"b\" \"!\"}", "line 2"),
        ("a: @", "line 1"),
        ("a: 'x", "line 1"),
        ("--- {a: '@'}\n--- {b: '@'}\n", "document"),
    ] {
        let error = load_error(text);
        assert!(error.starts_with("policy file (text): "), "{error}");
        assert!(error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn files_may_be_empty_json_or_yaml_and_the_last_of_two_counts() {
    for text in ["", "# nothing\n", "---\n", "{}"] {
        assert!(
            Enforcer::from_text(text, options())
                .unwrap()
                .rules()
                .is_empty(),
            "{text:?}"
        );
    }
    let json = "{\n\t\"a\": \"!\",\n\t\"a\": \"\",\n\t\"b:c\":\t[[\"role:\\u006dember\"]]\n}\n";
    let yaml = "a: '!'\n\"a\": \"\"\nb:c: >-\n  role:x\n  or role:member # no comment, but junk\n";
    for (text, folded) in [(json, true), (yaml, false)] {
        let enforcer = Enforcer::from_text(text, options()).unwrap();
        assert!(
            enforcer.authorize("a", &target(), &member()).is_allowed(),
            "{text}"
        );
        assert_eq!(
            enforcer.authorize("b:c", &target(), &member()).is_allowed(),
            folded,
            "{text}"
        );
    }
}

#[test]
fn no_depth_of_nesting_exhausts_the_stack() {
    let depth = 50_000;
    let mut rules = vec![
        format!("{}@{}", "(".repeat(depth), ")".repeat(depth)),
        format!("{}@", "not ".repeat(depth)),
        format!("{}@{}", "(@ and (! or ".repeat(depth), "))".repeat(depth)),
        format!("@{}", " and @".repeat(depth)),
    ];
    rules.push(format!("( {} )", rules[1]));
    for rule in &rules {
        assert!(text_passes(rule));
    }
    let mut chain = String::from("r0: '@'\n");
    for position in 1..20_000 {
        chain.push_str(&format!("r{position}: not rule:r{}\n", position - 1));
    }
    let enforcer = Enforcer::from_text(&chain, options()).unwrap();
    assert!(
        !enforcer
            .authorize("r19999", &target(), &member())
            .is_allowed()
    );
}

#[test]
fn an_explanation_shows_what_decided() {
    let text =
        "owner: role:member and project_id:%(project_id)s\nr: (role:admin or not rule:owner) and @";
    let enforcer = Enforcer::from_text(text, options()).unwrap();
    let explanation = enforcer.explain("r", &target(), &member());
    insta::assert_snapshot!(explanation, @r#"
    r: denied
      "r": "(role:admin or not rule:owner) and @" ((text), line 2)
      all of fails
        any of fails
    >     role:admin fails: role "admin", the credentials have ["member", "reader"]
          not fails
            rule:owner passes
              all of passes
    >           role:member passes: role "member", the credentials have ["member", "reader"]
    >           project_id:%(project_id)s passes: project_id is "p1", compared with "p1"
    "#);
    let allowed = Enforcer::from_text(
        "r: 'gone:%(x)s or roles:y or token.user.id:%(user_id)s or 5:5'",
        options(),
    );
    insta::assert_snapshot!(allowed.unwrap().explain("r", &target(), &member()), @r#"
    r: allowed
      "r": "gone:%(x)s or roles:y or token.user.id:%(user_id)s or 5:5" ((text), line 1)
      any of passes
        gone:%(x)s fails: the target has no "x"
        roles:y fails: roles is one of ["Member", "reader"], compared with "y"
        token.user.id:%(user_id)s fails: token.user.id is "u1", compared with "u2"
    >   5:5 passes: the literal is "5", compared with "5"
    "#);
}
