//! Workouts and splits over HTTP: everybody reads public ones, owners write their own.

use std::sync::Arc;

use axum::extract::State;
use rusqlite::Connection;

use super::account::{Account, Visitor};
use super::answer::{self, Groups, private, public};
use super::body::Json;
use super::paging::Query;
use super::precondition::IfMatch;
use super::{Answer, App, Id};
use crate::input::{Fields, Input};
use crate::store::plans::{self, Contents, Draft, Shelf};

/// Head and contents, as they stand in one body.
pub struct Plan<C: Contents>(Draft, C::Draft);

impl<C: Contents<Draft: Input>> Input for Plan<C> {
    fn read(fields: &mut Fields) -> Plan<C> {
        let head = Draft {
            name: fields.title("name", 1..=80),
            description: fields.optional_text("description", 2000),
            public: fields.flag("public"),
        };
        Plan(head, C::Draft::read(fields))
    }
}

/// `GET /workouts`, `GET /splits`: what is public.
pub async fn list_public<C: Contents>(State(app): State<Arc<App>>, query: Query) -> Answer {
    let page = query.page()?;
    let found = app
        .store
        .read(move |db| plans::page::<C>(db, Shelf::Catalogue, page.slice()))
        .await?;
    Ok(query.answer(page, found, |listing| {
        public(listing, Groups::new().all(C::PLURAL))
    }))
}

/// `GET /me/workouts`, `GET /me/splits`: what is the user's own.
pub async fn list_own<C: Contents>(
    State(app): State<Arc<App>>,
    Account(user): Account,
    query: Query,
) -> Answer {
    let page = query.page()?;
    let found = app
        .store
        .read(move |db| plans::page::<C>(db, Shelf::Of(user.id), page.slice()))
        .await?;
    Ok(query.answer(page, found, |listing| {
        private(listing, Groups::new().one("user", user.id))
    }))
}

/// `GET /workouts/{id}`, `GET /splits/{id}`. Whether somebody has logged in makes no difference to a public one, so
/// caches may share it.
pub async fn find<C: Contents>(State(app): State<Arc<App>>, Visitor(viewer): Visitor, Id(id): Id) -> Answer {
    let found = app.store.read(move |db| plans::find::<C>(db, id, viewer)).await?;
    // It shows the names of other things, so it changes with them.
    let own = Groups::new().one(C::NOUN, id);
    let groups = found
        .contents
        .shown()
        .fold(own, |groups, (noun, id)| groups.one(noun, id));
    Ok(if found.plan.public {
        public(&found, groups)
    } else {
        private(&found, groups)
    })
}

/// `POST /workouts`, `POST /splits`
pub async fn create<C: Contents<Draft: Input>>(
    State(app): State<Arc<App>>,
    Account(user): Account,
    Json(Plan(head, contents)): Json<Plan<C>>,
) -> Answer {
    let now = app.now();
    let made = app
        .store
        .write(move |db| plans::create::<C>(db, &head, &contents, user.id, now))
        .await?;
    let changed = changed::<C>(made.plan.id, user.id, made.plan.public);
    Ok(answer::created(
        &format!("/{}/{}", C::PLURAL, made.plan.id),
        &made,
        changed,
    ))
}

/// `PUT /workouts/{id}`, `PUT /splits/{id}`
pub async fn replace<C: Contents<Draft: Input>>(
    State(app): State<Arc<App>>,
    Account(user): Account,
    Id(id): Id,
    expected: IfMatch,
    Json(Plan(head, contents)): Json<Plan<C>>,
) -> Answer {
    let now = app.now();
    let write = move |db: &Connection| {
        let old = plans::find_own::<C>(db, id, user.id)?;
        expected.check(&old)?;
        Ok((
            old.plan.public,
            plans::replace::<C>(db, &old.plan, &head, &contents, now)?,
        ))
    };
    let (was_public, new) = app.store.write(write).await?;
    Ok(answer::replaced(
        &new,
        changed::<C>(id, user.id, was_public || new.plan.public),
    ))
}

/// `DELETE /workouts/{id}`, `DELETE /splits/{id}`
pub async fn delete<C: Contents>(
    State(app): State<Arc<App>>,
    Account(user): Account,
    Id(id): Id,
    expected: IfMatch,
) -> Answer {
    let write = move |db: &Connection| {
        let old = plans::find_own::<C>(db, id, user.id)?;
        expected.check(&old)?;
        plans::delete::<C>(db, &old.plan)?;
        Ok(old.plan.public)
    };
    let was_public = app.store.write(write).await?;
    Ok(answer::deleted(changed::<C>(id, user.id, was_public)))
}

/// What a write changes: the plan, its owner's list, and the catalogue if the plan is or was in it. A private plan
/// leaves the catalogue alone, or any user could empty everybody's caches.
fn changed<C: Contents>(id: i64, owner: i64, in_catalogue: bool) -> Groups {
    let groups = Groups::new().one(C::NOUN, id).one("user", owner);
    if in_catalogue {
        groups.all(C::PLURAL)
    } else {
        groups
    }
}
