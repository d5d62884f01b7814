//! An upstream that is asked three times as much as it can do, with and without what protects it.
//!
//!     overload PATH-OF-SLUICE [SECONDS per measurement]
//!
//! See `benches/overload/run.sh`.

#[path = "overload/crowd.rs"]
mod crowd;
#[path = "overload/origin.rs"]
mod origin;

use std::io::{self, BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::str::FromStr;
use std::time::Duration;

use crowd::{Crowd, Outcome};
use origin::Origin;

/// Of each measurement: until the limit is learnt, the queue is as long as it gets, and connections are open.
const WARM_UP: Duration = Duration::from_secs(3);

/// Share of the capacity that leaves an origin unhurried.
const UNLOADED: f64 = 0.3;

/// What is asked of it otherwise.
const OVERLOAD: f64 = 3.0;

/// A row of the table.
struct Row {
    name: &'static str,
    /// Lines of the upstream.
    policy: String,
    /// Requests that come, of what the origin can do.
    load: f64,
}

/// A gateway, ended with this.
struct Sluice {
    process: Child,
    address: SocketAddr,
    folder: PathBuf,
}

fn main() -> io::Result<()> {
    let mut words = std::env::args().skip(1);
    let program = words
        .next()
        .ok_or_else(|| io::Error::other("usage: overload SLUICE [SECONDS]"))?;
    let lasts = Duration::from_secs(words.next().and_then(|word| word.parse().ok()).unwrap_or(10));
    let slots: u32 = from_environment("SLOTS", 8);
    let service = Duration::from_millis(from_environment("SERVICE_MS", 20));
    let patience = Duration::from_millis(from_environment("PATIENCE_MS", 500));
    let capacity = f64::from(slots) / service.as_secs_f64();
    println!(
        "an origin of {slots} places × {service:?}: {capacity:.0} requests/s; clients give up after {patience:?}; {lasts:?} \
         each, after {WARM_UP:?}\n"
    );
    println!(
        "{:<26} {:>9} {:>16} {:>9} {:>9} {:>10} {:>9} {:>9}",
        "", "offered/s", "goodput/s", "shed/s", "failed/s", "wasted/s", "p50 ms", "p99 ms"
    );
    for row in rows(slots) {
        let origin = Origin::start(slots, service)?;
        let sluice = Sluice::start(Path::new(&program), &row.policy, origin.address())?;
        let crowd = Crowd {
            address: sluice.address,
            per_s: capacity * row.load,
            patience,
            warm_up: WARM_UP,
            lasts,
        };
        let outcome = crowd.run(&|| origin.served());
        tell(&row, &outcome, capacity, lasts);
    }
    Ok(())
}

fn rows(slots: u32) -> [Row; 6] {
    let row = |name, policy: &str, load| Row {
        name,
        policy: policy.to_owned(),
        load,
    };
    let fixed =
        format!("overload = {{ max_requests = {slots}, queue = {slots}, queue_timeout = \"100ms\" }}");
    [
        row("unloaded", "", UNLOADED),
        row("unloaded, adaptive", "overload = { adaptive = true }", UNLOADED),
        row("overload, nothing", "", OVERLOAD),
        row("overload, fixed, queue", &fixed, OVERLOAD),
        row("overload, adaptive", "overload = { adaptive = true }", OVERLOAD),
        row(
            "overload, adaptive, queue",
            "overload = { adaptive = true, queue = 4, queue_timeout = \"50ms\" }",
            OVERLOAD,
        ),
    ]
}

fn tell(row: &Row, outcome: &Outcome, capacity: f64, lasts: Duration) {
    let per_s = |count: u64| count as f64 / lasts.as_secs_f64();
    let goodput = format!(
        "{:.0} ({:.0} %)",
        per_s(outcome.good),
        per_s(outcome.good) / capacity * 100.0
    );
    println!(
        "{:<26} {:>9.0} {goodput:>16} {:>9.0} {:>9.0} {:>10.0} {:>9.1} {:>9.1}",
        row.name,
        per_s(outcome.offered),
        per_s(outcome.shed),
        per_s(outcome.failed),
        per_s(outcome.served_by_origin.saturating_sub(outcome.good)),
        outcome.latency_ms(0.5),
        outcome.latency_ms(0.99),
    );
}

fn from_environment<N: FromStr>(variable: &str, default: N) -> N {
    let text = std::env::var(variable).ok();
    text.and_then(|text| text.parse().ok()).unwrap_or(default)
}

impl Sluice {
    fn start(program: &Path, policy: &str, origin: SocketAddr) -> io::Result<Self> {
        let folder = std::env::temp_dir().join(format!("sluice-overload-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        let file = folder.join("sluice.toml");
        // Ejections and further tries would be measured otherwise, and not what is asked here.
        let text = format!(
            "[admin]\naddress = \"127.0.0.1:0\"\n[access_log]\npath = \"off\"\n[[listeners]]\naddress = \"127.0.0.1:0\"\n\
             [[routes]]\nname = \"all\"\nupstream = \"origin\"\n[upstreams.origin]\nservers = [{{ address = \"{origin}\" }}]\n\
             read_timeout = \"60s\"\nmax_idle = 2000\noutlier_detection = {{ consecutive_failures = 0 }}\n\
             retries = {{ attempts = 0 }}\n{policy}\n"
        );
        std::fs::write(&file, text)?;
        let mut process = Command::new(program)
            .args(["run".as_ref(), "-c".as_ref(), file.as_os_str()])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let said = process
            .stderr
            .take()
            .ok_or_else(|| io::Error::other("no stderr"))?;
        let mut sluice = Self {
            process,
            address: origin,
            folder,
        };
        let mut said = BufReader::new(said).lines();
        while let Some(line) = said.next().transpose()? {
            if let Some(address) = line.strip_prefix("listening on http://") {
                sluice.address = address.parse().map_err(io::Error::other)?;
            }
            if line.starts_with("ready: ") {
                // It would stand still if nobody read what else it has to say.
                std::thread::spawn(move || said.for_each(drop));
                return Ok(sluice);
            }
        }
        Err(io::Error::other("sluice has not become ready"))
    }
}

impl Drop for Sluice {
    fn drop(&mut self) {
        // It fails only if it has ended already.
        let _ended = self.process.kill();
        let _status = self.process.wait();
        let _gone = std::fs::remove_dir_all(&self.folder);
    }
}
