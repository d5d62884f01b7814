//! The service over HTTP: which path does what, and what every request passes on its way.

mod account;
mod answer;
mod body;
mod drafts;
mod exercises;
mod health;
mod logs;
mod paging;
mod plans;
mod precondition;
mod problem;
mod users;

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRequestParts, Path, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};

use crate::app::App;
use crate::chaos::Blow;
use crate::input::Input;
use crate::store::plans::Contents;
use crate::store::splits::Split;
use crate::store::workouts::Workout;
use precondition::Conditions;
use problem::Problem;

/// What handlers answer.
type Answer = Result<Response, Problem>;

/// All paths, as one listener serves them. `instance` names that listener in every response.
pub fn router(app: Arc<App>, instance: HeaderValue) -> Router {
    Router::new()
        .route("/", get(health::index))
        .route("/health", get(health::health))
        .route("/ready", get(health::ready))
        .route("/users", post(users::register))
        .route("/login", post(users::log_in))
        .route("/me", get(users::me))
        .route("/me/stats", get(users::stats))
        .route("/me/workouts", get(plans::list_own::<Workout>))
        .route("/me/splits", get(plans::list_own::<Split>))
        .route("/exercises", get(exercises::list).post(exercises::create))
        .route(
            "/exercises/{id}",
            get(exercises::find)
                .put(exercises::replace)
                .delete(exercises::delete),
        )
        .route(
            "/workouts",
            get(plans::list_public::<Workout>).post(plans::create::<Workout>),
        )
        .route("/workouts/{id}", plan::<Workout>())
        .route(
            "/splits",
            get(plans::list_public::<Split>).post(plans::create::<Split>),
        )
        .route("/splits/{id}", plan::<Split>())
        .route("/logs", get(logs::list).post(logs::create))
        .route("/logs/{id}", get(logs::find).delete(logs::delete))
        .method_not_allowed_fallback(async || Problem::MethodNotAllowed)
        .fallback(async || Problem::NotFound)
        .layer(from_fn_with_state(
            Walk {
                app: Arc::clone(&app),
                instance,
            },
            walk,
        ))
        .with_state(app)
}

fn plan<C: Contents<Draft: Input>>() -> MethodRouter<Arc<App>> {
    get(plans::find::<C>)
        .put(plans::replace::<C>)
        .delete(plans::delete::<C>)
}

#[derive(Clone)]
struct Walk {
    app: Arc<App>,
    instance: HeaderValue,
}

/// The way of every request: body, chaos, handler, conditions, headers that all responses have.
async fn walk(State(walk): State<Walk>, request: Request, next: Next) -> Response {
    // Before the handler, which consumes the request.
    let conditions = Conditions::of(&request);
    let response = respond(&walk.app, request, next)
        .await
        .unwrap_or_else(Problem::into_response);
    let mut response = conditions.apply(response);
    let headers = response.headers_mut();
    // What says nothing about caches (errors, writes, tokens) is not for them: some statuses are cacheable by default.
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    headers.insert("server-instance", walk.instance);
    response
}

async fn respond(app: &App, request: Request, next: Next) -> Answer {
    let (parts, body) = request.into_parts();
    let body = body::receive(body).await?;
    let spared = matches!(parts.uri.path(), "/health" | "/ready");
    let blow = if spared { Blow::NONE } else { app.strike() };
    if !blow.latency.is_zero() {
        tokio::time::sleep(blow.latency).await;
    }
    if blow.fails {
        Err(Problem::Chaos)
    } else {
        Ok(next.run(Request::from_parts(parts, body.into())).await)
    }
}

/// The id at the end of a path; what is not an id is a path that does not exist.
struct Id(i64);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Id, Problem> {
        let Path(text) = Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|_| Problem::NotFound)?;
        // One spelling per thing, so that caches hold it once: no sign, no leading zero.
        let id = text
            .parse()
            .ok()
            .filter(|id: &i64| *id > 0 && id.to_string() == text);
        id.map(Id).ok_or(Problem::NotFound)
    }
}
