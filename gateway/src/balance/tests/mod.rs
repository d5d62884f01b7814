//! Pools without sockets: a plan, cells, and time by hand.

mod breaker;
mod ejection;
mod eligible;
mod fair;
mod many_threads;
mod outlook;
mod slow_start;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use super::{Ask, Cells, Lease, Pool, Standing};
use crate::config::plan::{
    Address, HashBy, HealthCheck, LoadBalancing, OutlierDetection, Overload, Protocol, Retries, RetryOn,
    SendProxyProtocol, Upstream, UpstreamServer,
};
use crate::kit::clock::Mono;
use crate::upstream::health::Thresholds;
use crate::upstream::{Changes, Failure, Health, Running, Seat, Server, Shift};

const ALL_POLICIES: [LoadBalancing; 5] = [
    LoadBalancing::LeastConn,
    LoadBalancing::LeastTime,
    LoadBalancing::RandomTwo,
    LoadBalancing::RoundRobin,
    LoadBalancing::Hash(HashBy::Path),
];

/// A pool and a hold on its cells. Server i is 10.0.0.i:80.
struct Rig {
    pool: Arc<Pool>,
    cells: Vec<Cells>,
    changes: Changes,
    running: Arc<Running>,
}

impl Rig {
    fn new(policy: LoadBalancing, weights: &[u32]) -> Self {
        Self::with(policy, weights, |_, _| ())
    }

    /// `edit` changes the server at each index before it is wired. Indices are kept if backups come last.
    fn with(policy: LoadBalancing, weights: &[u32], edit: impl Fn(usize, &mut UpstreamServer)) -> Self {
        let servers = (0..weights.len()).map(|i| {
            let mut server = plan_server(i, weights[i]);
            edit(i, &mut server);
            server
        });
        let upstream = plan_upstream(policy, servers.collect());
        let changes = Changes::default();
        let cells: Vec<Cells> = (upstream.servers.iter().zip(0..))
            .map(|(server, id)| Cells {
                server: Arc::new(Server::new(id, server.address.clone(), None, changes.clone())),
                health: Some(Arc::new(Health::new(changes.clone()))),
                seat: Arc::new(Seat::new(changes.clone())),
            })
            .collect();
        let running = Arc::default();
        let pool = wire(&upstream, &running, &changes, &cells);
        Self {
            pool,
            cells,
            changes,
            running,
        }
    }

    /// With so many half-open requests.
    fn of_places(places: u32, policy: LoadBalancing, weights: &[u32]) -> Self {
        let rig = Self::new(policy.clone(), weights);
        let servers = rig.pool.members().iter().map(|m| m.plan().clone()).collect();
        let mut upstream = plan_upstream(policy, servers);
        upstream.outlier_detection.half_open_requests = NonZeroU32::new(places).unwrap();
        let pool = wire(&upstream, &rig.running, &rig.changes, &rig.cells);
        Self { pool, ..rig }
    }

    fn pick(&self, now: Mono) -> Option<Lease> {
        self.pool.pick(&Ask::default(), 0, now)
    }

    /// Serves this many requests one after the other; returns how many each server got.
    fn serve(&self, count: usize, now: Mono) -> Vec<usize> {
        let mut served = vec![0; self.cells.len()];
        for draw in draws(count) {
            let ask = Ask {
                hash: Some(draw),
                ..Ask::default()
            };
            served[self.index(&self.pool.pick(&ask, draw, now).unwrap())] += 1;
        }
        served
    }

    fn index(&self, lease: &Lease) -> usize {
        self.cells
            .iter()
            .position(|c| c.server.id() == lease.server().id())
            .unwrap()
    }

    fn in_flight(&self) -> Vec<u32> {
        self.cells.iter().map(|c| c.server.in_flight()).collect()
    }

