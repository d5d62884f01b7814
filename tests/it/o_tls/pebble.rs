//! A real authority that signs by ACME, as a process: pebble, with a server of DNS that leads every name to 127.0.0.1.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Arc, Condvar, Mutex};

use harness::patience::patience;
use harness::process::Process;
use harness::redis::{local_address, reserve};
use harness::wait_for;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use super::client::{Authority, Leaf, TlsClient, provider};

/// How many times ports are taken anew: between a look and a program somebody else may have one.
const TRIES_MAX: usize = 10;

/// The authority. Dropping it ends it; what it has signed stays signed.
pub struct Pebble {
    /// Its requests to port 80 of any name go through here.
    pub way: Way,
    authority: Authority,
    acme: SocketAddr,
    desk: SocketAddr,
    process: Process,
    _dns: Process,
    _leaf: Leaf,
    _folder: tempfile::TempDir,
}

impl Pebble {
    /// Starts one whose certificates hold for so many seconds.
    ///
    /// The first of a play fails it if the machine has no pebble; `deploy/tools.sh pebble` installs it.
    #[track_caller]
    pub fn start(validity_s: u64) -> Self {
        assert!(
            Command::new("pebble").arg("-help").output().is_ok(),
            "this play needs pebble, and the machine has none: run deploy/tools.sh pebble"
        );
        (0..TRIES_MAX)
            .find_map(|_| Self::try_start(validity_s))
            .unwrap_or_else(|| panic!("pebble has found none of {TRIES_MAX} ports to its liking"))
    }

    fn try_start(validity_s: u64) -> Option<Self> {
        let way = Way::new();
        let authority = Authority::new("Of the directory");
        let leaf = authority.sign(&["127.0.0.1"]);
        let (certificate, key) = leaf.files();
        let ports = [reserve(), reserve(), reserve(), reserve()];
        let [acme, desk, dns, dns_desk] = ports.each_ref().map(local_address);
        let folder = tempfile::tempdir().expect("a temporary folder is to be had");
        // The validity stands in two places: newer ones have it in a profile.
        let config = format!(
            r#"{{"pebble":{{"listenAddress":"{acme}","managementListenAddress":"{desk}","certificate":{certificate:?},
            "privateKey":{key:?},"httpPort":{},"tlsPort":1,"ocspResponderURL":"","externalAccountBindingRequired":false,
            "certificateValidityPeriod":{validity_s},
            "profiles":{{"default":{{"description":"","validityPeriod":{validity_s}}}}}}}}}"#,
            way.address.port()
        );
        fs::write(folder.path().join("pebble.json"), config).expect("its folder can be written");
        let mut command = Command::new("pebble-challtestsrv");
        command.args(["-dns01", &dns.to_string(), "-management", &dns_desk.to_string()]);
        command.args([
            "-http01",
            "",
            "-https01",
            "",
            "-tlsalpn01",
            "",
            "-defaultIPv6",
            "",
        ]);
        let dns_process = Process::start(command);
        let mut command = Command::new("pebble");
        command
            .args(["-config", "pebble.json", "-dnsserver", &dns.to_string()])
            .env("PEBBLE_VA_NOSLEEP", "1")
            .current_dir(folder.path());
        let mut pebble = Self {
            way,
            authority,
            acme,
            desk,
            process: Process::start(command),
            _dns: dns_process,
            _leaf: leaf,
            _folder: folder,
        };
        let is_up = wait_for("pebble answers", || {
            if !pebble.process.is_running() || !pebble._dns.is_running() {
                return Some(false);
            }
            let knocks = [acme, desk, dns_desk]
                .iter()
                .all(|to| TcpStream::connect(to).is_ok());
            knocks.then_some(true)
        });
        is_up.then_some(pebble)
    }

    /// What stands in `acme` of a certificate that is kept in this folder.
    pub fn acme(&self, storage: &std::path::Path) -> String {
        self.acme_believing(&self.authority, storage)
    }

    /// The same for whoever believes somebody else, so that its attempts fail.
    pub fn acme_believing(&self, authority: &Authority, storage: &std::path::Path) -> String {
        format!(
            "acme = {{ email = \"ops@a.test\", directory = \"https://{}/dir\", ca_file = {:?}, storage = {:?}, terms_agreed = true }}",
            self.acme,
            authority.file(),
            storage.display().to_string()
        )
    }

    /// A client that believes what it signs, and remembers no sessions.
    pub fn client(&self) -> Arc<ClientConfig> {
        let believing = Arc::new(self.authority.client());
        let pem = TlsClient::open(self.desk, &believing, "127.0.0.1")
            .get("/roots/0")
            .expect(200)
            .body
            .clone();
        let root = CertificateDer::from_pem_slice(pem.as_bytes()).expect("it is in PEM");
        let mut roots = RootCertStore::empty();
        roots.add(root).expect("it is an authority's");
        let mut client = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("ring has suites for both")
            .with_root_certificates(roots)
            .with_no_client_auth();
        client.resumption = rustls::client::Resumption::disabled();
        Arc::new(client)
    }

    /// How many orders it has been given.
    pub fn orders(&self) -> usize {
        let said = self.process.said();
        said.iter().filter(|line| line.contains("Added order ")).count()
    }

    /// How many accounts it has made.
    pub fn accounts(&self) -> usize {
        let said = self.process.said();
        said.iter()
            .filter(|line| line.contains("There are now ") && line.contains("accounts"))
            .count()
    }
}

/// A way that can be closed: what comes in goes on to somebody else when it is open and leads somewhere.
pub struct Way {
    address: SocketAddr,
    gate: Arc<(Mutex<Option<SocketAddr>>, Condvar)>,
}

impl Way {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("the system has a free port");
        let address = listener.local_addr().expect("it is bound");
        let gate: Arc<(Mutex<Option<SocketAddr>>, Condvar)> = Arc::default();
        let its_gate = Arc::clone(&gate);
        // Its threads end with the process: nothing tells a blocked accept to.
        std::thread::spawn(move || {
            for from in listener.incoming().flatten() {
                let gate = Arc::clone(&its_gate);
                std::thread::spawn(move || {
                    let (to, opened) = &*gate;
                    let to = to.lock().expect("nobody panics with it");
                    let (to, _) = opened
                        .wait_timeout_while(to, patience(), |to| to.is_none())
                        .expect("nobody panics with it");
                    let Some(to) = *to else { return };
                    let _ = pass(from, to);
                });
            }
        });
        Self { address, gate }
    }

    /// Opens it, or leads it somewhere else.
    pub fn leads_to(&self, to: SocketAddr) {
        let (gate, opened) = &*self.gate;
        *gate.lock().expect("nobody panics with it") = Some(to);
        opened.notify_all();
    }
}

fn pass(from: TcpStream, to: SocketAddr) -> io::Result<()> {
    let to = TcpStream::connect(to)?;
    let (answers, asker) = (to.try_clone()?, from.try_clone()?);
    let back = std::thread::spawn(move || carry(answers, asker));
    carry(from, to)?;
    back.join().expect("it does not panic")
}

fn carry(mut from: TcpStream, mut to: TcpStream) -> io::Result<()> {
    let mut piece = [0; 4_096];
    loop {
        let read = from.read(&mut piece)?;
        if read == 0 {
            return to.shutdown(Shutdown::Write);
        }
        to.write_all(&piece[..read])?;
    }
}
