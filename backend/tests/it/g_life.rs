//! Start, restart, several addresses, trouble on purpose, and the end.

use std::net::SocketAddr;
use std::time::Duration;

use backend::server::{Server, StartError, Stopped};
use fastrand::Rng;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::{Call, Reply, World, config, log, log_in};

#[tokio::test]
async fn the_health_of_a_server_is_asked_without_a_database() {
    let world = World::with(|_| {}).await;
    assert_eq!(
        world.get("/health").await.expect(200).json(),
        json!({ "status": "alive" })
    );
    assert_eq!(
        world.get("/ready").await.expect(200).json(),
        json!({ "status": "ready" })
    );
}

#[tokio::test]
async fn several_addresses_serve_one_database_and_name_themselves() {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let world = World::with(|config| config.listen = vec![any; 3]).await;
    let token = world.member("ada").await;
    assert_eq!(world.server.addresses().len(), 3);
    for address in world.server.addresses() {
        let me = Call::get("/me").token(&token).send(*address).await.expect(200);
        assert_eq!(me.header("server-instance"), Some(&*address.to_string()));
    }
}

#[tokio::test]
async fn two_servers_on_one_file_lose_no_write() {
    let world = World::seeded().await;
    let other = Server::start(config(world.folder.path())).await.unwrap();
    let ada = world.member("ada").await;
    let mut calls = Vec::new();
    for n in 0..40 {
        let address = [world.address(), other.addresses()[0]][n % 2];
        let call = Call::new("POST", "/logs")
            .token(&ada)
            .json(&log("2026-11-20", 1, 5, 60.0));
        calls.push(tokio::spawn(call.send(address)));
    }
    for call in calls {
        call.await.unwrap().expect(201);
    }
    for address in [world.address(), other.addresses()[0]] {
        assert_eq!(
            Call::get("/logs").token(&ada).send(address).await.json()["total"],
            40
        );
    }
}

#[tokio::test]
async fn a_restart_keeps_everything() {
    let World { folder, server } = World::seeded().await;
    let admin = log_in(server.addresses()[0], "admin", "admin-password").await;
    let body = json!({ "name": "Box squat", "muscle": "quads", "equipment": "barbell" });
    let made = Call::new("POST", "/exercises")
        .token(&admin)
        .json(&body)
        .send(server.addresses()[0])
        .await
        .expect(201);
    assert_eq!(server.stop().await, Stopped::Drained);
    // Closed cleanly: the write-ahead log has gone into the file.
    assert!(!folder.path().join("workouts.db-wal").exists());

    let mut again = config(folder.path());
    again.seed = true;
    let world = World {
        server: Server::start(again).await.unwrap(),
        folder,
    };
    assert_eq!(
        world.get(made.header("location").unwrap()).await.expect(200).body,
        made.body
    );
    Call::get("/me")
        .token(&admin)
        .send(world.address())
        .await
        .expect(200);
    assert_eq!(
        world.get("/exercises").await.json()["total"],
        64,
        "seeding twice adds nothing"
    );
}

#[tokio::test]
async fn what_cannot_work_does_not_start() {
    let world = World::with(|_| {}).await;
    let fails = async |change: &dyn Fn(&mut backend::server::Config)| {
        let mut config = config(world.folder.path());
        change(&mut config);
        Server::start(config).await.err().expect("it does not start")
    };
    let taken = world.address();
    assert!(
        matches!(fails(&|config| config.listen.push(taken)).await, StartError::Listen(address, _) if address == taken)
    );
    assert!(matches!(
        fails(&|config| config.admin = Some("eve".to_owned())).await,
        StartError::UnknownAdmin(_)
    ));
    assert!(matches!(
        fails(&|config| config.database = "/".into()).await,
        StartError::Database(..)
    ));
    let notes = world.folder.path().join("notes.txt");
    std::fs::write(
        &notes,
        "not a database, but long enough to look like one".repeat(50),
    )
    .unwrap();
    assert!(matches!(
        fails(&|config| config.database = notes.clone()).await,
        StartError::Database(..)
    ));
}

#[tokio::test]
async fn chaos_spares_only_the_watchers() {
    let chaos = "latency=1ms..2ms,error=1".parse().unwrap();
    let world = World::with(|config| config.chaos = Some((chaos, Rng::with_seed(1)))).await;
    for path in ["/", "/exercises", "/nothing", "/me"] {
        let reply = world.get(path).await.expect(503);
        assert!(reply.body.contains("on purpose") && reply.header("retry-after").is_some());
    }
    world.get("/health").await.expect(200);
    world.get("/ready").await.expect(200);
}

#[tokio::test]
async fn a_connection_serves_request_after_request() {
    let world = World::seeded().await;
    let mut stream = TcpStream::connect(world.address()).await.unwrap();
    // The second is sent before the first is answered; the third asks for the end.
    let head = |path: &str, more: &str| format!("GET {path} HTTP/1.1\r\nHost: x\r\n{more}\r\n");
    let requests = [
        head("/health", ""),
        head("/exercises/1", ""),
        head("/ready", "Connection: close\r\n"),
    ]
    .concat();
    stream.write_all(requests.as_bytes()).await.unwrap();
    let mut replies = String::new();
    stream.read_to_string(&mut replies).await.unwrap();
    assert_eq!(replies.matches("HTTP/1.1 200 OK").count(), 3);
    assert!(
        replies.find("alive") < replies.find("Bench press")
            && replies.find("Bench press") < replies.find("\"ready\"")
    );
}

/// A login whose handler runs, and waits for the body: the server has said so with 100 (Continue).
async fn half_a_login(address: SocketAddr, body: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "POST /login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\nExpect: 100-continue\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut interim = [0; 25];
    stream.read_exact(&mut interim).await.unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream
}

#[tokio::test]
async fn a_stop_finishes_what_has_begun() {
    let World {
        server,
        folder: _folder,
    } = World::seeded().await;
    let address = server.addresses()[0];
    let silent = TcpStream::connect(address).await.unwrap();
    let body = r#"{"name":"demo","password":"demo-password"}"#;
    let mut running = half_a_login(address, body).await;

    let stop = tokio::spawn(server.stop());
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(!stop.is_finished());
    running.write_all(body.as_bytes()).await.unwrap();
    let mut reply = Vec::new();
    running.read_to_end(&mut reply).await.unwrap();
    let reply = Reply::parse(&reply, "POST").expect(200);
    assert_eq!(reply.header("connection"), Some("close"));
    assert_eq!(stop.await.unwrap(), Stopped::Drained);
    drop(silent);
}

#[tokio::test]
async fn a_stop_does_not_wait_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path());
    config.drain_timeout = Duration::from_millis(1);
    let server = Server::start(config).await.unwrap();
    let mut running = half_a_login(server.addresses()[0], "{}").await;
    assert_eq!(server.stop().await, Stopped::CutOff);
    assert!(
        !matches!(running.read(&mut [0; 1]).await, Ok(1..)),
        "the connection is closed"
    );
    assert!(
        !folder.path().join("workouts.db-wal").exists(),
        "the database is closed all the same"
    );
}