    fn probe(&self, index: usize, good: bool) {
        let once = Thresholds {
            healthy: NonZeroU32::MIN,
            unhealthy: NonZeroU32::MIN,
        };
        self.cells[index].health.as_ref().unwrap().observe(good, once);
    }

    /// Picks until this server has its turn; the others are held meanwhile, or it would have none under least_conn.
    fn pick_at(&self, index: usize, now: Mono) -> Lease {
        let mut elsewhere = Vec::new();
        for draw in draws(1_000) {
            let ask = Ask {
                hash: Some(draw),
                ..Ask::default()
            };
            let lease = self.pool.pick(&ask, draw, now).expect("somebody is there");
            if self.index(&lease) == index {
                return lease;
            }
            elsewhere.push(lease);
        }
        panic!("its turn does not come");
    }

    /// Lets as many requests at this server fail as it takes.
    fn eject(&self, index: usize, now: Mono) {
        let leases: Vec<Lease> = (0..3).map(|_| self.pick_at(index, now)).collect();
        let told = leases
            .iter()
            .filter_map(|lease| lease.failed(Failure::Reset, now));
        assert!(matches!(told.collect::<Vec<_>>()[..], [Shift::Opened(_)]));
    }

    fn breakers(&self, now: Mono) -> Vec<&'static str> {
        self.pool
            .status(now)
            .iter()
            .map(|row| row.breaker.name())
            .collect()
    }

    fn states(&self, now: Mono) -> Vec<&'static str> {
        self.pool.status(now).iter().map(|row| row.state.name()).collect()
    }
}

fn wire(upstream: &Upstream, running: &Arc<Running>, changes: &Changes, cells: &[Cells]) -> Arc<Pool> {
    let cells_of = |server: &UpstreamServer| {
        let found = cells.iter().find(|c| *c.server.address() == server.address);
        found.unwrap().clone()
    };
    Pool::new(upstream, Arc::clone(running), changes.clone(), cells_of)
}

fn plan_server(index: usize, weight: u32) -> UpstreamServer {
    UpstreamServer {
        address: Address::parse(&format!("10.0.0.{index}:80")).unwrap(),
        weight: NonZeroU32::new(weight).unwrap(),
        backup: false,
        down: false,
        max_conns: 0,
        slow_start: Duration::ZERO,
    }
}

fn plan_upstream(load_balancing: LoadBalancing, servers: Vec<UpstreamServer>) -> Upstream {
    Upstream {
        name: "app".into(),
        load_balancing,
        servers,
        discover: None,
        connect_timeout: Duration::from_secs(5),
        write_timeout: Duration::from_secs(10),
        read_timeout: Duration::from_secs(10),
        idle_timeout: Duration::from_secs(60),
        max_idle: 64,
        sticky_cookie: Some("srv".into()),
        health_check: Some(HealthCheck {
            question: None,
            interval: Duration::from_secs(5),
            timeout: Duration::from_secs(2),
            healthy_threshold: NonZeroU32::MIN,
            unhealthy_threshold: NonZeroU32::MIN,
            expect_status: vec![200..=399],
        }),
        outlier_detection: OutlierDetection {
            consecutive_failures: 3,
            ejection_time: Duration::from_secs(30),
            max_ejection_percent: 50,
            half_open_requests: NonZeroU32::MIN,
        },
        retries: Retries {
            attempts: 2,
            retry_on: RetryOn::default(),
            methods: vec!["GET".into()],
            budget_percent: 20,
            timeout: Duration::from_secs(15),
        },
        overload: Overload::default(),
        tls: None,
        protocol: Protocol::Http1,
        send_proxy_protocol: SendProxyProtocol::Off,
    }
}

fn at(secs: u64) -> Mono {
    Mono::default().plus(Duration::from_secs(secs))
}

/// Well mixed bits, the same in each run.
fn draws(count: usize) -> impl Iterator<Item = u64> {
    (1..=count as u64).map(|i| super::hash_of(&i.to_le_bytes()))
}
