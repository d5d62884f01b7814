//! A real gateway in this process, on ports of its own.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ::gateway::config::Problems;
use ::gateway::config::changes::Changes;
use ::gateway::kit::clock::Clock;
use ::gateway::server::{Gateway as Running, StartError};
use serde_json::Value;

use crate::admin::Admin;
use crate::client::{Connection, Pending, Request, Response};
use crate::metrics::Metrics;
use crate::patience::wait_for;

/// Where a manual clock starts: 2023-11-14T22:13:20Z.
const EPOCH: Duration = Duration::from_secs(1_700_000_000);

/// A running gateway.
///
/// Sections a play does not care about are added to its text: a listener and an admin address on port 0, an
/// access log into the play's folder, two workers. Dropping it stops it, and fails the play unless every
/// request ended by itself; if the play has failed already, it prints what the gateway has to say.
pub struct Gateway {
    running: Option<Running>,
    clock: Clock,
    folder: tempfile::TempDir,
    /// Addresses of servers: none of them may stand in an error.
    secrets: Arc<[String]>,
    /// Whether a play expects that requests are cut off at the end.
    unclean: bool,
}

impl Gateway {
    /// Starts a gateway on the system's clock.
    #[track_caller]
    pub fn start(toml: &str) -> Self {
        Self::start_with(toml, Clock::system())
    }

    /// Starts a gateway whose clock stands still until [`Gateway::advance`].
    #[track_caller]
    pub fn start_with_manual_clock(toml: &str) -> Self {
        Self::start_with(toml, Clock::manual(EPOCH))
    }

    #[track_caller]
    fn start_with(toml: &str, clock: Clock) -> Self {
        Self::try_start(toml, clock)
            .unwrap_or_else(|error| panic!("the gateway does not start: {error}\n{toml}"))
    }

    /// Starts a gateway, or says why not.
    pub fn try_start(toml: &str, clock: Clock) -> Result<Self, StartError> {
        let folder = tempfile::tempdir().expect("a temporary folder is to be had");
        write_config(folder.path(), toml);
        let running = Running::start(&folder.path().join("sluice.toml"), clock.clone())?;
        Ok(Self {
            running: Some(running),
            clock,
            folder,
            secrets: addresses_in(toml),
            unclean: false,
        })
    }

    /// Moves a manual clock on.
    pub fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    /// Sets a manual clock's wall time so many seconds ahead of what it says, or back; intervals do not notice.
    pub fn set_wall_ahead(&self, secs: i64) {
        let wall = self.clock.now().wall;
        let by = Duration::from_secs(secs.unsigned_abs());
        self.clock.set_wall(if secs < 0 {
            wall.saturating_sub(by)
        } else {
            wall + by
        });
    }

    /// The play's own folder: configuration and access log are there.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where the configuration is.
    pub fn config_file(&self) -> PathBuf {
        self.folder().join("sluice.toml")
    }

    /// Where the access log is, if the play has not written an `[access_log]` of its own.
    pub fn log_file(&self) -> PathBuf {
        self.folder().join("access.log")
    }

    /// The address of its first listener.
    #[track_caller]
    pub fn address(&self) -> SocketAddr {
        self.addresses()[0]
    }

