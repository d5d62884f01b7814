use std::sync::atomic::{AtomicBool, Ordering};

use harness::tls::Leaf;
use harness::{Gateway, Process};
use serde_json::Value;

use super::{authority_and_leaf, certificate, listener, python, run, tls_listener};

/// A server of gRPC.
struct Server {
    process: Process,
    address: String,
}

impl Server {
    /// In clear text, or showing this certificate.
    #[track_caller]
    fn start(leaf: Option<&Leaf>) -> Self {
        let mut command = python("calls.py");
        command.arg("server");
        if let Some((cert, key)) = leaf.map(Leaf::files) {
            command.args([cert, key]);
        }
        let mut process = Process::start(command);
        let address = format!("127.0.0.1:{}", process.wait_said("port "));
        Self { process, address }
    }

    /// Its server, and a route to it; with `lines` of the upstream. The gateway asks by gRPC how it is.
    fn upstream(&self, lines: &str) -> String {
        format!(
            "[upstreams.calls]\nservers = [{{ address = {:?} }}]\n{lines}\n\
             [upstreams.calls.health_check]\ngrpc_service = \"\"\ninterval = \"50ms\"\n\
             [[routes]]\nname = \"calls\"\nupstream = \"calls\"\n",
            self.address
        )
    }

    /// Both calls that a client of this name has left have ended here too.
    #[track_caller]
    fn expect_left(&mut self, who: &str) {
        self.process.wait_said(&format!("left waiting {who}"));
        self.process.wait_said(&format!("left endless {who}"));
    }
}

/// What comes of each call for a client of this name.
#[track_caller]
fn outcomes(target: &str, who: &str, ca_file: Option<&str>) -> Value {
    let mut command = python("calls.py");
    command.args(["client", target, who]).args(ca_file);
    let said = run(command, "").well().text();
    serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error} in {said}"))
}

/// Fails on the first call of which something else came than without a gateway.
#[track_caller]
fn expect_same(who: &str, through: &Value, direct: &Value) {
    let calls = direct.as_object().expect("they are named");
    for (call, outcome) in calls {
        assert_eq!(&through[call], outcome, "{call}, {who}");
    }
    assert_eq!(through, direct, "{who}");
}

/// The library itself does what the plays take it for.
#[track_caller]
fn expect_sound(direct: &Value) {
    let codes = [
        ("unary", "OK"),
        ("large", "OK"),
        ("compressed", "OK"),
        ("both", "OK"),
        ("failing", "FAILED_PRECONDITION"),
        ("failing late", "DATA_LOSS"),
        ("unknown", "UNIMPLEMENTED"),
        ("too late", "DEADLINE_EXCEEDED"),
        ("cancelled", "CANCELLED"),
    ];
    for (call, code) in codes {
        assert_eq!(direct[call]["code"], code, "{call}: {direct:#}");
    }
    assert_eq!(
        direct["both"]["messages"].as_array().map(Vec::len),
        Some(20),
        "{direct:#}"
    );
    let many: Vec<_> = (0..200).map(|n| [reversed(n)]).collect();
    assert_eq!(direct["many"], serde_json::json!(many));
    assert_eq!(
        direct["failing"]["trailing"].as_array().map(Vec::len),
        Some(3),
        "{direct:#}"
    );
}

/// What the server makes of a number.
fn reversed(number: u32) -> String {
    number.to_string().chars().rev().collect()
}

/// A gateway that has found its server serving.
#[track_caller]
fn serving(toml: &str, server: &Server) -> Gateway {
    let gw = Gateway::start(toml);
    let address = server.address.parse().expect("it is an address");
    gw.wait_state("calls", address, "up");
    gw
}

#[test]
fn calls_come_to_the_same_through_the_gateway() {
    let (authority, leaf) = authority_and_leaf();
    let mut server = Server::start(None);
    let direct = outcomes(&server.address, "direct", None);
    expect_sound(&direct);
    let toml = format!(
        "{}{}{}{}",
        certificate(&leaf),
        listener("h2c = true"),
        tls_listener(""),
        server.upstream("protocol = \"h2c\"")
    );
    let gw = serving(&toml, &server);
    let [clear, sealed] = gw.addresses()[..] else {
        panic!("two listeners")
    };
    let through = outcomes(&clear.to_string(), "clear", None);
    expect_same("clear", &through, &direct);
    let through = outcomes(&sealed.to_string(), "sealed", Some(&authority.file()));
    expect_same("sealed", &through, &direct);
    for who in ["direct", "clear", "sealed"] {
        server.expect_left(who);
    }
}

#[test]
fn calls_come_to_the_same_over_tls_on_both_sides() {
    let (authority, leaf) = authority_and_leaf();
    let mut server = Server::start(Some(&leaf));
    let direct = outcomes(&server.address, "direct", Some(&authority.file()));
    expect_sound(&direct);
    let tls = format!(
        "protocol = \"http2\"\ntls = {{ ca_file = {:?}, sni = \"a.test\" }}",
        authority.file()
    );
    let toml = format!(
        "{}{}{}",
        certificate(&leaf),
        tls_listener(""),
        server.upstream(&tls)
    );
    let gw = serving(&toml, &server);
    let through = outcomes(&gw.address().to_string(), "sealed", Some(&authority.file()));
    expect_same("sealed", &through, &direct);
    for who in ["direct", "sealed"] {
        server.expect_left(who);
    }
}

#[test]
fn calls_come_to_the_same_while_the_configuration_changes() {
    let server = Server::start(None);
    let direct = outcomes(&server.address, "direct", None);
    expect_sound(&direct);
    let toml = |n: usize| {
        format!(
            "{}{}response_headers = {{ set = {{ X-Generation = \"{n}\" }} }}\n",
            listener("h2c = true"),
            server.upstream("protocol = \"h2c\"")
        )
    };
    let gw = serving(&toml(0), &server);
    let target = gw.address().to_string();
    let is_over = AtomicBool::new(false);
    let (through, reloads) = std::thread::scope(|scope| {
        let calling = scope.spawn(|| {
            let through = std::panic::catch_unwind(|| outcomes(&target, "clear", None));
            is_over.store(true, Ordering::SeqCst);
            through
        });
        let mut reloads = 0;
        while !is_over.load(Ordering::SeqCst) {
            reloads += 1;
            gw.reload(&toml(reloads)).expect("it is a configuration");
        }
        (calling.join().expect("a panic was caught"), reloads)
    });
    let through = through.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    assert!(reloads > 1);
    expect_same("clear", &through, &direct);
}
