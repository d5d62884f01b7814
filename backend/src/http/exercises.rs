//! The catalogue of exercises: everybody reads, admins write.

use std::sync::Arc;

use axum::extract::State;
use rusqlite::Connection;

use super::account::Admin;
use super::answer::{self, Groups, public};
use super::body::Json;
use super::paging::Query;
use super::precondition::IfMatch;
use super::{Answer, App, Id};
use crate::input::{Fields, Input};
use crate::store::exercises::{self, Draft};

impl Input for Draft {
    fn read(fields: &mut Fields) -> Draft {
        Draft {
            name: fields.title("name", 1..=80),
            muscle: fields.word("muscle"),
            equipment: fields.word("equipment"),
            description: fields.optional_text("description", 2000),
        }
    }
}

/// `GET /exercises`
pub async fn list(State(app): State<Arc<App>>, query: Query) -> Answer {
    let (page, muscle) = query.read(|fields| fields.optional_word("muscle"))?;
    let found = app
        .store
        .read(move |db| exercises::page(db, muscle, page.slice()))
        .await?;
    Ok(query.answer(page, found, |listing| {
        public(listing, Groups::new().all("exercises"))
    }))
}

/// `GET /exercises/{id}`
pub async fn find(State(app): State<Arc<App>>, Id(id): Id) -> Answer {
    let exercise = app.store.read(move |db| exercises::find(db, id)).await?;
    Ok(public(&exercise, Groups::new().one("exercise", id)))
}

/// `POST /exercises`
pub async fn create(State(app): State<Arc<App>>, _: Admin, Json(draft): Json<Draft>) -> Answer {
    let exercise = app.store.write(|db| exercises::create(db, draft)).await?;
    Ok(answer::created(
        &format!("/exercises/{}", exercise.id),
        &exercise,
        changed(exercise.id),
    ))
}

/// `PUT /exercises/{id}`
pub async fn replace(
    State(app): State<Arc<App>>,
    _: Admin,
    Id(id): Id,
    expected: IfMatch,
    Json(draft): Json<Draft>,
) -> Answer {
    let write = move |db: &Connection| {
        expected.check(&exercises::find(db, id)?)?;
        exercises::replace(db, id, draft)
    };
    let exercise = app.store.write(write).await?;
    Ok(answer::replaced(&exercise, changed(id)))
}

/// `DELETE /exercises/{id}`
pub async fn delete(State(app): State<Arc<App>>, _: Admin, Id(id): Id, expected: IfMatch) -> Answer {
    let write = move |db: &Connection| {
        expected.check(&exercises::find(db, id)?)?;
        exercises::delete(db, id)
    };
    app.store.write(write).await?;
    Ok(answer::deleted(changed(id)))
}

fn changed(id: i64) -> Groups {
    Groups::new().all("exercises").one("exercise", id)
}
