//! What a token that is in the cache adds to a request. Needs a real Keystone, named by `FREEZER_TEST_KEYSTONE_URL`, with
//! the accounts of the integration tests: the token that is measured is a real one.

use freezer_api::clock::Clock;
use freezer_api::config::{AuthPlugin, AuthType, Config};
use freezer_api::keystone::Keystone;
use serde_json::json;
use tokio::runtime::Runtime;

fn main() {
    if std::env::var_os("FREEZER_TEST_KEYSTONE_URL").is_none() {
        eprintln!(
            "skipped: FREEZER_TEST_KEYSTONE_URL names no Keystone, such as http://127.0.0.1:5000/v3"
        );
        return;
    }
    divan::main();
}

struct Setup {
    runtime: Runtime,
    keystone: Keystone,
    token: String,
}

impl Setup {
    fn new() -> anyhow::Result<Self> {
        let url = std::env::var("FREEZER_TEST_KEYSTONE_URL")?;
        let mut config = Config {
            service_auth: AuthPlugin {
                auth_type: Some(AuthType::Password),
                auth_url: Some(url.clone()),
                username: Some("freezer".to_owned()),
                password: Some("freezer".into()),
                project_name: Some("service".to_owned()),
                default_domain_id: Some("default".to_owned()),
                ..AuthPlugin::default()
            },
            ..Config::default()
        };
        config.keystone_authtoken.token_cache_time = 3600;
        let keystone = Keystone::new(&config, Clock::System)?;
        let runtime = Runtime::new()?;
        let token = runtime.block_on(demo(&url))?;
        runtime.block_on(keystone.authenticate(Some(&token), None, "GET", "/"))?;
        Ok(Self {
            runtime,
            keystone,
            token,
        })
    }

    fn authenticate(&self, token: &str) -> bool {
        let request = self
            .keystone
            .authenticate(Some(token), None, "GET", "/v2/p/jobs");
        self.runtime.block_on(request).is_ok()
    }
}

async fn demo(url: &str) -> anyhow::Result<String> {
    let user = json!({"name": "demo", "domain": {"id": "default"}, "password": "demo"});
    let scope = json!({"project": {"name": "demo", "domain": {"id": "default"}}});
    let identity = json!({"methods": ["password"], "password": {"user": user}});
    let answer = reqwest::Client::new()
        .post(format!("{url}/auth/tokens"))
        .json(&json!({"auth": {"identity": identity, "scope": scope}}))
        .send()
        .await?;
    let token = answer.headers().get("x-subject-token");
    let token = token.ok_or_else(|| anyhow::anyhow!("no token for demo"))?;
    Ok(token.to_str()?.to_owned())
}

/// A good token: hash, look-up, and a new context for the request.
#[divan::bench(threads = [1, 2, 8])]
fn good(bencher: divan::Bencher) {
    let setup = Setup::new().unwrap_or_else(|error| fail(&error));
    bencher.bench(|| assert!(setup.authenticate(&setup.token)));
}

/// A token that Keystone refused a moment ago.
#[divan::bench]
fn refused(bencher: divan::Bencher) {
    let setup = Setup::new().unwrap_or_else(|error| fail(&error));
    let started = std::time::Instant::now();
    setup.authenticate("garbage");
    bencher.bench(|| {
        assert!(!setup.authenticate("garbage"));
        assert!(
            started.elapsed().as_secs() < 10,
            "the refusal was forgotten meanwhile"
        );
    });
}

fn fail(error: &anyhow::Error) -> ! {
    eprintln!("no measurement: {error:#}");
    std::process::exit(1)
}
