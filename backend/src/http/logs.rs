//! Workout logs: nobody but their owner knows of them.

use std::sync::Arc;

use axum::extract::State;

use super::account::Account;
use super::answer::{self, Groups, private};
use super::body::Json;
use super::paging::Query;
use super::{Answer, App, Id};
use crate::store::logs::{self, Draft};

/// `GET /logs`
pub async fn list(State(app): State<Arc<App>>, Account(user): Account, query: Query) -> Answer {
    let page = query.page()?;
    let found = app
        .store
        .read(move |db| logs::page(db, user.id, page.slice()))
        .await?;
    Ok(query.answer(page, found, |listing| {
        private(listing, Groups::new().one("user", user.id))
    }))
}

/// `GET /logs/{id}`
pub async fn find(State(app): State<Arc<App>>, Account(user): Account, Id(id): Id) -> Answer {
    let log = app.store.read(move |db| logs::find(db, id, user.id)).await?;
    Ok(private(&log, Groups::new().one("user", user.id)))
}

/// `POST /logs`
pub async fn create(State(app): State<Arc<App>>, Account(user): Account, Json(draft): Json<Draft>) -> Answer {
    let now = app.now();
    let log = app
        .store
        .write(move |db| logs::create(db, &draft, user.id, now))
        .await?;
    Ok(answer::created(
        &format!("/logs/{}", log.summary.id),
        &log,
        Groups::new().one("user", user.id),
    ))
}

/// `DELETE /logs/{id}`
pub async fn delete(State(app): State<Arc<App>>, Account(user): Account, Id(id): Id) -> Answer {
    app.store.write(move |db| logs::delete(db, id, user.id)).await?;
    Ok(answer::deleted(Groups::new().one("user", user.id)))
}