    /// The addresses of its listeners, in file order.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.running().addresses()
    }

    /// Its admin address.
    #[track_caller]
    pub fn admin(&self) -> SocketAddr {
        self.running().admin().expect("every play has an admin address")
    }

    /// Connects to its first listener.
    #[track_caller]
    pub fn connect(&self) -> Connection {
        Connection::open(self.address()).without(&self.secrets)
    }

    /// Sends a request on a connection of its own, which has to end after the response.
    #[track_caller]
    pub fn ask(&self, request: &Request) -> Response {
        let mut connection = self.connect();
        let response = connection.ask(&request.clone().header("Connection", "close"));
        connection.expect_closed();
        response
    }

    /// GET
    #[track_caller]
    pub fn get(&self, target: &str) -> Response {
        self.ask(&Request::get(target))
    }

    /// Sends a request on a connection and a thread of its own.
    #[track_caller]
    pub fn ask_apart(&self, request: &Request) -> Pending {
        self.connect().ask_apart(request.clone())
    }

    /// Sends so many GETs at once.
    #[track_caller]
    pub fn get_many(&self, n: usize, target: &str) -> Vec<Pending> {
        (0..n).map(|_| self.ask_apart(&Request::get(target))).collect()
    }

    /// Writes another configuration over the first and reloads it.
    pub fn reload(&self, toml: &str) -> Result<Changes, Problems> {
        write_config(self.folder(), toml);
        self.running().reload()
    }

    /// Replaces the configuration by renaming, as editors and orchestrators do, and says nothing.
    pub fn replace_config(&self, toml: &str) {
        write_config(self.folder(), toml);
    }

    /// Opens the logs anew, as USR1 does.
    pub fn reopen_logs(&self) {
        self.running().reopen_logs().expect("the access log opens again");
    }

    /// What can be asked at its admin address.
    #[track_caller]
    pub fn desk(&self) -> Admin {
        Admin(self.admin())
    }

    /// Asks the admin address.
    #[track_caller]
    pub fn ask_admin(&self, request: &Request) -> Response {
        self.desk().ask(request)
    }

    /// `GET /status`
    #[track_caller]
    pub fn status(&self) -> Value {
        self.desk().status()
    }

    /// What `/status` says of a server.
    #[track_caller]
    pub fn server(&self, upstream: &str, address: SocketAddr) -> Value {
        self.desk().server(upstream, address)
    }

    /// Waits until `/status` says that a server is in this state.
    #[track_caller]
    pub fn wait_state(&self, upstream: &str, address: SocketAddr, state: &str) {
        self.desk().wait_state(upstream, address, state);
    }

    /// Changes a server through the admin address.
    #[track_caller]
    pub fn set_server(&self, upstream: &str, address: SocketAddr, json: &str) {
        self.desk().set_server(upstream, address, json);
    }

    /// `GET /metrics`
    #[track_caller]
    pub fn metrics(&self) -> Metrics {
        self.desk().metrics()
    }

    /// Waits until the metrics say so.
    #[track_caller]
    pub fn wait_metrics(&self, fact: &str, holds: impl Fn(&Metrics) -> bool) -> Metrics {
        self.desk().wait_metrics(fact, holds)
    }

    /// Waits until the access log has this many lines, and returns them; fails if there are more.
    #[track_caller]
    pub fn log_lines(&self, n: usize) -> Vec<String> {
        lines_of(&self.log_file(), n)
    }

    /// Like [`Gateway::log_lines`], for the format `json`.
    #[track_caller]
    pub fn log_objects(&self, n: usize) -> Vec<Value> {
        let parse = |line: String| {
            serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error} in the line {line:?}"))
        };
        self.log_lines(n).into_iter().map(parse).collect()
    }

    /// Requests may be cut off at the end of this play.
    pub fn may_end_unclean(&mut self) {
        self.unclean = true;
    }

    /// Stops it, on a thread of its own: the drain may wait for what the play does next.
    pub fn stop_apart(mut self) -> Stopping {
        let running = self.running.take().expect("it runs until it is stopped");
        Stopping {
            thread: Some(std::thread::spawn(move || running.stop())),
            gateway: self,
        }
    }

    /// Stops it. True if every request ended by itself.
    #[track_caller]
    pub fn stop(self) -> bool {
        self.stop_apart().wait()
    }

    fn running(&self) -> &Running {
        self.running.as_ref().expect("it runs until it is stopped")
    }

    /// Printed when a play has failed.
    fn last_words(&self) {
        let status = self.running.as_ref().and_then(Running::admin).and_then(|admin| {
            let mut connection = Connection::try_open(admin).ok()?;
            let request = Request::get("/status").host(&admin.to_string());
            let request = request.header("Connection", "close");
            connection.try_send(request.bytes()).ok()?;
            connection.rest()
        });
        let log = fs::read_to_string(self.log_file()).unwrap_or_default();
        let config = fs::read_to_string(self.config_file()).unwrap_or_default();
        let status = String::from_utf8_lossy(&status.unwrap_or_default()).into_owned();
        eprintln!(
            "--- the configuration\n{config}\n--- the access log\n{log}\n--- the status\n{status}\n---"
        );
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.last_words();
            return;
        }
        if let Some(running) = self.running.take() {
            let clean = running.stop();
            assert!(
                clean || self.unclean,
                "a request was cut off when the gateway stopped"
            );
        }
    }
}

