//! A server of its own for each test, and a client that checks every reply.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use backend::calendar::Timestamp;
use backend::password::Cost;
use backend::server::{Config, Server};
use backend::token::Key;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What the clock of every test shows: Saturday, 2026-11-21, noon.
pub const NOW: i64 = 20_778 * 86_400 + 43_200;
pub const SECRET: &[u8] = b"thirty-two bytes or a little more";

/// The plainest configuration: an empty database in `folder`, one address.
pub fn config(folder: &Path) -> Config {
    Config {
        listen: vec![SocketAddr::from(([127, 0, 0, 1], 0))],
        database: folder.join("workouts.db"),
        key: Key::from_secret(SECRET).unwrap(),
        token_lifetime: Duration::from_secs(600),
        password_cost: Cost {
            memory_kib: 8,
            passes: 1,
        },
        seed: false,
        admin: None,
        drain_timeout: Duration::from_secs(10),
        chaos: None,
        clock: || Timestamp::from_unix(NOW),
    }
}

/// A running server in a folder that goes away with it.
pub struct World {
    pub folder: TempDir,
    pub server: Server,
}

impl World {
    /// With sample data.
    pub async fn seeded() -> World {
        World::with(|config| config.seed = true).await
    }

    /// With a configuration of the test's own.
    pub async fn with(change: impl FnOnce(&mut Config)) -> World {
        let folder = TempDir::new().unwrap();
        let mut config = config(folder.path());
        change(&mut config);
        World {
            server: Server::start(config).await.unwrap(),
            folder,
        }
    }

    pub fn database(&self) -> PathBuf {
        self.folder.path().join("workouts.db")
    }

    pub fn address(&self) -> SocketAddr {
        self.server.addresses()[0]
    }

    pub async fn get(&self, path: &str) -> Reply {
        Call::get(path).send(self.address()).await
    }

    pub async fn post(&self, path: &str, token: &str, body: Value) -> Reply {
        Call::new("POST", path)
            .token(token)
            .json(&body)
            .send(self.address())
            .await
    }

    /// Registers a member and logs in.
    pub async fn member(&self, name: &str) -> String {
        let body = json!({ "name": name, "password": "correct horse" });
        Call::new("POST", "/users")
            .json(&body)
            .send(self.address())
            .await
            .expect(201);
        log_in(self.address(), name, "correct horse").await
    }

    /// Logs in as the seeded admin.
    pub async fn admin(&self) -> String {
        log_in(self.address(), "admin", "admin-password").await
    }

    /// How many rows each table has.
    pub fn rows(&self) -> Vec<i64> {
        let db = rusqlite::Connection::open(self.database()).unwrap();
        [
            "users",
            "exercises",
            "workouts",
            "workout_exercises",
            "splits",
            "split_days",
            "logs",
            "log_sets",
        ]
        .map(|table| {
            db.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0))
                .unwrap()
        })
        .to_vec()
    }
}

pub async fn log_in(address: SocketAddr, name: &str, password: &str) -> String {
    let body = json!({ "name": name, "password": password });
    let reply = Call::new("POST", "/login")
        .json(&body)
        .send(address)
        .await
        .expect(200);
    reply.json()["token"].as_str().unwrap().to_owned()
}

/// A request.
#[derive(Clone)]
pub struct Call {
    method: &'static str,
    head: String,
    body: Vec<u8>,
}

impl Call {
    pub fn new(method: &'static str, path: &str) -> Call {
        let head = format!("{method} {path} HTTP/1.1\r\nHost: workouts.test\r\nConnection: close\r\n");
        Call {
            method,
            head,
            body: Vec::new(),
        }
    }

    pub fn get(path: &str) -> Call {
        Call::new("GET", path)
    }

    pub fn header(mut self, name: &str, value: &str) -> Call {
        self.head.push_str(&format!("{name}: {value}\r\n"));
        self
    }

    pub fn token(self, token: &str) -> Call {
        self.header("Authorization", &format!("Bearer {token}"))
    }

    pub fn json(self, body: &Value) -> Call {
        self.header("Content-Type", "application/json")
            .body(body.to_string())
    }

    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Call {
        self.body = body.into();
        let length = self.body.len();
        self.header("Content-Length", &length.to_string())
    }

    pub async fn send(self, address: SocketAddr) -> Reply {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = [self.head.as_bytes(), b"\r\n", &self.body].concat();
        stream.write_all(&request).await.unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.unwrap();
        Reply::parse(&bytes, self.method)
    }
}

/// A response that has what every response has.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    headers: Vec<(String, String)>,
    pub body: String,
}

impl Reply {
    pub fn parse(bytes: &[u8], method: &str) -> Reply {
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let (head, body) = text
            .split_once("\r\n\r\n")
            .unwrap_or_else(|| panic!("no head in {text:?}"));
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let header = |line: &str| {
            let (name, value) = line.split_once(": ").unwrap();
            (name.to_owned(), value.to_owned())
        };
        let reply = Reply {
            status,
            headers: lines.map(header).collect(),
            body: body.to_owned(),
        };
        reply.check(method);
        reply
    }

    fn check(&self, method: &str) {
        for name in ["date", "server-instance", "cache-control"] {
            assert!(self.header(name).is_some(), "no {name} in {self:?}");
        }
        if method == "HEAD" || matches!(self.status, 204 | 304) {
            assert_eq!(self.body, "");
        } else {
            assert_eq!(
                self.header("content-length"),
                Some(&*self.body.len().to_string()),
                "{self:?}"
            );
        }
        if self.status >= 400 && method != "HEAD" {
            assert_eq!(self.header("content-type"), Some("application/problem+json"));
            assert_eq!(self.header("cache-control"), Some("no-store"));
            assert_eq!(self.json()["status"], self.status);
        }
    }

    #[track_caller]
    pub fn expect(self, status: u16) -> Reply {
        assert_eq!(self.status, status, "{self:?}");
        self
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| &**value)
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// The id of what a write made.
    pub fn id(&self) -> i64 {
        self.json()["id"].as_i64().unwrap()
    }

    /// The names of the fields that are wrong.
    pub fn wrong_fields(&self) -> Vec<String> {
        let json = self.json();
        let errors = json["errors"]
            .as_array()
            .unwrap_or_else(|| panic!("no errors in {self:?}"));
        assert!(
            errors
                .iter()
                .all(|error| error["message"].as_str().is_some_and(|text| !text.is_empty()))
        );
        errors
            .iter()
            .map(|error| error["field"].as_str().unwrap().to_owned())
            .collect()
    }

    /// Where `Link` leads.
    pub fn link(&self, rel: &str) -> Option<String> {
        let links = self.header("link")?.split(", ");
        let mut urls = links.filter_map(|link| link.strip_suffix(&format!("; rel=\"{rel}\"")));
        urls.next().map(|url| url.trim_matches(['<', '>']).to_owned())
    }
}

/// A workout of one exercise.
pub fn workout(name: &str, public: bool, exercise: i64) -> Value {
    json!({ "name": name, "public": public, "exercises": [{ "exercise_id": exercise, "sets": 5, "reps": 5, "weight_kg": 62.5 }] })
}

/// A log of one set.
pub fn log(day: &str, exercise: i64, reps: i64, kg: f64) -> Value {
    json!({ "performed_on": day, "entries": [{ "exercise_id": exercise, "sets": [{ "reps": reps, "weight_kg": kg }] }] })
}
