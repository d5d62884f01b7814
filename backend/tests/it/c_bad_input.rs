//! What is wrong is named, field by field, and changes nothing.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::{Call, World, log, workout};

/// Posts each body as the seeded admin, and compares the fields that the answer names. Nothing may be stored.
async fn refuses(cases: &[(&str, &str, &str)]) {
    let world = World::seeded().await;
    let (admin, before) = (world.admin().await, world.rows());
    for (path, body, fields) in cases {
        let body: Value = serde_json::from_str(body).unwrap();
        let reply = world.post(path, &admin, body.clone()).await.expect(422);
        assert_eq!(reply.wrong_fields().join(" "), *fields, "{path} {body}");
    }
    assert_eq!(world.rows(), before);
}

#[tokio::test]
async fn every_wrong_field_of_an_account_is_named() {
    let long = format!(r#"{{"name": "ada", "password": "{}"}}"#, "x".repeat(257));
    refuses(&[
        ("/users", "{}", "name password"),
        ("/users", "[]", ""),
        (
            "/users",
            r#"{"name": "ab", "password": "short", "role": "admin"}"#,
            "name password role",
        ),
        ("/users", r#"{"name": 7, "password": null}"#, "name password"),
        (
            "/users",
            r#"{"name": "\u0430da", "password": "correct horse"}"#,
            "name",
        ),
        ("/users", &long, "password"),
        ("/login", &long, "password"),
        ("/login", r#"{"name": "ada", "password": ["x"]}"#, "password"),
    ])
    .await;
}

#[tokio::test]
async fn every_wrong_field_of_an_exercise_is_named() {
    let long = format!(
        r#"{{"name": "{}", "muscle": "core", "equipment": "other", "description": "{}"}}"#,
        "x".repeat(81),
        "x".repeat(2_001)
    );
    refuses(&[
        (
            "/exercises",
            r#"{"name": " x", "muscle": "brain", "equipment": 1}"#,
            "name muscle equipment",
        ),
        (
            "/exercises",
            r#"{"name": "x\ny", "muscle": "core", "equipment": "other"}"#,
            "name",
        ),
        (
            "/exercises",
            r#"{"name": "x\u0007", "muscle": "core", "equipment": "other"}"#,
            "name",
        ),
        (
            "/exercises",
            r#"{"name": "Bench", "muscle": "chest", "equipment": "barbell", "id": 7}"#,
            "id",
        ),
        ("/exercises", &long, "name description"),
    ])
    .await;
}

#[tokio::test]
async fn every_wrong_field_of_a_workout_is_named() {
    let many = json!({ "name": "x", "exercises": vec![json!({}); 31] }).to_string();
    let items = r#"{"name": "", "public": "yes", "exercises": [
        {"exercise_id": 1, "sets": 0, "reps": 1.5, "weight_kg": -1}, 7, {"exercise_id": "1", "sets": 1, "reps": 1, "rest": 9}]}"#;
    refuses(&[
        ("/workouts", r#"{"name": "x", "exercises": []}"#, "exercises"),
        ("/workouts", &many, "exercises"),
        (
            "/workouts",
            items,
            "name public exercises[0].sets exercises[0].reps exercises[0].weight_kg exercises[1] \
             exercises[2].exercise_id exercises[2].rest",
        ),
        (
            "/workouts",
            &workout("x", true, 999_999).to_string(),
            "exercises[0].exercise_id",
        ),
    ])
    .await;
}

#[tokio::test]
async fn every_wrong_field_of_a_split_is_named() {
    let twice = r#"[{"day": "monday", "workout_id": 1}, {"day": "monday", "workout_id": 2}]"#;
    let unknown = r#"[{"day": "someday", "workout_id": 0}]"#;
    let missing = r#"[{"day": "friday", "workout_id": 1}, {"day": "sunday", "workout_id": 999999}]"#;
    let split = |days: &str| format!(r#"{{"name": "x", "days": {days}}}"#);
    refuses(&[
        ("/splits", &split(twice), "days[1].day"),
        ("/splits", &split(unknown), "days[0].day days[0].workout_id"),
        ("/splits", &split(missing), "days[1].workout_id"),
        ("/splits", &split("{}"), "days"),
    ])
    .await;
}

#[tokio::test]
async fn every_wrong_field_of_a_log_is_named() {
    let sets = r#"{"performed_on": "2026-02-30", "entries": [{"exercise_id": 1, "sets": [
        {"reps": 1001, "weight_kg": 0.0001}, {"reps": 1, "weight_kg": 1000.001}]}]}"#;
    let sets_fields =
        "performed_on entries[0].sets[0].reps entries[0].sets[0].weight_kg entries[0].sets[1].weight_kg";
    let workout = r#"{"workout_id": 999999, "entries": [{"exercise_id": 1, "sets": [{"reps": 1}]}]}"#;
    refuses(&[
        ("/logs", sets, sets_fields),
        (
            "/logs",
            r#"{"entries": [{"exercise_id": 1, "sets": []}]}"#,
            "entries[0].sets",
        ),
        (
            "/logs",
            &log("2026-11-23", 1, 5, 60.0).to_string(),
            "performed_on",
        ),
        (
            "/logs",
            &log("1899-12-31", 1, 5, 60.0).to_string(),
            "performed_on",
        ),
        (
            "/logs",
            &log("2026-11-21", 999_999, 5, 60.0).to_string(),
            "entries[0].exercise_id",
        ),
        ("/logs", workout, "workout_id"),
    ])
    .await;
}

