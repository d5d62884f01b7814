//! Mixed traffic for a long time, while everything that may happen to a gateway happens to it.

/// Origins.
mod farm;
/// What is asked for.
mod goods;
/// Memory and descriptors.
mod meter;
/// Clients of HTTP/1.1.
mod one;
/// Reloads, purges, and origins that are unwell.
mod orders;
/// Configurations.
mod shape;
/// Clients of HTTP/2.
mod two;
/// Requests, and what they may be answered with.
mod wish;
/// What all know.
mod world;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::scope;

use harness::tls::Authority;
use harness::{Sluice, wait_until};
use rustix::process::{Pid, Signal, kill_process};
use rustls::ClientConfig;

use crate::size;
use farm::Origin;
use meter::{Meter, descriptors};
use one::Over;
use orders::{ahead, order, status};
use shape::Shape;
use wish::Asker;
use world::{Place, World};

/// As long as this, and memory is held to a bound.
const LONG_SECONDS: u64 = 600;
/// What memory may grow by, in KiB a minute, when caches are full. In minutes four and five 740 were seen, and less from one to the next;
/// 40 bytes that are lost with each of 500 requests a second are more.
const GROWTH_KIB_PER_MINUTE_MAX: f64 = 1024.0;
/// Descriptors that may be open at the end beside those of the beginning: files of the cache that are being looked through.
const DESCRIPTORS_LEFT_MAX: usize = 8;
/// Clients of each sort.
const PLAIN_CLIENTS: u64 = 4;
const TLS_CLIENTS: u64 = 2;
const H2_CLIENTS: u64 = 2;
const ORIGINS: usize = 3;
/// Between two ends of a gateway.
const ENDS_EVERY_SECONDS: f64 = 2.5;

/// A soak under way.
struct Soak {
    world: Arc<World>,
    shape: Arc<Shape>,
    sluice: Option<Sluice>,
    seconds: u64,
    ends: u64,
    meter: Meter,
}

impl Soak {
    /// Starts a gateway by the newest configuration.
    fn start(&mut self) {
        let generation = self.world.generation.load(Ordering::SeqCst);
        let sluice = Sluice::start(&self.shape.toml(generation));
        let place = Place {
            life: self.world.place().life + 1,
            plain: sluice.addresses()[0],
            tls: sluice.addresses()[1],
            admin: sluice.admin().0,
            folder: sluice.folder().to_owned(),
        };
        *self.world.place.write() = Arc::new(place);
        self.sluice = Some(sluice);
    }

    fn sluice(&self) -> &Sluice {
        self.sluice.as_ref().expect("there is one but while it is killed")
    }

    /// The process that serves.
    fn pid(&self) -> u32 {
        let heirs = self.sluice().heirs();
        heirs.last().copied().unwrap_or(self.sluice().process.id())
    }

    /// `kill -9` of all its processes, and another start with the same cache.
    fn kill(&mut self) {
        // Until a new binary has the folder, a purge says that it would be lost with the process.
        wait_until("the cache has its folder", || {
            status(&self.world).is_some_and(|status| status["caches"]["edge"]["disk_fault"].is_null())
        });
        self.world.gateway_out.open(self.world.now());
        let sluice = self.sluice.take().expect("there is one but while it is killed");
        let first = sluice.process.id();
        for pid in sluice
            .heirs()
            .into_iter()
            .chain([first])
            .filter(|pid| sluice.runs(*pid))
        {
            let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
            // It fails only if it has ended by itself.
            let _ended = pid.map(|pid| kill_process(pid, Signal::KILL));
        }
        sluice.heirs().into_iter().for_each(|pid| sluice.wait_ended(pid));
        drop(sluice);
        self.start();
        self.world.count("kills", 1);
        self.world.gateway_out.close(self.world.now());
    }

    /// Another process takes over.
    fn upgrade(&self) {
        let (world, old) = (&self.world, self.pid());
        world.upgrades.open(world.now());
        match order(world, "POST", "/upgrade", "") {
            Ok(got) if got.status == 200 => world.count("upgrades", 1),
            Ok(got) => world.fault(format!("an upgrade: {} {}", got.status, got.body.text())),
            Err(fault) => world.fault(format!("an upgrade: {fault}")),
        }
        world.upgrades.close(world.now());
        self.sluice().wait_ended(old);
    }

    /// Kills and upgrades in the first and the last sixth. What lies between is one life, in which memory is looked at.
    fn direct(&mut self) {
        let began = self.world.now();
        let total = self.seconds as f64;
        let mut end_due = ENDS_EVERY_SECONDS;
        while !self.world.is_over() {
            let at = self.world.now().since(began);
            let part = at.as_secs_f64() / total;
            if part >= 1.0 {
                break;
            }
            let is_rough = !(1.0 / 6.0..5.0 / 6.0).contains(&part);
            if is_rough && at.as_secs_f64() >= end_due {
                self.ends += 1;
                match self.ends % 3 {
                    0 => self.upgrade(),
                    _ => self.kill(),
                }
                end_due = self.world.now().since(began).as_secs_f64() + ENDS_EVERY_SECONDS;
            }
            let pid = self.pid();
            self.meter.look(pid, at, (0.25..5.0 / 6.0).contains(&part));
            self.world
                .wait(ahead(&self.world, 1.0_f64.min(total * (1.0 - part))));
        }
        self.world.finish();
    }

