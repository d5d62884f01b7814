use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use harness::client::Connection;
use harness::origin::Reservation;
use harness::{Process, wait_for};

/// How often another port is tried: a program that does not share its port may have taken one.
const TRIES_MAX: usize = 5;

/// A running nginx on ports and in a folder of its own. Dropping it kills it.
///
/// It fails the play if the machine has none; `deploy/tools.sh nginx` installs it.
pub struct Nginx {
    _process: Process,
    addresses: Vec<SocketAddr>,
    _ports: Vec<Reservation>,
    _folder: tempfile::TempDir,
}

impl Nginx {
    /// Starts it with a configuration in which each of `sockets`, as "127.0.0.1:8080", becomes a port of its own.
    #[track_caller]
    pub fn start(conf: &str, sockets: &[&str]) -> Self {
        let version = Command::new("nginx").arg("-v").output();
        assert!(
            version.is_ok(),
            "this play needs an nginx, and the machine has none: run deploy/tools.sh nginx"
        );
        for _ in 0..TRIES_MAX {
            if let Some(running) = Self::try_start(conf, sockets) {
                return running;
            }
        }
        panic!("nginx has found none of {TRIES_MAX} ports to its liking");
    }

    fn try_start(conf: &str, sockets: &[&str]) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a temporary folder is to be had");
        // Bound and never listened on, so that nobody else gets it; `reuseport` lets nginx in.
        let ports: Vec<Reservation> = sockets.iter().map(|_| Reservation::new()).collect();
        let mut text = conf.to_owned();
        for (socket, port) in sockets.iter().zip(&ports) {
            let listen = format!("listen {socket}");
            assert!(text.contains(&listen), "{listen} is not in\n{conf}");
            text = text.replace(&listen, &format!("listen {} reuseport", port.address()));
        }
        let file = folder.path().join("nginx.conf");
        fs::write(&file, complete(&text, folder.path())).expect("the play's folder can be written");
        let mut command = Command::new("nginx");
        command
            .arg("-e")
            .arg("stderr")
            .arg("-p")
            .arg(folder.path())
            .arg("-c")
            .arg(&file);
        let mut process = Process::start(command);
        let addresses: Vec<SocketAddr> = ports.iter().map(Reservation::address).collect();
        let is_running = wait_for("nginx listens", || {
            if !process.is_running() {
                return Some(false);
            }
            addresses
                .iter()
                .all(|a| Connection::try_open(*a).is_ok())
                .then_some(true)
        });
        if !is_running {
            let said = process.said().join("\n");
            assert!(said.contains("bind()"), "nginx does not start:\n{said}");
            return None;
        }
        Some(Self {
            _process: process,
            addresses,
            _ports: ports,
            _folder: folder,
        })
    }

    /// Where it listens, in the order of the sockets.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }
}

/// What a process of a test's own needs besides: one process, that ends with the test, and nothing outside of its folder.
fn complete(conf: &str, folder: &Path) -> String {
    let mut head = String::from("user root;\ndaemon off;\nmaster_process off;\nerror_log stderr warn;\n");
    writeln!(head, "pid {};", folder.join("nginx.pid").display()).expect("a text takes every text");
    let mut http = String::from("http {\n    access_log off;\n");
    for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
        writeln!(http, "    {kind}_temp_path {};", folder.join(kind).display())
            .expect("a text takes every text");
    }
    // Whoever is not root gets a warning for the first line.
    format!("{head}{}", conf.replacen("http {", &http, 1))
}
