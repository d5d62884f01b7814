use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;

use harness::load::Target;
use harness::origin::reply;
use harness::{Ask, Load, Origin, Sluice, wait_until};
use rustls::ClientConfig;

use super::{counted, upgrade_of};
use harness::tls::{Authority, TlsClient};

const UPGRADES: u64 = 10;
/// Answers of each load between two upgrades.
const STEP: u64 = 40;

/// Clients of TLS who come and ask a few times and come again.
struct TlsLoad {
    over: Arc<AtomicBool>,
    served: Arc<AtomicUsize>,
    clients: Vec<JoinHandle<Vec<String>>>,
}

impl TlsLoad {
    fn start(to: std::net::SocketAddr, config: &Arc<ClientConfig>, clients: usize) -> Self {
        let (over, served) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let client = || {
            let (over, served, config) = (Arc::clone(&over), Arc::clone(&served), Arc::clone(config));
            std::thread::spawn(move || {
                let mut faults = Vec::new();
                while !over.load(Ordering::Acquire) && faults.is_empty() {
                    faults.extend(visit(to, &config, &served).err());
                }
                faults
            })
        };
        let clients = (0..clients).map(|_| client()).collect();
        Self {
            over,
            served,
            clients,
        }
    }

    fn wait_served(&self, more: usize) {
        let enough = self.served.load(Ordering::Acquire) + more;
        wait_until("clients of TLS are served", || {
            self.served.load(Ordering::Acquire) >= enough || self.clients.iter().any(JoinHandle::is_finished)
        });
    }

    fn stop(self) -> Vec<String> {
        self.over.store(true, Ordering::Release);
        let faults = self
            .clients
            .into_iter()
            .map(|client| client.join().expect("a client does not panic"));
        faults.flatten().collect()
    }
}

fn visit(to: std::net::SocketAddr, config: &Arc<ClientConfig>, served: &AtomicUsize) -> Result<(), String> {
    let mut connection =
        TlsClient::try_open(to, config, "a.test", b"").map_err(|error| format!("no handshake: {error}"))?;
    for _ in 0..8 {
        let asked = connection.try_ask(&harness::Request::get("/tls"));
        let answer = asked.map_err(|fault| format!("no answer: {fault}"))?;
        if answer.status != 200 || answer.body != "over TLS" {
            return Err(format!("{} {}", answer.status, answer.body));
        }
        served.fetch_add(1, Ordering::AcqRel);
        if answer.head.list("connection").iter().any(|o| o == "close") {
            break;
        }
    }
    Ok(())
}

fn config(origin: &Origin, cert: &str, key: &str, socket: &str, threads: usize) -> String {
    format!(
        r#"
        [server]
        threads = {threads}
        drain_timeout = "5s"

        # So that clients come anew all the time.
        [server.limits]
        keepalive_requests = 7

        [certificates.a]
        domains = ["a.test"]
        cert_file = {cert:?}
        key_file = {key:?}

        [[listeners]]
        address = "127.0.0.1:0"

        [[listeners]]
        address = "127.0.0.1:0"
        certificates = ["a"]

        [[listeners]]
        address = "unix:{socket}"
        {}"#,
        crate::all_to(origin)
    )
}

#[test]
fn ten_upgrades_under_load_and_no_client_notices() {
    let authority = Authority::new("Authority");
    let leaf = authority.sign(&["a.test", "127.0.0.1"]);
    let (cert, key) = leaf.files();
    let origin = Origin::new()
        .on("/tls", reply(200).body("over TLS"))
        .otherwise(reply(200).body("proxied"));
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("public.sock");
    let with = |threads| config(&origin, &cert, &key, &socket.display().to_string(), threads);
    let sluice = Sluice::start(&with(2));
    let [plain, tls] = sluice.addresses()[..] else {
        panic!("two TCP listeners")
    };

    let ask = [Ask::get("/", "proxied")];
    let by_tcp = Load::start(plain, 8, &ask);
    let by_unix = Load::start(Target::Unix(socket.clone()), 4, &ask);
    let client = Arc::new(authority.client());
    let by_tls = TlsLoad::start(tls, &client, 4);
    for generation in 1..=UPGRADES {
        // The number of workers is another one each time: none of their sockets may be lost, and none forgotten.
        sluice.replace_config(&with([2, 4, 1, 3][generation as usize % 4]));
        by_tcp.wait_served(STEP);
        by_unix.wait_served(STEP);
        by_tls.wait_served(10);
        sluice.upgrade();
        assert_eq!(upgrade_of(sluice.admin())["generation"], generation);
    }
    by_tcp.wait_served(STEP);
    by_unix.wait_served(STEP);
    by_tls.wait_served(10);

    by_tcp.stop().flawless();
    by_unix.stop().flawless();
    assert_eq!(by_tls.stop(), [""; 0]);
    let heirs = sluice.heirs();
    assert_eq!(heirs.len() as u64, UPGRADES);
    let (last, before) = heirs.split_last().unwrap();
    before.iter().for_each(|pid| sluice.wait_ended(*pid));
    assert!(sluice.runs(*last));
    assert_eq!(counted(&sluice.admin().metrics(), "ok"), UPGRADES as f64);
}

#[test]
fn a_line_of_upgrades_holds_no_more_descriptors_at_its_end_than_at_its_beginning() {
    let sluice = Sluice::start(super::SAYS_HI);
    let descriptors = |pid: u32| std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
    let first = sluice.upgrade();
    // It serves before it has opened all it needs, its watch of files for one: a few may be missing yet.
    let at_first = descriptors(first) + 4;
    let mut last = first;
    for _ in 0..8 {
        let before = last;
        last = sluice.upgrade();
        sluice.wait_ended(before);
    }
    wait_until("no descriptor is left over", || descriptors(last) <= at_first);
}
