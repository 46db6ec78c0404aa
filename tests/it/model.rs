//! Random histories of many clients at once, on one server and on several, against the sequential truth: each must be
//! linearizable, reads included.
//!
//! `FREEZER_TEST_ROUNDS=2000` is the long form (docs/reliability.md). A history that fails is printed with what no order explains.

mod answer;
mod catalogue;
mod controls;
mod history;
mod operation;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::future::join_all;
use tokio::sync::Barrier;

use crate::support::choices::Choices;
use crate::support::{Database, Service, rounds};
use history::{Call, Violation, check};
use operation::{CLIENTS, FOCUSES, Operation, PROJECTS};

/// Histories in the short form.
const HISTORIES: usize = 40;

/// What is read when all clients are done, in each project.
const AFTERWARDS: [Operation; 4] = [
    Operation::ListClients,
    Operation::ListActions,
    Operation::ListJobs,
    Operation::ListSessions,
];

/// Moments of the whole process, in the order in which they came.
static MOMENT: AtomicU64 = AtomicU64::new(0);

fn moment() -> u64 {
    MOMENT.fetch_add(1, Ordering::SeqCst)
}

/// Sends a request of a history and notes what came.
async fn call(server: &Service, prefix: &str, project: &'static str, operation: Operation) -> Call {
    let sent = moment();
    let seen = operation.send(server, prefix, project).await;
    let answered = (moment(), seen);
    let status = answered.1.status;
    assert!(status < 500 || status == 503, "{status}: {operation:?}");
    Call {
        project,
        operation,
        sent,
        answered: (status != 503).then_some(answered),
    }
}

/// A history that is to come.
struct Plan {
    prefix: String,
    /// What is there before: requests one after the other.
    before: Vec<Operation>,
    /// What each client does, with its project.
    clients: Vec<Vec<(&'static str, Operation)>>,
}

impl Plan {
    /// The plan of a number, the same in each run.
    fn new(number: usize) -> Plan {
        let mut choices = Choices::new(number as u64);
        let focus = *choices.of(&FOCUSES);
        let mut versions = (0..).map(|version| format!("v{version}"));
        let mut version = move || versions.next().unwrap();
        let before = vec![
            Operation::Register {
                client: "c1",
                central: choices.below(4) == 0,
                weak: false,
            },
            Operation::Register {
                client: "c2",
                central: false,
                weak: choices.below(2) == 0,
            },
            Operation::CreateAction {
                action: "a1",
                does: "backup",
                version: version(),
            },
            Operation::CreateJob {
                job: "j1",
                client: "c1",
                action: Some("a1"),
                version: version(),
            },
            Operation::ReplaceSession {
                session: "s1",
                tag: 0,
                version: version(),
            },
            Operation::AddJob {
                session: "s1",
                job: "j1",
            },
        ];
        let clients = (0..3 + choices.below(3)).map(|_| {
            let count = 4 + choices.below(4);
            let operation = |_| {
                // Mostly the first project's, so that they meet.
                let project = PROJECTS[usize::from(choices.below(5) == 0)];
                (project, Operation::random(&mut choices, focus, version()))
            };
            (0..count).map(operation).collect()
        });
        let clients = clients.collect();
        Plan {
            prefix: format!("h{number}-"),
            before,
            clients,
        }
    }

    /// Carries it out: each client at one of the servers.
    async fn run(self, servers: &[Arc<Service>]) -> Vec<Call> {
        let mut calls = Vec::new();
        for operation in self.before {
            calls.push(call(&servers[0], &self.prefix, PROJECTS[0], operation).await);
        }
        let begin = Arc::new(Barrier::new(self.clients.len()));
        let clients = self
            .clients
            .into_iter()
            .enumerate()
            .map(|(number, operations)| {
                let server = Arc::clone(&servers[number % servers.len()]);
                let (prefix, begin) = (self.prefix.clone(), Arc::clone(&begin));
                tokio::spawn(async move {
                    begin.wait().await;
                    let mut calls = Vec::new();
                    for (project, operation) in operations {
                        calls.push(call(&server, &prefix, project, operation).await);
                    }
                    calls
                })
            });
        for client in join_all(clients).await {
            calls.extend(client.unwrap());
        }
        for project in PROJECTS {
            for read in AFTERWARDS {
                calls.push(
                    call(
                        &servers[calls.len() % servers.len()],
                        &self.prefix,
                        project,
                        read,
                    )
                    .await,
                );
            }
        }
        // Projects of other histories would see its central clients.
        for project in PROJECTS {
            for client in CLIENTS {
                Operation::DeleteClient { client }
                    .send(&servers[0], &self.prefix, project)
                    .await;
            }
        }
        calls
    }
}

/// What a number of histories came to.
#[derive(Debug, Default)]
struct Figures {
    histories: usize,
    calls: usize,
    reads: usize,
    unknown: usize,
    violations: Vec<(usize, Box<Violation>)>,
}

impl Figures {
    async fn of_histories(
        servers: &[Arc<Service>],
        numbers: impl Iterator<Item = usize>,
    ) -> Figures {
        let mut figures = Figures::default();
        for number in numbers {
            let mut calls = Plan::new(number).run(servers).await;
            figures.histories += 1;
            figures.calls += calls.len();
            figures.reads += calls.iter().filter(|call| call.operation.is_read()).count();
            let unknown = |call: &Call| call.answered.is_none();
            figures.unknown += calls.iter().filter(|call| unknown(call)).count();
            // A read without an answer says nothing.
            calls.retain(|call| !(unknown(call) && call.operation.is_read()));
            if let Err(violation) = check(&calls) {
                println!("history {number} is not linearizable: {violation}");
                figures.violations.push((number, violation));
            }
        }
        figures
    }
}

/// Checks as many histories as the run asks for.
pub(crate) async fn are_linearizable(servers: &[Arc<Service>]) {
    let count = rounds(HISTORIES);
    let figures = Figures::of_histories(servers, 0..count).await;
    println!(
        "{} histories, {} calls, {} of them reads, {} of unknown outcome, {} not linearizable",
        figures.histories,
        figures.calls,
        figures.reads,
        figures.unknown,
        figures.violations.len()
    );
    let numbers: Vec<usize> = figures
        .violations
        .iter()
        .map(|(number, _)| *number)
        .collect();
    assert!(numbers.is_empty(), "not linearizable: {numbers:?}");
}

/// The first history, of so many, that is not linearizable: a fault that chance may hide has to show.
pub(crate) async fn first_violation(servers: &[Arc<Service>], most: usize) -> Option<usize> {
    for number in 0..most {
        if check(&Plan::new(number).run(servers).await).is_err() {
            return Some(number);
        }
    }
    None
}

/// Servers in this process on one database.
async fn servers(database: &Database, count: usize) -> Vec<Arc<Service>> {
    let mut servers = Vec::new();
    for _ in 0..count {
        servers.push(Arc::new(Service::start(database).await));
    }
    servers
}

on_each_engine! {
    async fn histories_on_one_server_are_linearizable(database: Database) {
        are_linearizable(&servers(&database, 1).await).await;
    }

    async fn histories_on_three_servers_are_linearizable(database: Database) {
        are_linearizable(&servers(&database, 3).await).await;
    }
}