    /// Nothing of all that is held when everybody has gone.
    fn assert_rests(&self, descriptors_before: usize) {
        let pid = self.pid();
        wait_until("the connections are closed", || {
            descriptors(pid) <= descriptors_before + DESCRIPTORS_LEFT_MAX
        });
        let admin = self.sluice().admin();
        admin.wait_metrics("no configuration but the last is held", |m| {
            m.sum("sluice_snapshots_alive", &[]) == 1.0
        });
        admin.wait_metrics("no request is under way", |m| {
            m.sum("sluice_upstream_in_flight", &[]) == 0.0
        });
        eprintln!(
            "soak: {} descriptors at rest, {descriptors_before} before",
            descriptors(pid)
        );
    }

    fn report(&self) {
        let (world, meter) = (&self.world, &self.meter);
        let answers = world.counted("answers");
        eprintln!(
            "soak: {answers} answers, {:.0} a second",
            answers as f64 / self.seconds as f64
        );
        for (what, n) in &*world.counts.lock() {
            eprintln!("soak: {n:>10} {what}");
        }
        for (cause, n) in &*world.causes.lock() {
            eprintln!("soak: {n:>10} not served: {cause:?}");
        }
        eprintln!(
            "soak: memory {:+.0} KiB/min over {} samples, {:.0} KiB on average, {} at most; {} descriptors at most",
            meter.slope_kib_per_minute(),
            meter.samples(),
            meter.mean_kib(),
            meter.most_kib,
            meter.most_descriptors
        );
    }
}

/// Ends all threads, however the play ends.
struct Finish<'a>(&'a World);

impl Drop for Finish<'_> {
    fn drop(&mut self) {
        self.0.finish();
    }
}

/// Who takes part besides those who direct it.
fn spawn_all<'a>(
    all: &'a std::thread::Scope<'a, '_>,
    world: &'a Arc<World>,
    shape: &'a Shape,
    origins: &'a [Origin],
    clients: [Arc<ClientConfig>; 2],
    seed: u64,
) {
    let [tls, h2] = clients;
    for nth in 0..PLAIN_CLIENTS + TLS_CLIENTS {
        let over = match nth < PLAIN_CLIENTS {
            true => Over::Plain,
            false => Over::Tls(Arc::clone(&tls)),
        };
        let asker = Asker::new(format!("http1-{nth}"), seed + nth);
        all.spawn(move || one::visit(world, &over, asker));
    }
    for nth in 0..H2_CLIENTS {
        let config = Arc::clone(&h2);
        all.spawn(move || two::visit(world, &config, &format!("http2-{nth}"), seed + 100 + nth));
    }
    all.spawn(move || orders::reload(world, shape));
    all.spawn(move || orders::purge(world, seed + 200));
    all.spawn(move || orders::trouble(world, origins, seed + 300));
}

#[test]
fn mixed_traffic_while_all_that_may_happen_does_and_no_byte_is_wrong_and_no_failure_without_a_cause() {
    let _turn = crate::turn();
    let (seconds, seed) = (size("TEST_SOAK_SECONDS", 60), size("TEST_SOAK_SEED", 1));
    eprintln!("soak: {seconds} seconds, seed {seed}");
    let world = Arc::new(World::new());
    let origins: Vec<_> = (0..ORIGINS).map(|_| Origin::open(&world)).collect();
    let authority = Authority::new("Authority");
    let folder = tempfile::tempdir().expect("a temporary folder is to be had");
    let shape = Arc::new(Shape {
        servers: origins.iter().map(|origin| origin.address.to_string()).collect(),
        leaf: authority.sign(&["a.test"]),
        cache: folder.path().join("cache"),
    });
    let mut soak = Soak {
        world: Arc::clone(&world),
        shape: Arc::clone(&shape),
        sluice: None,
        seconds,
        ends: 0,
        meter: Meter::default(),
    };
    soak.start();
    wait_until("the origins are known to be up", || status(&world).is_some());
    let descriptors_before = descriptors(soak.pid());
    let mut h2 = authority.client();
    h2.alpn_protocols = vec![b"h2".to_vec()];
    scope(|all| {
        let _finish = Finish(&world);
        let clients = [authority.client(), h2].map(Arc::new);
        spawn_all(all, &world, &shape, &origins, clients, seed);
        soak.direct();
    });
    soak.report();
    let faults = world.faults();
    assert!(faults.is_empty(), "seed {seed}: {faults:#?}");
    soak.assert_rests(descriptors_before);
    for what in [
        "hits", "206", "304", "coded", "purges", "reloads", "kills", "upgrades",
    ] {
        assert!(world.counted(what) > 0, "no {what}, which proves nothing");
    }
    if seconds >= LONG_SECONDS {
        let growth = soak.meter.slope_kib_per_minute();
        assert!(
            growth <= GROWTH_KIB_PER_MINUTE_MAX,
            "memory grows by {growth:.0} KiB a minute"
        );
    }
}
