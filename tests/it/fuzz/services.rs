//! What other services answer: Keystone and memcached.

use freezer_api::keystone::{context_of_token, memcached};
use tokio::runtime;

use super::target;

#[test]
fn tokens() {
    let seeds = &[
        r#"{"token": {"user": {"id": "u", "name": "n", "domain": {"id": "default", "name": "Default"}}, "methods": ["password"],
            "issued_at": "2026-11-25T20:00:00.000000Z", "expires_at": "2026-11-25T21:00:00.000000Z", "roles": [{"id": "r", "name": "member"}],
            "project": {"id": "p", "name": "n", "domain": {"id": "default", "name": "Default"}}, "is_admin_project": true}}"#,
        r#"{"token": {"user": {"id": "u", "domain": {}}, "expires_at": "x", "system": {"all": true}, "application_credential":
            {"access_rules": [{"path": "/v2/**", "method": "GET", "service": "backup"}]}}}"#,
    ];
    let words = &[
        "{",
        "}",
        "[",
        "]",
        "null",
        "\"",
        ":",
        ",",
        "\"id\"",
        "\"roles\"",
        "\"project\"",
        "\"system\"",
        "9999-12-31T23:59:59Z",
        "-0001",
        "\\u0000",
        "true",
        "1e5",
        "\"domain\"",
    ];
    target("tokens", seeds, words, |answer| {
        if let Ok(context) = context_of_token(answer) {
            assert!(
                !context.user_id.is_empty(),
                "{}",
                String::from_utf8_lossy(answer)
            );
        }
    });
}

#[test]
fn memcached_answers() {
    let seeds = &[
        "VALUE key 0 5\r\nhello\r\nEND\r\n",
        "END\r\n",
        "VALUE k 1 0\r\n\r\nEND\r\n",
        "SERVER_ERROR out of memory\r\n",
    ];
    let words = &[
        "VALUE ",
        "END\r\n",
        "\r\n",
        "\n",
        " ",
        "0",
        "-1",
        "1048576",
        "1048577",
        "18446744073709551616",
        "\0",
        "key",
        "ERROR\r\n",
    ];
    let runtime = runtime::Builder::new_current_thread().build().unwrap();
    target("memcached's answers", seeds, words, |answer| {
        let mut rest = answer;
        if let Ok(Some(value)) = runtime.block_on(memcached::read_value(&mut rest)) {
            // It stands in the answer, between two lines.
            assert!(
                answer
                    .windows(value.len() + 4)
                    .any(|part| part.starts_with(b"\r\n") || part.starts_with(b"\n")),
                "{answer:?}"
            );
            assert!(value.len() <= answer.len());
        }
    });
}
