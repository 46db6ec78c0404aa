//! The load of many schedulers, each with its client, its session and its jobs, as the real one makes it: it asks for its jobs
//! page by page once a minute, and now and then runs one. Time can pass faster than on the clock.
//!
//!     cargo run --release --example schedulers -- --schedulers 1000 --speed 60 --watch $(pgrep -x freezer-api)
//!
//! It prints a line of progress every few seconds, and at the end what each kind of request took, and how many schedulers one
//! core of the processes that it watched would carry.

mod figures;
mod scheduler;
mod watched;

use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;

use figures::Figures;
use scheduler::{Api, Plan, Scheduler};
use watched::Watched;

/// Schedulers that register at the same time.
const REGISTERING: usize = 16;

#[derive(Parser)]
#[command(about = "Plays many schedulers against freezer-api")]
struct Arguments {
    /// Where the API answers; several are used in turn.
    #[arg(long, default_value = "http://127.0.0.1:9090", num_args = 1..)]
    url: Vec<String>,
    #[arg(long, default_value = "dev", help = "The project's id")]
    project: String,
    /// A token for the project; `--dev` takes any.
    #[arg(long, env = "OS_TOKEN", default_value = "none", hide_env_values = true)]
    token: String,
    #[arg(long, default_value_t = 1000)]
    schedulers: usize,
    #[arg(long, default_value_t = 5, help = "Jobs of each scheduler")]
    jobs: usize,
    /// Seconds from one poll of a scheduler to its next.
    #[arg(long, default_value_t = 60.0)]
    interval: f64,
    /// How much faster than the clock time passes.
    #[arg(long, default_value_t = 1.0)]
    speed: f64,
    #[arg(
        long,
        default_value_t = 60,
        help = "Polls from one run of a job to the next"
    )]
    run_every: u64,
    #[arg(long, default_value_t = 60.0, help = "Seconds on the clock")]
    seconds: f64,
    /// Keeps connections for further requests, as a proxy in front does. The real scheduler opens one for each request.
    #[arg(long)]
    keep_connections: bool,
    /// Processes whose processor time, memory and open files are shown.
    #[arg(long, value_name = "PID", num_args = 1..)]
    watch: Vec<u32>,
    #[arg(long, default_value_t = 10, help = "Seconds between lines of progress")]
    progress: u64,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let api = Arc::new(Api::new(
        &arguments.url,
        &arguments.project,
        &arguments.token,
        arguments.keep_connections,
    )?);
    let schedulers = register(&arguments, &api).await?;
    play(&arguments, schedulers).await
}

/// Lets the schedulers work, and shows what that takes.
async fn play(arguments: &Arguments, schedulers: Vec<Scheduler>) -> anyhow::Result<()> {
    let figures = Arc::new(Figures::default());
    let mut watched = Watched::new(&arguments.watch)?;
    let interval = Duration::from_secs_f64(arguments.interval / arguments.speed);
    let start = Instant::now();
    let plan = Plan {
        interval,
        end: start + Duration::from_secs_f64(arguments.seconds),
        run_every: arguments.run_every,
    };
    let mut running = JoinSet::new();
    for (number, scheduler) in schedulers.into_iter().enumerate() {
        let first = start + interval.mul_f64(number as f64 / arguments.schedulers as f64);
        running.spawn(scheduler.run(plan, first, Arc::clone(&figures)));
    }
    let every = Duration::from_secs(arguments.progress);
    let mut ticks = tokio::time::interval_at(start + every, every);
    loop {
        tokio::select! {
            _ = ticks.tick() => {
                let passed = start.elapsed().mul_f64(arguments.speed);
                println!("{}", figures.progress(passed, &watched.look()?));
            }
            ended = running.join_next() => match ended {
                Some(ended) => ended?,
                None => break,
            },
        }
    }
    let polled = arguments.schedulers as f64 * start.elapsed().as_secs_f64() * arguments.speed;
    println!("\n{}", figures.summary(start.elapsed()));
    println!("{}", watched.summary(polled, arguments.interval)?);
    Ok(())
}

/// Makes the schedulers' clients, sessions and jobs, as far as an earlier run has not.
async fn register(arguments: &Arguments, api: &Arc<Api>) -> anyhow::Result<Vec<Scheduler>> {
    let places = Arc::new(Semaphore::new(REGISTERING));
    let mut registering = JoinSet::new();
    for number in 0..arguments.schedulers {
        let (api, places, jobs) = (Arc::clone(api), Arc::clone(&places), arguments.jobs);
        registering.spawn(async move {
            let _place = places.acquire().await?;
            Scheduler::register(api, number, jobs).await
        });
    }
    let mut schedulers = Vec::new();
    while let Some(registered) = registering.join_next().await {
        schedulers.push(registered??);
        if schedulers.len().is_multiple_of(1000) || schedulers.len() == arguments.schedulers {
            println!("{} schedulers are registered", schedulers.len());
        }
    }
    Ok(schedulers)
}
