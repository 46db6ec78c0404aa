//! What must not be in the log.

use std::io::Write;
use std::sync::{Arc, Mutex};

use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::SubscriberInitExt;

use super::lab::{For, Lab, trusts};
use super::proxy::{Proxy, answer};

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Lines {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// Everything that any part of the program says, at the finest level, while all that involves a secret happens.
#[tokio::test]
#[ignore = "needs Keystone: ./test starts it"]
async fn no_secret_is_in_any_line() {
    let lab = Lab::find();
    let lines = Lines::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(lines.clone())
        .finish();
    // With one subscriber in the process, tracing asks the thread that first comes by a line whether it listens, and
    // remembers its no for all threads. With a second one, it asks the subscribers.
    let _second = tracing::Dispatch::new(tracing_subscriber::registry());
    let guard = subscriber.set_default();
    let proxy = Proxy::start(&lab.url).await;
    let user = lab.user().await;
    let project = lab.id("projects", "demo").await;
    lab.grant(&user, "member", &format!("projects/{project}"))
        .await;
    let password = "pass-of-the-service";
    let (keystone, trusts) = trusts(&proxy.url(), |_| ());
    let token = lab.token(&user.name, For::Project("demo")).await.0;
    // What the test itself sends through its own client is not of interest.
    lines.0.lock().unwrap().clear();

    let context = keystone
        .authenticate(Some(&token), Some(&token), "GET", "/")
        .await;
    assert!(context.is_err(), "it is no service's token");
    let context = keystone
        .authenticate(Some(&token), None, "GET", "/")
        .await
        .unwrap();
    tracing::info!(?context, "seen by a handler");
    let garbage = "a-token-that-is-garbage";
    keystone
        .authenticate(Some(garbage), None, "GET", "/")
        .await
        .unwrap_err();
    let trust = trusts.create_or_reuse(&context, &project).await.unwrap();
    tracing::info!(?trust, "seen by a handler");
    trusts
        .create_or_reuse(&context, &lab.id("projects", "other").await)
        .await
        .unwrap_err();
    trusts.delete(&context, &trust.id, &project).await.unwrap();
    proxy.interfere(|_| Some(answer(401, &[], "")));
    keystone
        .authenticate(Some("another-token"), None, "GET", "/")
        .await
        .unwrap_err();
    proxy.interfere(|_| Some(answer(200, &[], "another-token")));
    keystone
        .authenticate(Some("another-token"), None, "GET", "/")
        .await
        .unwrap_err();
    let wrong = super::lab::keystone(&lab.url, |config| {
        config.service_auth.password = Some(password.into())
    });
    wrong
        .authenticate(Some(garbage), None, "GET", "/")
        .await
        .unwrap_err();
    proxy.stop().await;
    keystone
        .authenticate(Some("another-token"), None, "GET", "/")
        .await
        .unwrap_err();
    trusts
        .delete(&context, &trust.id, &project)
        .await
        .unwrap_err();
    drop(guard);

    let said = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    for expected in [
        "seen by a handler",
        "a token cannot be validated",
        "refused the service's own credentials",
        "no answer",
    ] {
        assert!(said.contains(expected), "nothing of {expected:?} was said");
    }
    let tokens = proxy.tokens();
    assert!(tokens.len() >= 4, "{tokens:?}");
    for secret in tokens
        .iter()
        .map(String::as_str)
        .chain([password, &trust.id])
    {
        let line = said.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{secret}");
    }
    lab.drop_user(&user).await;
}
