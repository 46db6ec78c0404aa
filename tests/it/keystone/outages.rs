//! Keystone away, slow, or not itself.

use std::time::{Duration, Instant};

use freezer_api::config::Interface;
use freezer_api::keystone::{AuthError, Keystone};

use super::lab::{Lab, keystone};
use super::proxy::{Proxy, answer};

async fn ask(keystone: &Keystone, token: &str) -> Result<(), AuthError> {
    keystone
        .authenticate(Some(token), None, "GET", "/v2/p/jobs")
        .await
        .map(drop)
}

/// Status, headers and body of an answer, and the seconds that callers are told to wait.
type Other = (
    u16,
    &'static [(&'static str, &'static str)],
    &'static str,
    u64,
);

fn unavailable(outcome: Result<(), AuthError>) -> Duration {
    match outcome {
        Err(AuthError::Unavailable { retry_after }) => retry_after,
        other => panic!("not unavailable: {other:?}"),
    }
}

/// Waits for 200 requests that each make three attempts within 0.7 s: one after the other they would take 140 s.
async fn side_by_side(requests: impl Future<Output = ()>) {
    let in_time = tokio::time::timeout(Duration::from_secs(60), requests).await;
    in_time.expect("they waited for each other");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Keystone: ./test starts it"]
async fn cached_tokens_outlive_keystone_and_new_ones_wait_for_its_return() {
    let lab = Lab::find();
    let proxy = Proxy::start(&lab.url).await;
    let keystone = keystone(&proxy.url(), |_| ());
    let (old, new) = (lab.demo().await, lab.demo().await);
    ask(&keystone, &old).await.unwrap();
    proxy.stop().await;

    ask(&keystone, &old).await.unwrap();

    let waiting = (0..200).map(|_| {
        let (keystone, new) = (keystone.clone(), new.clone());
        tokio::spawn(async move { ask(&keystone, &new).await })
    });
    side_by_side(async {
        for request in waiting.collect::<Vec<_>>() {
            assert!(unavailable(request.await.unwrap()) > Duration::ZERO);
        }
    })
    .await;

    // One is in the middle of its attempts when Keystone comes back, one comes afterwards.
    let early = tokio::spawn({
        let (keystone, new) = (keystone.clone(), new.clone());
        async move { ask(&keystone, &new).await }
    });
    tokio::time::sleep(Duration::from_millis(150)).await;
    proxy.resume().await;
    ask(&keystone, &new).await.unwrap();
    early.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Keystone: ./test starts it"]
async fn many_tokens_do_not_queue_for_a_dead_keystone() {
    let lab = Lab::find();
    let proxy = Proxy::start(&lab.url).await;
    proxy.stop().await;
    // Not even our own token is there.
    let keystone = keystone(&proxy.url(), |_| ());
    let requests = (0..200).map(|number| {
        let keystone = keystone.clone();
        tokio::spawn(async move { ask(&keystone, &format!("token-{number}")).await })
    });
    side_by_side(async {
        for request in requests.collect::<Vec<_>>() {
            unavailable(request.await.unwrap());
        }
    })
    .await;
}

#[tokio::test]
#[ignore = "needs Keystone: ./test starts it"]
async fn a_silent_keystone_costs_the_configured_time() {
    const CONFIGURED: Duration = Duration::from_secs(1);
    let lab = Lab::find();
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v3", silent.local_addr().unwrap());
    let keystone = keystone(&url, |config| {
        config.keystone_authtoken.http_connect_timeout = Some(CONFIGURED);
    });
    let token = lab.demo().await;
    let started = Instant::now();
    unavailable(ask(&keystone, &token).await);
    let elapsed = started.elapsed();
    // Without the option it would be ten seconds.
    assert!(
        elapsed >= CONFIGURED && elapsed < 8 * CONFIGURED,
        "{elapsed:?}"
    );
}

#[tokio::test]
#[ignore = "needs Keystone: ./test starts it"]
async fn answers_that_are_not_keystones_are_outages() {
    let lab = Lab::find();
    let proxy = Proxy::start(&lab.url).await;
    let keystone = keystone(&proxy.url(), |_| ());
    let token = lab.demo().await;
    let other: [Other; 7] = [
        (503, &[("retry-after", "7")], "maintenance", 7),
        (429, &[("retry-after", "86400")], "", 60),
        (500, &[("retry-after", "tomorrow")], "", 1),
        (403, &[], "", 1),
        (200, &[], "<html>welcome to the hotel's network</html>", 1),
        (200, &[], r#"{"token": {}}"#, 1),
        (
            302,
            &[("location", "http://192.0.2.1/v3/auth/tokens")],
            "",
            1,
        ),
    ];
    for (status, headers, body, seconds) in other {
        proxy.interfere(move |request| {
            (request.method() == "GET").then(|| answer(status, headers, body))
        });
        assert_eq!(
            unavailable(ask(&keystone, &token).await),
            Duration::from_secs(seconds),
            "{status} {body}"
        );
    }
    proxy.interfere(|_| Some(answer(401, &[], "")));
    unavailable(ask(&keystone, &token).await);
    proxy.interfere_no_more();
    ask(&keystone, &token)
        .await
        .expect("nothing of this is remembered");
}

#[tokio::test]
#[ignore = "needs Keystone: ./test starts it"]
async fn wrong_options_are_outages_and_not_the_callers_fault() {
    let lab = Lab::find();
    let token = lab.demo().await;
    let wrong: [fn(&mut freezer_api::config::Config); 4] = [
        |config| config.service_auth.password = Some("wrong".into()),
        |config| config.service_auth.project_name = Some("no-such-project".to_owned()),
        |config| config.keystone_authtoken.region_name = Some("RegionTwo".to_owned()),
        // A user that may not validate tokens.
        |config| {
            config.service_auth.username = Some("other".to_owned());
            config.service_auth.password = Some("other".into());
            config.service_auth.project_name = Some("other".to_owned());
            config.keystone_authtoken.interface = Interface::Public;
        },
    ];
    for change in wrong {
        unavailable(ask(&keystone(&lab.url, change), &token).await);
    }
}

#[tokio::test]
#[ignore = "needs Keystone: ./test starts it"]
async fn a_delayed_decision_makes_an_outage_a_refusal() {
    let lab = Lab::find();
    let proxy = Proxy::start(&lab.url).await;
    proxy.stop().await;
    let keystone = keystone(&proxy.url(), |config| {
        config.keystone_authtoken.delay_auth_decision = true
    });
    assert_eq!(
        ask(&keystone, "t").await,
        Err(AuthError::Unauthorized("Keystone is unavailable"))
    );
}
