//! For machines that watch, and for people who have just arrived.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use serde_json::json;
use tokio::time::timeout;

use super::Answer;
use super::answer::{Groups, fleeting, public};
use super::problem::Problem;
use crate::app::App;

/// A database that takes longer is not one to send users to.
const READY_TIMEOUT: Duration = Duration::from_secs(1);

/// The process is alive. It asks nobody: a slow database is no reason to kill a process.
pub async fn health() -> Response {
    fleeting(&json!({ "status": "alive" }))
}

/// The process can serve: its database answers, and it has not been told to stop.
pub async fn ready(State(app): State<Arc<App>>) -> Answer {
    if app.is_stopping() {
        return Err(Problem::Stopping);
    }
    match timeout(READY_TIMEOUT, app.store.ping()).await {
        Ok(Ok(())) => Ok(fleeting(&json!({ "status": "ready" }))),
        Ok(Err(error)) => {
            eprintln!("error: not ready: {error}");
            Err(Problem::Busy)
        }
        Err(_) => Err(Problem::Busy),
    }
}

/// What there is.
pub async fn index() -> Response {
    let body = json!({
        "service": "workouts",
        "public": ["/exercises{?page,per_page,muscle}", "/exercises/{id}", "/workouts", "/workouts/{id}", "/splits", "/splits/{id}"],
        "yours": ["/me", "/me/stats", "/me/workouts", "/me/splits", "/logs", "/logs/{id}"],
        "start": ["POST /users {name, password}", "POST /login {name, password}"],
    });
    public(&body, Groups::new().all("index"))
}
