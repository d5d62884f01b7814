//! Exercises: what everybody reads and admins write.

use serde_json::json;

use crate::harness::{Call, World};

#[tokio::test]
async fn following_the_next_links_reads_the_whole_catalogue_once() {
    let world = World::seeded().await;
    let total = world.get("/exercises").await.expect(200).json()["total"]
        .as_u64()
        .unwrap() as usize;
    assert!(total >= 60);
    for per_page in [1, 7, 20, 100] {
        let (mut names, mut at) = (Vec::new(), Some(format!("/exercises?per_page={per_page}")));
        let mut before: Option<String> = None;
        while let Some(path) = at {
            let page = world.get(&path).await.expect(200);
            assert_eq!(page.link("prev").is_some(), before.is_some());
            let json = page.json();
            names.extend(
                json["items"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|item| item["name"].to_string().to_lowercase()),
            );
            assert_eq!(json["total"], total);
            before = Some(path);
            at = page.link("next");
        }
        assert_eq!(names.len(), total);
        assert!(names.is_sorted(), "{names:?}");
    }
}

#[tokio::test]
async fn a_filter_stays_in_the_links() {
    let world = World::seeded().await;
    let first = world.get("/exercises?per_page=3&muscle=chest").await.expect(200);
    let second = world.get(&first.link("next").unwrap()).await.expect(200);
    for page in [first, second] {
        let json = page.json();
        assert_eq!((&json["total"], &json["per_page"]), (&json!(8), &json!(3)));
        assert!(
            json["items"]
                .as_array()
                .unwrap()
                .iter()
                .all(|item| item["muscle"] == "chest")
        );
    }
}

#[tokio::test]
async fn beyond_the_last_page_there_is_nothing_but_the_way_back() {
    let world = World::seeded().await;
    let page = world
        .get("/exercises?page=1000000&per_page=100")
        .await
        .expect(200);
    assert_eq!(page.json()["items"], json!([]));
    assert_eq!(
        page.link("prev").as_deref(),
        Some("/exercises?page=1&per_page=100")
    );
    assert_eq!(page.link("next"), None);
}

#[tokio::test]
async fn an_admin_writes_what_everybody_reads() {
    let world = World::seeded().await;
    let admin = world.admin().await;
    let squat = json!({ "name": "Box squat", "muscle": "quads", "equipment": "barbell" });
    let made = world.post("/exercises", &admin, squat.clone()).await.expect(201);
    let path = format!("/exercises/{}", made.id());
    assert_eq!(made.header("location"), Some(&*path));
    assert_eq!(world.get(&path).await.expect(200).body, made.body);

    world.post("/exercises", &admin, squat).await.expect(409);
    let renamed =
        json!({ "name": "Low box squat", "muscle": "glutes", "equipment": "barbell", "description": "Sit." });
    Call::new("PUT", &path)
        .token(&admin)
        .json(&renamed)
        .send(world.address())
        .await
        .expect(200);
    assert_eq!(world.get(&path).await.json()["muscle"], "glutes");

    Call::new("DELETE", &path)
        .token(&admin)
        .send(world.address())
        .await
        .expect(204);
    world.get(&path).await.expect(404);
    Call::new("DELETE", &path)
        .token(&admin)
        .send(world.address())
        .await
        .expect(404);
}

#[tokio::test]
async fn an_exercise_that_somebody_uses_stays() {
    let world = World::seeded().await;
    let (admin, before) = (world.admin().await, world.rows());
    Call::new("DELETE", "/exercises/1")
        .token(&admin)
        .send(world.address())
        .await
        .expect(409);
    assert_eq!(world.rows(), before);
}

#[tokio::test]
async fn members_and_strangers_do_not_write_the_catalogue() {
    let world = World::seeded().await;
    let (member, before) = (world.member("ada").await, world.rows());
    let body = json!({ "name": "X", "muscle": "core", "equipment": "other" });
    for (method, path) in [
        ("POST", "/exercises"),
        ("PUT", "/exercises/1"),
        ("DELETE", "/exercises/1"),
    ] {
        Call::new(method, path)
            .json(&body)
            .send(world.address())
            .await
            .expect(401);
        Call::new(method, path)
            .token(&member)
            .json(&body)
            .send(world.address())
            .await
            .expect(403);
    }
    assert_eq!(world.rows(), before);
}

#[tokio::test]
async fn each_thing_has_one_address() {
    let world = World::seeded().await;
    for path in [
        "/exercises/0",
        "/exercises/01",
        "/exercises/+1",
        "/exercises/-1",
        "/exercises/x",
        "/exercises/1/",
        "/exercises/9223372036854775808",
        "/exercises/%ff",
        "/nothing",
        "//exercises",
    ] {
        world.get(path).await.expect(404);
    }
}

#[tokio::test]
async fn a_method_that_does_not_fit_is_told_which_do() {
    let world = World::seeded().await;
    for (method, path, allow) in [
        ("DELETE", "/exercises", "GET,HEAD,POST"),
        ("PATCH", "/exercises/1", "GET,HEAD,PUT,DELETE"),
        ("GET", "/login", "POST"),
        ("POST", "/health", "GET,HEAD"),
    ] {
        let reply = Call::new(method, path).send(world.address()).await.expect(405);
        assert_eq!(reply.header("allow"), Some(allow));
    }
}
