//! Accounts: registration, login, and what a user has done so far.

use std::sync::Arc;

use axum::extract::State;
use serde_json::json;

use super::account::Account;
use super::answer::{Groups, created, fleeting, private};
use super::body::Json;
use super::problem::Problem;
use super::{Answer, App};
use crate::calendar::Timestamp;
use crate::input::{Fields, Input};
use crate::store::{stats, users};
use crate::token::Claims;
use crate::words::Role;

/// A name and a password, for a new account.
pub struct Registration {
    name: String,
    password: String,
}

impl Input for Registration {
    fn read(fields: &mut Fields) -> Registration {
        let mut name = fields.title("name", 3..=32);
        // Names stand in lists that others read: no look-alike letters, no invisible ones.
        if !name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        {
            name = fields.fault("name", "must have only letters a to z, digits, and - _ .");
        }
        Registration {
            name,
            password: fields.text("password", 8..=PASSWORD_CHARS_MAX),
        }
    }
}

/// A name and a password that should fit each other.
pub struct Login {
    name: String,
    password: String,
}

impl Input for Login {
    fn read(fields: &mut Fields) -> Login {
        // Only limits: whether such a name or password could exist is not for a login to tell.
        Login {
            name: fields.text("name", 1..=256),
            password: fields.text("password", 1..=PASSWORD_CHARS_MAX),
        }
    }
}

/// Long enough for any passphrase; a hash reads it once, so its length costs little.
const PASSWORD_CHARS_MAX: usize = 256;

/// `POST /users`
pub async fn register(State(app): State<Arc<App>>, Json(new): Json<Registration>) -> Answer {
    let Registration { name, password } = new;
    let wanted = name.clone();
    app.store.read(move |db| users::require_free(db, &wanted)).await?;
    let hash = app.vault.hash(password).await?;
    let now = app.now();
    let user = app
        .store
        .write(move |db| users::create(db, &name, &hash, Role::Member, now))
        .await?;
    Ok(created("/me", &user, Groups::new().one("user", user.id)))
}

/// `POST /login`
pub async fn log_in(State(app): State<Arc<App>>, Json(login): Json<Login>) -> Answer {
    let known = app
        .store
        .read(move |db| users::credentials(db, &login.name))
        .await?;
    let (user, hash) = known.unzip();
    // Unknown names take this way, too: the time of an answer tells nothing.
    let matches = app.vault.verify(login.password, hash).await?;
    let user = user.filter(|_| matches).ok_or(Problem::BadLogin)?;
    let iat = app.now().unix();
    let exp = iat.saturating_add_unsigned(app.token_lifetime.as_secs());
    let token = app.key.sign(&Claims {
        sub: user.id,
        name: user.name,
        iat,
        exp,
    });
    Ok(fleeting(
        &json!({ "token": token, "expires": Timestamp::from_unix(exp) }),
    ))
}

/// `GET /me`
pub async fn me(Account(user): Account) -> Answer {
    Ok(private(&user, Groups::new().one("user", user.id)))
}

/// `GET /me/stats`
pub async fn stats(State(app): State<Arc<App>>, Account(user): Account) -> Answer {
    let today = app.now().date();
    let stats = app.store.read(move |db| stats::find(db, user.id, today)).await?;
    Ok(private(&stats, Groups::new().one("user", user.id)))
}
