//! Who asks: the bearer of a token (RFC 6750), checked against the accounts as they are now.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;

use super::problem::Problem;
use crate::app::App;
use crate::store::users::{self, User};
use crate::words::Role;

/// A user who has logged in.
pub struct Account(pub User);

/// A user who may edit the catalogue of exercises.
pub struct Admin;

/// Anybody; the id of the user, if it is one. A bad token is still refused: it was meant to say something.
pub struct Visitor(pub Option<i64>);

/// Ours have some two hundred bytes.
const TOKEN_BYTES_MAX: usize = 1024;

impl FromRequestParts<Arc<App>> for Account {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Account, Problem> {
        let token = bearer(parts)?;
        let claims = app.key.verify(token, app.now()).map_err(|_| Problem::BadToken)?;
        let user = app
            .store
            .read(move |db| users::find(db, claims.sub, &claims.name))
            .await?;
        user.map(Account).ok_or(Problem::BadToken)
    }
}

impl FromRequestParts<Arc<App>> for Admin {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Admin, Problem> {
        let Account(user) = Account::from_request_parts(parts, app).await?;
        match user.role {
            Role::Admin => Ok(Admin),
            Role::Member => Err(Problem::Forbidden("an admin")),
        }
    }
}

impl FromRequestParts<Arc<App>> for Visitor {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Visitor, Problem> {
        match Account::from_request_parts(parts, app).await {
            Ok(Account(user)) => Ok(Visitor(Some(user.id))),
            Err(Problem::NoToken) => Ok(Visitor(None)),
            Err(problem) => Err(problem),
        }
    }
}

fn bearer(parts: &Parts) -> Result<&str, Problem> {
    let value = parts.headers.get(AUTHORIZATION).ok_or(Problem::NoToken)?;
    let (scheme, token) = value
        .to_str()
        .ok()
        .and_then(|value| value.split_once(' '))
        .ok_or(Problem::BadToken)?;
    // RFC 9110, section 11.1: the name of a scheme is case-insensitive.
    let bearer = scheme.eq_ignore_ascii_case("bearer") && token.len() <= TOKEN_BYTES_MAX;
    if bearer {
        Ok(token.trim_start())
    } else {
        Err(Problem::BadToken)
    }
}
