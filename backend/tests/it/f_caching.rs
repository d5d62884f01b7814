//! What caches are told, and what they may ask.

use serde_json::json;

use crate::harness::{Call, World, log, workout};

const PUBLIC: &str = "public, s-maxage=60, stale-while-revalidate=30";

#[tokio::test]
async fn the_catalogue_is_for_shared_caches() {
    let world = World::seeded().await;
    for (path, groups) in [
        ("/exercises", "\"exercises\""),
        ("/exercises?muscle=core&page=2", "\"exercises\""),
        ("/exercises/12", "\"exercise-12\""),
        ("/workouts", "\"workouts\""),
        (
            "/workouts/1",
            "\"workout-1\", \"exercise-46\", \"exercise-1\", \"exercise-10\"",
        ),
        ("/splits", "\"splits\""),
        ("/splits/1", "\"split-1\", \"workout-1\", \"workout-2\""),
    ] {
        let reply = world.get(path).await.expect(200);
        assert_eq!(reply.header("cache-control"), Some(PUBLIC));
        assert_eq!(reply.header("cache-groups"), Some(groups), "{path}");
        assert_eq!(reply.header("vary"), None);
    }
}

#[tokio::test]
async fn a_public_plan_is_the_same_for_everybody() {
    let world = World::seeded().await;
    let admin = world.admin().await;
    for path in ["/workouts/1", "/splits/1"] {
        let (theirs, owners) = (
            world.get(path).await,
            Call::get(path).token(&admin).send(world.address()).await,
        );
        assert_eq!(theirs.body, owners.body);
        for name in ["etag", "cache-control", "cache-groups", "vary"] {
            assert_eq!(theirs.header(name), owners.header(name));
        }
    }
}

#[tokio::test]
async fn what_is_a_users_own_is_not_for_shared_caches() {
    let world = World::seeded().await;
    let ada = world.member("ada").await;
    let workout = world.post("/workouts", &ada, workout("W", false, 1)).await;
    let log = world.post("/logs", &ada, log("2026-11-20", 1, 5, 60.0)).await;
    for path in [
        "/me",
        "/me/stats",
        "/me/workouts",
        "/me/splits",
        "/logs",
        workout.header("location").unwrap(),
        log.header("location").unwrap(),
    ] {
        let reply = Call::get(path)
            .token(&ada)
            .send(world.address())
            .await
            .expect(200);
        assert_eq!(reply.header("cache-control"), Some("private, no-cache"), "{path}");
        assert_eq!(reply.header("vary"), Some("authorization"));
        let again = Call::get(path)
            .token(&ada)
            .header("If-None-Match", reply.header("etag").unwrap());
        again.send(world.address()).await.expect(304);
    }
}

#[tokio::test]
async fn who_has_the_current_version_is_not_sent_it_again() {
    let world = World::seeded().await;
    for path in ["/exercises", "/exercises/3", "/workouts/1", "/splits", "/"] {
        let full = world.get(path).await.expect(200);
        let etag = full.header("etag").unwrap();
        assert!(etag.starts_with('"') && etag.ends_with('"') && etag.len() > 2);
        for known in [
            etag.to_owned(),
            format!("W/{etag}"),
            format!("\"old\", {etag}"),
            "*".to_owned(),
        ] {
            let call = Call::get(path).header("If-None-Match", &known);
            let short = call.send(world.address()).await.expect(304);
            for name in ["etag", "cache-control", "cache-groups", "link"] {
                assert_eq!(short.header(name), full.header(name));
            }
            assert_eq!(short.header("content-type"), None);
        }
        let call = Call::get(path).header("If-None-Match", "\"old\"");
        assert_eq!(call.send(world.address()).await.expect(200).body, full.body);
    }
}

#[tokio::test]
async fn head_says_what_get_would() {
    let world = World::seeded().await;
    for path in [
        "/exercises",
        "/exercises/3",
        "/workouts",
        "/splits/1",
        "/health",
        "/",
    ] {
        let (get, head) = (
            world.get(path).await,
            Call::new("HEAD", path).send(world.address()).await,
        );
        assert_eq!(head.status, 200);
        for name in [
            "content-length",
            "content-type",
            "etag",
            "cache-control",
            "cache-groups",
            "link",
        ] {
            assert_eq!(head.header(name), get.header(name), "{path} {name}");
        }
    }
    Call::new("HEAD", "/exercises/999999")
        .send(world.address())
        .await
        .expect(404);
    Call::new("HEAD", "/exercises")
        .header("If-None-Match", "*")
        .send(world.address())
        .await
        .expect(304);
}

#[tokio::test]
async fn a_write_names_what_it_made_stale() {
    let world = World::seeded().await;
    let admin = world.admin().await;
    let made = world
        .post(
            "/exercises",
            &admin,
            json!({ "name": "X", "muscle": "core", "equipment": "other" }),
        )
        .await;
    let path = made.header("location").unwrap().to_owned();
    let stale = format!("\"exercises\", \"exercise-{}\"", made.id());
    let put = Call::new("PUT", &path)
        .token(&admin)
        .json(&json!({ "name": "Y", "muscle": "core", "equipment": "other" }));
    let replies = [
        made,
        put.send(world.address()).await,
        Call::new("DELETE", &path)
            .token(&admin)
            .send(world.address())
            .await,
    ];
    for reply in replies {
        assert_eq!(reply.header("cache-group-invalidation"), Some(&*stale));
        assert_eq!(reply.header("cache-control"), Some("no-store"));
        assert_eq!((reply.header("etag"), reply.header("cache-groups")), (None, None));
    }
    let failed = world.post("/exercises", &admin, json!({})).await.expect(422);
    assert_eq!(failed.header("cache-group-invalidation"), None);
}

#[tokio::test]
async fn only_what_is_or_was_public_makes_the_catalogue_stale() {
    let world = World::seeded().await;
    let ada = world.member("ada").await; // the third user
    let stale = |reply: &crate::harness::Reply| reply.header("cache-group-invalidation").unwrap().to_owned();
    let made = world
        .post("/workouts", &ada, workout("W", false, 1))
        .await
        .expect(201);
    let own = format!("\"workout-{}\", \"user-3\"", made.id());
    let all = format!("{own}, \"workouts\"");
    assert_eq!(stale(&made), own);
    let path = made.header("location").unwrap().to_owned();
    let put = |public| {
        Call::new("PUT", &path)
            .token(&ada)
            .json(&workout("W", public, 1))
            .send(world.address())
    };
    assert_eq!(stale(&put(false).await), own);
    assert_eq!(stale(&put(true).await), all);
    assert_eq!(stale(&put(false).await), all);
    assert_eq!(
        stale(&Call::new("DELETE", &path).token(&ada).send(world.address()).await),
        own
    );
}