#[tokio::test]
async fn a_list_of_faults_ends_somewhere() {
    let world = World::seeded().await;
    let body: Value = (0..500)
        .map(|n| (format!("field {n}"), json!(n)))
        .collect::<serde_json::Map<_, _>>()
        .into();
    let reply = world.post("/users", "", body).await.expect(422);
    assert_eq!(reply.wrong_fields().len(), 50);
}

#[tokio::test]
async fn broken_json_is_answered_with_its_place() {
    let world = World::with(|_| {}).await;
    for (body, place) in [
        ("{\n  \"name\": ada }", "line 2 column 11"),
        ("", "line 1 column 0"),
        ("{} {}", "line 1 column 4"),
    ] {
        let call = Call::new("POST", "/users")
            .header("Content-Type", "application/json")
            .body(body);
        let reply = call.send(world.address()).await.expect(400);
        assert!(reply.body.contains(place), "{}", reply.body);
    }
    let deep = "[".repeat(60_000);
    let not_utf8 = b"{\"name\": \"\xff\"}".to_vec();
    for body in [deep.into_bytes(), not_utf8] {
        let call = Call::new("POST", "/users")
            .header("Content-Type", "application/json; charset=utf-8")
            .body(body);
        call.send(world.address()).await.expect(400);
    }
}

#[tokio::test]
async fn only_json_is_read() {
    let world = World::with(|_| {}).await;
    let body = r#"{"name":"ada","password":"correct horse"}"#;
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/jsonp",
        "",
    ] {
        let call = Call::new("POST", "/users")
            .header("Content-Type", kind)
            .body(body);
        assert_eq!(
            call.send(world.address()).await.expect(415).header("accept"),
            Some("application/json")
        );
    }
    Call::new("POST", "/users")
        .body(body)
        .send(world.address())
        .await
        .expect(415);
    Call::new("POST", "/users")
        .header("Content-Type", "Application/JSON;x=y")
        .body(body)
        .send(world.address())
        .await
        .expect(201);
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_by_its_size() {
    let world = World::with(|_| {}).await;
    for size in [64 * 1024 + 1, 4 * 1024 * 1024] {
        let call = Call::new("POST", "/users")
            .header("Content-Type", "application/json")
            .body("7".repeat(size));
        let reply = call.send(world.address()).await.expect(413);
        assert!(reply.body.contains("65536 bytes"));
    }
    let call = Call::new("POST", "/users")
        .header("Content-Type", "application/json")
        .body("7".repeat(64 * 1024));
    call.send(world.address()).await.expect(400);
}

#[tokio::test]
async fn a_refused_body_does_not_cost_the_connection() {
    let world = World::with(|_| {}).await;
    let mut stream = TcpStream::connect(world.address()).await.unwrap();
    let refused = format!(
        "POST /logs HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n{}",
        "x".repeat(60_000)
    );
    let last = "GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    stream
        .write_all([refused.as_str(), last].concat().as_bytes())
        .await
        .unwrap();
    let mut replies = String::new();
    stream.read_to_string(&mut replies).await.unwrap();
    assert!(
        replies.starts_with("HTTP/1.1 401 ") && replies.contains("HTTP/1.1 200 OK"),
        "{replies}"
    );
}

#[tokio::test]
async fn a_query_has_only_what_is_known_and_each_once() {
    let world = World::seeded().await;
    for (query, fields) in [
        ("page=0", vec!["page"]),
        ("page=-1&per_page=101", vec!["page", "per_page"]),
        ("page=1.0", vec!["page"]),
        ("page=99999999999999999999", vec!["page"]),
        ("muscle=brain&sort=name", vec!["muscle", "sort"]),
        ("page=1&page=2", vec!["page"]),
        ("page=", vec!["page"]),
    ] {
        let reply = world.get(&format!("/exercises?{query}")).await.expect(400);
        assert_eq!(reply.wrong_fields(), fields, "{query}");
    }
    for path in ["/workouts?page=x", "/splits?muscle=chest"] {
        world.get(path).await.expect(400);
    }
}
