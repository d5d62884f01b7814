use std::time::Duration;

use super::simulator::{Outcome, Scenario, Service, Upstream, run};
use crate::config::plan::Overload;

const SERVICES: [Service; 4] = [
    Service::Constant,
    Service::Exponential,
    Service::Outliers,
    Service::TwoKinds,
];

fn adaptive(queue: u32) -> Overload {
    Overload {
        max_requests: 0,
        queue,
        queue_timeout: Duration::from_secs(1),
        adaptive: true,
    }
}

fn scenario(upstream: Upstream, load: f64, policy: Overload) -> Scenario {
    Scenario {
        upstream: vec![(0.0, upstream)],
        offered: vec![(0.0, upstream.capacity() * load)],
        policy,
        client_timeout_ms: 20.0 * upstream.mean_ms(),
        measured_s: (20.0, 60.0),
        seed: 7,
    }
}

#[test]
fn explore() {
    for (places, service_ms) in [
        (4, 100.0),
        (10, 20.0),
        (32, 50.0),
        (100, 50.0),
        (400, 100.0),
        (16, 2.0),
        (8, 1000.0),
    ] {
        for service in SERVICES {
            let upstream = Upstream {
                places,
                service_ms,
                service,
            };
            let idle = run(&scenario(upstream, 0.2, adaptive(0)));
            let full = run(&scenario(upstream, 3.0, adaptive(0)));
            let light = run(&scenario(upstream, 0.7, adaptive(0)));
            println!(
                "C={places:4} S={service_ms:5} {service:?}: goodput {:.3} p50 x{:.2} p99 x{:.2} limit {:?} | light refused {:.4} limit {:?}| idle limit {:?} refused {}",
                full.answered / upstream.capacity(),
                full.p50() / idle.p50(),
                full.p99() / idle.p99(),
                full.limit,
                light.refused / (light.refused + light.answered),
                light.limit,
                idle.limit,
                idle.refused,
            );
            if std::env::var("V").is_ok() {
                println!("   {:?}", full.limits);
            }
        }
    }
    let _: Option<Outcome> = None;
}
