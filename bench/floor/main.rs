//! What the same requests cost at least: axum and sqlx with the statements of the service, and nothing else. No tokens, policies,
//! limits, log or repairs; the answers are those of the service, for documents that need none of that.
//!
//!     cargo run --release --example floor -- --port 9091 --database mysql://user:password@127.0.0.1/freezer

mod documents;

use std::sync::Arc;

use anyhow::Context;
use axum::extract::{Path, RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use clap::Parser;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use serde_json::{Map, Value, json};
use sqlx::MySqlPool;
use sqlx::mysql::MySqlPoolOptions;
use tokio::net::TcpListener;

use documents::{JOB_OF_ID, PAGE_OF_JOBS, POLL, jobs, text};

/// Connections that the service has by default besides those for peaks.
const CONNECTIONS: u32 = 20;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
struct Arguments {
    #[arg(long, default_value_t = 9091)]
    port: u16,
    #[arg(long, help = "mysql://USER:PASSWORD@HOST:PORT/DATABASE")]
    database: String,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let pool = MySqlPoolOptions::new()
        .max_connections(CONNECTIONS)
        .test_before_acquire(false)
        .connect(&arguments.database)
        .await?;
    let router = Router::new()
        .route("/healthcheck", get(async || "hello, world"))
        .route("/v2/", get(async || "hello, world"))
        .route("/v2/{project_id}/jobs/{job_id}", get(get_job))
        .route("/v2/{project_id}/jobs", get(list_jobs))
        .route("/v2/{project_id}/backups", post(post_backup))
        .with_state(Arc::new(pool));
    let listener = TcpListener::bind(("127.0.0.1", arguments.port)).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let service = TowerToHyperService::new(router.clone());
        tokio::spawn(async move {
            let server = auto::Builder::new(TokioExecutor::new());
            // A client that goes away is no error.
            let _ = server.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

/// An error is shown to whoever measures.
struct Failure(anyhow::Error);

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Failure {
        Failure(error.into())
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (StatusCode::INTERNAL_SERVER_ERROR, format!("{:#}", self.0)).into_response()
    }
}

async fn get_job(
    State(pool): State<Arc<MySqlPool>>,
    Path((project_id, job_id)): Path<(String, String)>,
) -> Result<Response, Failure> {
    let query = sqlx::query(JOB_OF_ID).bind(project_id).bind(job_id);
    let found = jobs(query.fetch(&*pool)).await?;
    let job = found.into_iter().next().context("no such job")?;
    Ok(json_text(text(&job)?))
}

/// A number of the query, like `limit=10`.
fn number(query: &Option<String>, name: &str) -> i64 {
    let parameters = query.as_deref().unwrap_or_default().split('&');
    let mut values = parameters.filter_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    values
        .next()
        .and_then(|value| value.parse().ok())
        .unwrap_or(0)
}

/// A page of jobs; of one client that are not completed, where there is a body with such a search.
async fn list_jobs(
    State(pool): State<Arc<MySqlPool>>,
    Path(project_id): Path<String>,
    RawQuery(query): RawQuery,
    body: String,
) -> Result<Response, Failure> {
    let (limit, offset) = (number(&query, "limit"), number(&query, "offset"));
    let found = if body.is_empty() {
        let query = sqlx::query(PAGE_OF_JOBS).bind(project_id);
        jobs(query.bind(limit).bind(offset).fetch(&*pool)).await?
    } else {
        let search: Value = serde_json::from_str(&body)?;
        let client_id = search.pointer("/match/0/client_id").and_then(Value::as_str);
        let query = sqlx::query(POLL).bind(project_id.clone());
        let query = query.bind(client_id.context("no client_id")?.to_owned());
        let query = query
            .bind("\"status\":\"completed\"")
            .bind("\"status\": \"completed\"");
        let query = query.bind(limit).bind(offset).bind(project_id);
        jobs(query.fetch(&*pool)).await?
    };
    Ok(json_text(text(&json!({"jobs": found}))?))
}

async fn post_backup(
    State(pool): State<Arc<MySqlPool>>,
    Path(project_id): Path<String>,
    Json(metadata): Json<Map<String, Value>>,
) -> Result<Response, Failure> {
    #[expect(clippy::disallowed_methods, reason = "this is not the service")]
    let (id, now) = (
        uuid::Uuid::new_v4().simple().to_string(),
        time::OffsetDateTime::now_utc(),
    );
    sqlx::query(
        "INSERT INTO backups (id, job_id, project_id, user_id, status, backup_metadata, deleted, created_at) \
         VALUES (?, ?, ?, ?, ?, ?, FALSE, ?)",
    )
    .bind(&id)
    .bind(metadata.get("job_id").and_then(Value::as_str))
    .bind(project_id)
    .bind("dev")
    .bind("available")
    .bind(text(&metadata)?)
    .bind(time::PrimitiveDateTime::new(now.date(), now.time()))
    .execute(&*pool)
    .await?;
    Ok((
        StatusCode::CREATED,
        json_text(text(&json!({"backup_id": id}))?),
    )
        .into_response())
}

fn json_text(text: String) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}