/// A gateway that drains.
pub struct Stopping {
    thread: Option<std::thread::JoinHandle<bool>>,
    gateway: Gateway,
}

impl Stopping {
    /// Waits for the end. True if every request ended by itself.
    #[track_caller]
    pub fn wait(mut self) -> bool {
        let thread = self.thread.take().expect("it is waited for once");
        thread.join().expect("the gateway stops without a panic")
    }

    /// Whether it has stopped.
    pub fn is_done(&self) -> bool {
        self.thread
            .as_ref()
            .is_some_and(std::thread::JoinHandle::is_finished)
    }

    /// Waits until the access log has this many lines, and returns them.
    #[track_caller]
    pub fn log_lines(&self, n: usize) -> Vec<String> {
        self.gateway.log_lines(n)
    }
}

/// Waits until a file has this many lines, and returns them; fails if there are more.
#[track_caller]
pub fn lines_of(file: &Path, n: usize) -> Vec<String> {
    let lines = wait_for(&format!("{} has {n} lines", file.display()), || {
        let text = fs::read_to_string(file).unwrap_or_default();
        let whole = text.is_empty() || text.ends_with('\n');
        let lines: Vec<_> = text.lines().map(str::to_owned).collect();
        (whole && lines.len() >= n).then_some(lines)
    });
    assert_eq!(lines.len(), n, "lines in {}: {lines:#?}", file.display());
    lines
}

/// Writes beside the file and renames, so that nobody ever reads half of it.
pub(crate) fn write_config(folder: &Path, toml: &str) {
    let fresh = folder.join("sluice.toml.new");
    fs::write(&fresh, completed(folder, toml)).expect("the play's folder can be written");
    fs::rename(&fresh, folder.join("sluice.toml")).expect("within a folder, renaming works");
}

/// The text with the sections that every play needs and most do not care about.
fn completed(folder: &Path, toml: &str) -> String {
    let has = |section: &str| toml.lines().any(|line| line.trim() == section);
    let log = format!("path = {:?}", folder.join("access.log").display().to_string());
    let sections = [
        ("[server]", "threads = 2\ndrain_timeout = \"5s\""),
        ("[admin]", "address = \"127.0.0.1:0\""),
        ("[access_log]", &log),
        ("[[listeners]]", "address = \"127.0.0.1:0\""),
    ];
    let mut text = toml.to_owned();
    for (section, lines) in sections.iter().filter(|(section, _)| !has(section)) {
        text.push_str(&format!("\n{section}\n{lines}\n"));
    }
    text
}

/// Every "127.0.0.1:port" of the text, but those with port 0.
fn addresses_in(toml: &str) -> Arc<[String]> {
    let quoted = toml.split('"').filter(|text| !text.ends_with(":0"));
    quoted
        .filter(|text| text.parse::<SocketAddr>().is_ok())
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_missing_sections_are_added() {
        let text = completed(
            Path::new("/f"),
            "[admin]\naddress = \"127.0.0.1:0\"\n[server.limits]\n",
        );
        assert_eq!(text.matches("[admin]").count(), 1);
        assert_eq!(text.matches("\n[server]\n").count(), 1);
        assert!(text.contains("path = \"/f/access.log\""));
    }

    #[test]
    fn the_addresses_of_servers_are_secrets() {
        let toml = "a = \"127.0.0.1:0\"\nb = { address = \"127.0.0.1:81\" }";
        assert_eq!(addresses_in(toml)[..], ["127.0.0.1:81".to_owned()]);
    }
}
