//! What one caller asks for at once does not keep others from being served: each has its share of the connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use freezer_api::api;
use freezer_api::config::Config;
use freezer_api::store::{Caller, Store, StoreError, Tx};
use futures_util::future::join_all;
use serde_json::json;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tower::ServiceExt;

use crate::large_lists::fill;
use crate::server::PATIENCE;
use crate::support::api::request;
use crate::support::locks::Holder;
use crate::support::{Database, Engine, PROJECT, Service};

/// Connections, of which one caller has half at most.
const CONNECTIONS: usize = 4;
const HALF: usize = CONNECTIONS / 2;

async fn start(database: &Database, per_caller: u32) -> Service {
    let few = |config: &mut Config| {
        config.database.max_pool_size = CONNECTIONS as u32;
        config.database.max_overflow = 0;
        config.database.connections_per_caller = per_caller;
    };
    Service::with(database, few).await
}

fn in_use(service: &Service) -> usize {
    service.api.catalogue.store.usage().0
}

/// Requests that keep their connections until they are let go.
struct Held {
    working: JoinSet<()>,
    begun: mpsc::UnboundedReceiver<()>,
    end: Arc<Semaphore>,
    /// How many work now, and how many at most did.
    now: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

impl Held {
    /// A request of each caller.
    fn of(store: &Store, callers: impl IntoIterator<Item = Caller>) -> Held {
        let (begin, begun) = mpsc::unbounded_channel();
        let mut held = Held {
            working: JoinSet::new(),
            begun,
            end: Arc::new(Semaphore::new(0)),
            now: Arc::default(),
            most: Arc::default(),
        };
        for caller in callers {
            let (store, begin) = (store.clone(), begin.clone());
            let (end, now, most) = (held.end.clone(), held.now.clone(), held.most.clone());
            let work = async move |_: &mut Tx| {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                begin.send(()).unwrap();
                end.acquire().await.unwrap().forget();
                now.fetch_sub(1, Ordering::SeqCst);
                Ok::<_, StoreError>(())
            };
            let work = async move { store.read("holding a connection", work).await.unwrap() };
            held.working.spawn(caller.served(work));
        }
        held
    }

    /// Waits until so many more have their connections.
    async fn begun(&mut self, number: usize) {
        for _ in 0..number {
            timeout(PATIENCE, self.begun.recv()).await.unwrap().unwrap();
        }
    }

    /// Lets all go, also those that still wait; how many had a connection at once.
    async fn end(self) -> usize {
        self.end.add_permits(self.working.len());
        timeout(PATIENCE, self.working.join_all()).await.unwrap();
        self.most.load(Ordering::SeqCst)
    }
}

on_each_engine! {
    async fn others_are_served_while_many_requests_of_one_are_held(database: Database) {
        let service = start(&database, 1).await;
        let store = &service.api.catalogue.store;
        // One that is alone has half.
        let many = |_| Caller::new("many", "p1");
        let mut held = Held::of(store, (0..20).map(many));
        held.begun(HALF).await;
        for _ in 0..3 {
            service.post("/v2/p2/sessions", json!({"schedule": {}})).await.expect(201);
            service.get("/v2/p2/jobs").await.expect(200);
        }
        assert_eq!(in_use(&service), HALF);
        assert_eq!(held.end().await, HALF);
        // Beside another one it has what the option says, however many projects or users it has.
        let mut other = Held::of(store, [Caller::new("other", "p2")]);
        other.begun(1).await;
        let projects: Vec<String> = (0..20).map(|number| format!("of-many-{number}")).collect();
        for callers in [
            projects.iter().map(|project| Caller::new("many", project)).collect::<Vec<_>>(),
            projects.iter().map(|user| Caller::new(user, "crowded")).collect(),
        ] {
            let mut held = Held::of(store, callers);
            held.begun(1).await;
            service.get("/v2/p3/jobs").await.expect(200);
            assert_eq!(in_use(&service), 2);
            assert_eq!(held.end().await, 1);
        }
        assert_eq!(other.end().await, 1);
        assert_eq!(in_use(&service), 0);
    }

    async fn what_waits_for_a_lock_keeps_nobody_else(database: Database) {
        let service = start(&database, 0).await;
        let id = service.session().await;
        let lock = Holder::of(&database, "SELECT * FROM sessions FOR UPDATE").await;
        let path = format!("sessions/{id}");
        let changes = join_all((0..20).map(|number| service.patch(&path, json!({"description": number.to_string()}))));
        // SQLite has one writer at a time.
        let waiting = if database.engine() == Engine::Sqlite { 1 } else { HALF };
        let meanwhile = async {
            while in_use(&service) < waiting {
                tokio::task::yield_now().await;
            }
            for _ in 0..3 {
                service.get("/v2/p2/jobs").await.expect(200);
            }
            assert_eq!(in_use(&service), waiting);
            lock.release().await;
        };
        let (changed, ()) = tokio::join!(changes, meanwhile);
        for answer in changed {
            answer.expect(200);
        }
    }

    async fn who_does_not_read_lists_can_still_ask(database: Database) {
        let service = start(&database, 1).await;
        fill(&database, 40, 100_000).await;
        let router = api::service(Arc::clone(&service.api));
        let path = format!("/v2/{PROJECT}/backups?limit=40");
        let mut unread = Vec::new();
        for _ in 0..HALF {
            let list = router.clone().oneshot(request("GET", &path, &[], "")).await.unwrap();
            assert!(list.status() == 200 && !list.headers().contains_key("content-length"));
            unread.push(list);
        }
        let mut other = Held::of(&service.api.catalogue.store, [Caller::new("other", "p2")]);
        other.begun(1).await;
        assert_eq!(in_use(&service), HALF + 1);
        // Neither their connections nor their turns keep the client from anything else.
        service.get("backups?limit=1").await.expect(200);
        service.session().await;
        for list in unread {
            let body = axum::body::to_bytes(list.into_body(), usize::MAX).await.unwrap();
            assert!(body.len() > 4_000_000);
        }
        assert_eq!(other.end().await, 1);
    }
}
