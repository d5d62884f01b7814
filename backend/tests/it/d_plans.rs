//! Workouts and splits: private unless said otherwise, and written by their owners only.

use serde_json::json;

use crate::harness::{Call, World, workout};

#[tokio::test]
async fn a_private_workout_is_its_owners_alone() {
    let world = World::seeded().await;
    let (ada, eve) = (world.member("ada").await, world.member("eve").await);
    let made = world
        .post("/workouts", &ada, workout("Secret", false, 1))
        .await
        .expect(201);
    let path = made.header("location").unwrap().to_owned();
    let as_eve = |method| Call::new(method, &path).token(&eve);

    assert_eq!(
        Call::get(&path)
            .token(&ada)
            .send(world.address())
            .await
            .expect(200)
            .body,
        made.body
    );
    world.get(&path).await.expect(404);
    as_eve("GET").send(world.address()).await.expect(404);
    as_eve("DELETE").send(world.address()).await.expect(404);
    as_eve("PUT")
        .json(&workout("Mine", true, 1))
        .send(world.address())
        .await
        .expect(404);
    assert!(!world.get("/workouts?per_page=100").await.body.contains("Secret"));
    assert!(
        Call::get("/me/workouts")
            .token(&ada)
            .send(world.address())
            .await
            .body
            .contains("Secret")
    );
    assert!(
        !Call::get("/me/workouts")
            .token(&eve)
            .send(world.address())
            .await
            .body
            .contains("Secret")
    );
}

#[tokio::test]
async fn a_public_workout_is_everybodys_to_read_and_its_owners_to_write() {
    let world = World::seeded().await;
    let (ada, eve) = (world.member("ada").await, world.member("eve").await);
    let path = format!(
        "/workouts/{}",
        world
            .post("/workouts", &ada, workout("Shared", true, 1))
            .await
            .expect(201)
            .id()
    );
    assert_eq!(world.get(&path).await.expect(200).json()["owner"], "ada");
    Call::new("PUT", &path)
        .token(&eve)
        .json(&workout("Mine", true, 1))
        .send(world.address())
        .await
        .expect(403);
    Call::new("DELETE", &path)
        .token(&eve)
        .send(world.address())
        .await
        .expect(403);
    Call::new("DELETE", &path).send(world.address()).await.expect(401);
    Call::new("DELETE", &path)
        .token(&ada)
        .send(world.address())
        .await
        .expect(204);
    world.get(&path).await.expect(404);
}

#[tokio::test]
async fn a_workout_keeps_the_order_of_its_exercises() {
    let world = World::seeded().await;
    let ada = world.member("ada").await;
    let items = |ids: &[i64]| {
        ids.iter()
            .map(|id| json!({ "exercise_id": id, "sets": 1, "reps": 1 }))
            .collect::<Vec<_>>()
    };
    let order = |json: serde_json::Value| -> Vec<i64> {
        json["exercises"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["exercise_id"].as_i64().unwrap())
            .collect()
    };
    let made = world
        .post(
            "/workouts",
            &ada,
            json!({ "name": "W", "exercises": items(&[9, 3, 9, 1]) }),
        )
        .await
        .expect(201);
    assert_eq!(order(made.json()), [9, 3, 9, 1]);
    let put = Call::new("PUT", made.header("location").unwrap()).token(&ada);
    let new = put
        .json(&json!({ "name": "W", "exercises": items(&[1, 9]) }))
        .send(world.address())
        .await
        .expect(200);
    assert_eq!(order(new.json()), [1, 9]);
}

#[tokio::test]
async fn a_name_is_unique_among_ones_own() {
    let world = World::seeded().await;
    let (ada, eve) = (world.member("ada").await, world.member("eve").await);
    world
        .post("/workouts", &ada, workout("Monday", false, 1))
        .await
        .expect(201);
    world
        .post("/workouts", &ada, workout("MONDAY", false, 1))
        .await
        .expect(409);
    world
        .post("/workouts", &eve, workout("Monday", false, 1))
        .await
        .expect(201);
}

#[tokio::test]
async fn a_split_shows_its_week_from_monday_on() {
    let world = World::seeded().await;
    let ada = world.member("ada").await;
    let days = json!([{ "day": "friday", "workout_id": 2 }, { "day": "monday", "workout_id": 1 }]);
    let made = world
        .post(
            "/splits",
            &ada,
            json!({ "name": "Mine", "public": true, "days": days }),
        )
        .await
        .expect(201);
    let shown = world
        .get(made.header("location").unwrap())
        .await
        .expect(200)
        .json();
    assert_eq!(
        shown["days"][0],
        json!({ "day": "monday", "workout_id": 1, "workout": "Full body A" })
    );
    assert_eq!(shown["days"][1]["day"], "friday");
}

#[tokio::test]
async fn a_split_never_shows_a_workout_to_those_who_may_not_read_it() {
    let world = World::seeded().await;
    let (ada, eve) = (world.member("ada").await, world.member("eve").await);
    let private = world
        .post("/workouts", &ada, workout("Private", false, 1))
        .await
        .id();
    let shared = world
        .post("/workouts", &ada, workout("Shared", true, 1))
        .await
        .id();
    let split = |name: &str, public, workout| json!({ "name": name, "public": public, "days": [{ "day": "monday", "workout_id": workout }] });

    assert_eq!(
        world
            .post("/splits", &ada, split("a", true, private))
            .await
            .expect(422)
            .wrong_fields(),
        ["days[0].workout_id"]
    );
    world
        .post("/splits", &eve, split("b", false, private))
        .await
        .expect(422);
    world
        .post("/splits", &ada, split("c", false, private))
        .await
        .expect(201);
    let relies = world
        .post("/splits", &eve, split("d", false, shared))
        .await
        .expect(201);

    // Eve relies on the shared one: it can neither go nor become private, until she has let go of it.
    let path = format!("/workouts/{shared}");
    let withdraw = Call::new("PUT", &path)
        .token(&ada)
        .json(&workout("Shared", false, 1));
    let delete = Call::new("DELETE", &path).token(&ada);
    withdraw.clone().send(world.address()).await.expect(409);
    delete.clone().send(world.address()).await.expect(409);
    world.get(&path).await.expect(200);
    Call::new("DELETE", relies.header("location").unwrap())
        .token(&eve)
        .send(world.address())
        .await
        .expect(204);
    withdraw.send(world.address()).await.expect(200);
    delete.send(world.address()).await.expect(204);
}

#[tokio::test]
async fn a_write_for_an_old_version_is_refused() {
    let world = World::seeded().await;
    let ada = world.member("ada").await;
    let path = format!(
        "/workouts/{}",
        world.post("/workouts", &ada, workout("W", true, 1)).await.id()
    );
    let etag = world.get(&path).await.header("etag").unwrap().to_owned();
    let put = |name, etag: &str| {
        Call::new("PUT", &path)
            .token(&ada)
            .header("If-Match", etag)
            .json(&workout(name, true, 2))
            .send(world.address())
    };
    put("First", &etag).await.expect(200);
    put("Second", &etag).await.expect(412);
    put("Second", "*").await.expect(200);
    Call::new("DELETE", &path)
        .token(&ada)
        .header("If-Match", &etag)
        .send(world.address())
        .await
        .expect(412);
    assert_eq!(world.get(&path).await.expect(200).json()["name"], "Second");
}
