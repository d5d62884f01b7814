//! Registration, login, tokens.

use std::time::Duration;

use backend::token::{Claims, Key};
use serde_json::json;

use crate::harness::{Call, NOW, SECRET, World, log_in};

#[tokio::test]
async fn who_registers_can_log_in_and_see_themselves() {
    let world = World::with(|_| {}).await;
    let token = world.member("Ada").await;
    let me = Call::get("/me")
        .token(&token)
        .send(world.address())
        .await
        .expect(200);
    assert_eq!(me.json()["name"], "Ada");
    assert_eq!(me.json()["role"], "member");
    assert!(!me.body.contains("argon2"));
    log_in(world.address(), "aDA", "correct horse").await;
}

#[tokio::test]
async fn a_name_belongs_to_one_user_in_any_case() {
    let world = World::with(|_| {}).await;
    world.member("ada").await;
    let before = world.rows();
    let reply = world
        .post("/users", "", json!({ "name": "ADA", "password": "another one" }))
        .await
        .expect(409);
    assert!(reply.json()["detail"].as_str().unwrap().contains("taken"));
    assert_eq!(world.rows(), before);
}

#[tokio::test]
async fn of_many_who_want_a_name_at_once_one_gets_it() {
    let world = World::with(|_| {}).await;
    let call = Call::new("POST", "/users").json(&json!({ "name": "ada", "password": "correct horse" }));
    let calls: Vec<_> = (0..8)
        .map(|_| tokio::spawn(call.clone().send(world.address())))
        .collect();
    let mut statuses = Vec::new();
    for call in calls {
        statuses.push(call.await.unwrap().status);
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409, 409, 409, 409, 409, 409, 409]);
}

#[tokio::test]
async fn a_failed_login_does_not_tell_what_was_wrong() {
    let world = World::with(|_| {}).await;
    world.member("ada").await;
    let mut bodies = Vec::new();
    for (name, password) in [
        ("ada", "incorrect horse"),
        ("eve", "correct horse"),
        ("no such name!", "x"),
    ] {
        let reply = world
            .post("/login", "", json!({ "name": name, "password": password }))
            .await
            .expect(401);
        assert_eq!(
            reply.header("www-authenticate"),
            Some("Bearer realm=\"workouts\"")
        );
        bodies.push(reply.body);
    }
    bodies.dedup();
    assert_eq!(bodies.len(), 1);
}

#[tokio::test]
async fn what_is_private_asks_for_a_token() {
    let world = World::with(|_| {}).await;
    for path in [
        "/me",
        "/me/stats",
        "/me/workouts",
        "/me/splits",
        "/logs",
        "/logs/1",
    ] {
        let reply = world.get(path).await.expect(401);
        assert_eq!(
            reply.header("www-authenticate"),
            Some("Bearer realm=\"workouts\""),
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_forged_token_opens_nothing() {
    let world = World::with(|_| {}).await;
    let token = world.member("ada").await;
    let claims = Claims {
        sub: 1,
        name: "ada".to_owned(),
        iat: NOW,
        exp: NOW + 60,
    };
    let sign = |claims: &Claims| Key::from_secret(SECRET).unwrap().sign(claims);
    Call::get("/me")
        .token(&sign(&claims))
        .send(world.address())
        .await
        .expect(200);

    let (head_and_claims, _) = token.rsplit_once('.').unwrap();
    let (_, claims_and_signature) = token.split_once('.').unwrap();
    let none = "eyJhbGciOiJub25lIn0"; // {"alg":"none"}
    for forged in [
        Key::from_secret(&[7; 32]).unwrap().sign(&claims),
        format!("{head_and_claims}."),
        head_and_claims.to_owned(),
        format!("{none}.{claims_and_signature}"),
        format!("{token}="),
        format!("{token} {token}"),
        "a".repeat(5_000),
        String::new(),
        sign(&Claims {
            exp: NOW,
            ..claims.clone()
        }),
        sign(&Claims {
            sub: 2,
            ..claims.clone()
        }),
        sign(&Claims {
            name: "eve".to_owned(),
            ..claims.clone()
        }),
    ] {
        let reply = Call::get("/me")
            .token(&forged)
            .send(world.address())
            .await
            .expect(401);
        assert!(
            reply
                .header("www-authenticate")
                .unwrap()
                .contains("invalid_token"),
            "{forged}"
        );
    }
    let basic = Call::get("/me").header("Authorization", &format!("Basic {token}"));
    basic.send(world.address()).await.expect(401);
}

#[tokio::test]
async fn a_token_expires() {
    let world = World::with(|config| config.token_lifetime = Duration::ZERO).await;
    let token = world.member("ada").await;
    Call::get("/me")
        .token(&token)
        .send(world.address())
        .await
        .expect(401);
}

#[tokio::test]
async fn a_promoted_user_is_an_admin_with_the_token_they_have() {
    let world = World::with(|_| {}).await;
    let token = world.member("ada").await;
    let mut config = crate::harness::config(world.folder.path());
    config.admin = Some("ada".to_owned());
    let promoted = backend::server::Server::start(config).await.unwrap();
    assert_eq!(
        Call::get("/me")
            .token(&token)
            .send(promoted.addresses()[0])
            .await
            .json()["role"],
        "admin"
    );
    assert_eq!(
        Call::get("/me").token(&token).send(world.address()).await.json()["role"],
        "admin"
    );
}
