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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Barrier, mpsc};

    use super::*;
    use crate::calendar::Timestamp;
    use crate::password::{Cost, Vault};
    use crate::store::Store;
    use crate::token::Key;

    fn app(folder: &tempfile::TempDir) -> Arc<App> {
        Arc::new(App {
            store: Store::open(&folder.path().join("w.db"), |_| Ok(())).unwrap(),
            vault: Vault::new(Cost {
                memory_kib: 8,
                passes: 1,
            })
            .unwrap(),
            key: Key::random().unwrap(),
            token_lifetime: Duration::ZERO,
            clock: || Timestamp::from_unix(0),
            chaos: None,
            stopping: AtomicBool::new(false),
        })
    }

    #[tokio::test]
    async fn a_server_that_stops_is_alive_but_not_ready() {
        let folder = tempfile::tempdir().unwrap();
        let app = app(&folder);
        assert!(ready(State(Arc::clone(&app))).await.is_ok());
        app.stopping.store(true, Ordering::Relaxed);
        assert!(matches!(ready(State(app)).await, Err(Problem::Stopping)));
        assert_eq!(health().await.status(), 200);
    }

    #[tokio::test]
    async fn a_database_that_does_not_answer_is_not_ready() {
        let folder = tempfile::tempdir().unwrap();
        let app = app(&folder);
        // Every reader is busy until the gates go away.
        let all_inside = Arc::new(Barrier::new(crate::store::READERS + 1));
        let mut gates = Vec::new();
        for _ in 0..crate::store::READERS {
            let (gate, closed) = mpsc::channel::<()>();
            gates.push(gate);
            let (app, inside) = (Arc::clone(&app), Arc::clone(&all_inside));
            tokio::spawn(async move {
                let stuck = app.store.read(move |_| {
                    inside.wait();
                    Ok(closed.recv().is_err())
                });
                stuck.await
            });
        }
        tokio::task::spawn_blocking(move || all_inside.wait())
            .await
            .unwrap();
        assert!(matches!(ready(State(Arc::clone(&app))).await, Err(Problem::Busy)));
        assert_eq!(health().await.status(), 200);
        drop(gates);
        assert!(ready(State(app)).await.is_ok());
    }
}
