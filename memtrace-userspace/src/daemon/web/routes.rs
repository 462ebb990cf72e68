//! What can be asked for.

use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query as Asked, Request, State as Given};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::answer::{Kind, Problem, body};
use super::guard::Guard;
use super::overview::overview;
use super::reports::{self, Query};
use crate::daemon::heap;
use crate::daemon::metrics::{Bound, Own, open_metrics, prometheus_text};
use crate::daemon::watch::{SharedBoard, lock};

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// Reports that are made at a time. Others wait, without anything made for them yet.
const REPORTS: usize = 2;

/// Threads for answers that take their time: those for reports, and one for metrics, which no report
/// keeps waiting.
pub(super) const THREADS: usize = REPORTS + 1;

/// What answers are made of.
pub(super) struct State {
    board: SharedBoard,
    bound: Bound,
    reports: Arc<Semaphore>,
    scrapes: Arc<Semaphore>,
}

impl State {
    pub(super) fn new(board: SharedBoard, bound: Bound) -> Self {
        let places = |count| Arc::new(Semaphore::new(count));
        Self { board, bound, reports: places(REPORTS), scrapes: places(THREADS - REPORTS) }
    }
}

type Shared = Given<Arc<State>>;
type Answer = Result<Response, Problem>;

/// All routes, behind the guard.
pub(super) fn router(state: Arc<State>, guard: Guard) -> Router {
    let admit = move |request: Request, next: Next| {
        let admitted = guard.admit(request.headers());
        async move {
            match admitted {
                Ok(()) => next.run(request).await,
                Err(status @ StatusCode::UNAUTHORIZED) => {
                    Problem(status, "the bearer token is wanted".to_owned()).into_response()
                }
                Err(status) => {
                    let why = "ask for 127.0.0.1 or localhost; other names need a token";
                    Problem(status, why.to_owned()).into_response()
                }
            }
        }
    };
    Router::new()
        .route("/", get(|| async { body(Kind::Page, PAGE) }))
        .route("/page.css", get(|| async { body(Kind::Style, STYLE) }))
        .route("/page.js", get(|| async { body(Kind::Script, SCRIPT) }))
        .route("/metrics", get(metrics))
        .route("/healthz", get(health))
        .route("/api/overview", get(machine))
        .route("/api/timeline", get(timeline))
        .route("/api/report", get(report))
        .fallback(|| async { Problem::nothing("nothing is here; / is the page") })
        .layer(from_fn(admit))
        .with_state(state)
}

/// Whether windows close.
async fn health(Given(state): Shared) -> Answer {
    let since = lock(&state.board).last_window.elapsed();
    if since.as_secs() < 120 {
        return Ok(body(Kind::Text, "ok\n"));
    }
    let why = format!("no window has closed for {} s", since.as_secs());
    Err(Problem(StatusCode::SERVICE_UNAVAILABLE, why))
}

async fn metrics(Given(state): Shared, headers: HeaderMap) -> Answer {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    let wants_open = accept.is_some_and(|accept| accept.contains("application/openmetrics-text"));
    let place = turn(&state.scrapes).await?;
    away(place, move || {
        let (figures, own) = {
            let board = lock(&state.board);
            (board.figures.clone(), Own::of(&board))
        };
        let text = open_metrics(figures, own, state.bound);
        Ok(if wants_open {
            body(Kind::OpenMetrics, text)
        } else {
            body(Kind::PrometheusText, prometheus_text(&text))
        })
    })
    .await
}

async fn machine(Given(state): Shared) -> Answer {
    let place = turn(&state.reports).await?;
    away(place, move || {
        let overview = overview(&lock(&state.board));
        json(&overview)
    })
    .await
}

async fn timeline(Given(state): Shared, query: Result<Asked<Query>, QueryRejection>) -> Answer {
    let Asked(query) = query.map_err(|error| Problem::wrong(error.body_text()))?;
    let place = turn(&state.reports).await?;
    let material = reports::material(&lock(&state.board), &query)?;
    away(place, move || json(&reports::timeline(&material))).await
}

async fn report(Given(state): Shared, query: Result<Asked<Query>, QueryRejection>) -> Answer {
    let Asked(query) = query.map_err(|error| Problem::wrong(error.body_text()))?;
    let place = turn(&state.reports).await?;
    let material = reports::material(&lock(&state.board), &query)?;
    away(place, move || {
        let answer = reports::answer(&material, &query);
        drop(material);
        heap::give_back();
        answer
    })
    .await
}

fn json(value: &impl serde::Serialize) -> Answer {
    let text = serde_json::to_vec(value).map_err(Problem::failed)?;
    Ok(body(Kind::Json, text))
}

/// Waits for its turn. Who hangs up meanwhile is not waited for.
async fn turn(places: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, Problem> {
    Arc::clone(places).acquire_owned().await.map_err(Problem::failed)
}

/// Does what takes its time in another thread, and keeps its place until it is done, also when nobody waits
/// for it any more.
async fn away(
    place: OwnedSemaphorePermit,
    work: impl FnOnce() -> Answer + Send + 'static,
) -> Answer {
    let work = move || {
        let _place = place;
        work()
    };
    match tokio::task::spawn_blocking(work).await {
        Ok(answer) => answer,
        Err(error) => Err(Problem::failed(error)),
    }
}
