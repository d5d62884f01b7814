use harness::origin::reply;
use harness::{Ask, Gate, Load, Origin, Sluice, wait_until};

/// Clients; a multiple of the sum of the weights, so that every server has a whole share.
const CLIENTS: usize = 64;
const WEIGHTS: [usize; 3] = [3, 3, 2];
const ROUNDS: usize = 40;

/// Four slow servers: each answers when it is let through, three of them primaries and the last a backup.
struct Slow {
    origins: [Origin; 4],
    gates: [Gate; 4],
    sluice: Sluice,
}

impl Slow {
    fn start() -> Self {
        let gates: [Gate; 4] = Default::default();
        let origins = [0, 1, 2, 3].map(|i: usize| {
            Origin::new()
                .on("/health", reply(200))
                .on("/held", reply(200).after(&gates[i]).body("held"))
        });
        let sluice = Sluice::start(&config(&origins));
        for origin in &origins {
            sluice.admin().wait_state("app", origin.address(), "up");
        }
        Self {
            origins,
            gates,
            sluice,
        }
    }

    /// How many requests each server holds, as it counts them itself.
    fn held(&self) -> [usize; 4] {
        [0, 1, 2, 3].map(|i| self.gates[i].waiting())
    }

    /// How many requests each server has had.
    fn seen(&self) -> [usize; 4] {
        [0, 1, 2, 3].map(|i| self.origins[i].seen("/held"))
    }

    /// What the gateway says is in flight at each server.
    fn in_flight(&self) -> [usize; 4] {
        let servers = self.sluice.admin().servers("app");
        [0, 1, 2, 3].map(|i| {
            let address = self.origins[i].address().to_string();
            let server = servers.iter().find(|s| s["address"] == address);
            let count = server.and_then(|s| s["in_flight"].as_u64());
            count.expect("every server has a count") as usize
        })
    }

    /// Lets so many of a server's answers go, and waits until each of their clients has been given another server.
    ///
    /// Fails if meanwhile a server has more than the most it may have; each look is a sample.
    #[track_caller]
    fn release(&self, server: usize, n: usize, most: [usize; 4]) {
        let before: usize = self.seen().iter().sum();
        self.gates[server].let_through(n);
        wait_until("every client is waiting again", || {
            let sample = self.in_flight();
            let is_fair = sample.iter().zip(&most).all(|(n, most)| *n <= most + 1);
            assert!(is_fair, "{sample:?}, and the most is {most:?}");
            self.seen().iter().sum::<usize>() == before + n && self.held().iter().sum::<usize>() == CLIENTS
        });
    }

    /// Fails unless each server has its share of all clients, give or take one.
    #[track_caller]
    fn assert_shares(&self, shares: [usize; 4]) {
        for (sample, whose) in [(self.held(), "held"), (self.in_flight(), "in flight")] {
            let is_fair = sample
                .iter()
                .zip(&shares)
                .all(|(n, share)| n.abs_diff(*share) <= 1);
            assert!(is_fair, "{whose}: {sample:?}, and the shares are {shares:?}");
            assert_eq!((sample[3] == 0), (shares[3] == 0), "{whose}: {sample:?}");
        }
    }

    fn wait_state(&self, server: usize, state: &str) {
        self.sluice
            .admin()
            .wait_state("app", self.origins[server].address(), state);
    }

    fn order(&self, server: usize, state: &str) {
        let order = format!("{{\"state\":{state:?}}}");
        self.sluice
            .admin()
            .set_server("app", self.origins[server].address(), &order);
    }
}

/// Nobody answers here before it is told to, so a server that comes back must not be tried by one request alone.
/// With a third of all requests at one server, its death takes more further tries than the usual budget has.
fn config(origins: &[Origin; 4]) -> String {
    let [a, b, c, spare] = origins.each_ref().map(Origin::address);
    let [three, three_too, two] = WEIGHTS;
    format!(
        r#"
        [upstreams.app]
        load_balancing = "least_conn"
        servers = [
          {{ address = "{a}", weight = {three} }},
          {{ address = "{b}", weight = {three_too} }},
          {{ address = "{c}", weight = {two} }},
          {{ address = "{spare}", backup = true }},
        ]
        read_timeout = "60s"
        health_check = {{ path = "/health", interval = "50ms", healthy_threshold = 1, unhealthy_threshold = 1 }}
        outlier_detection = {{ ejection_time = "100ms", half_open_requests = 64 }}
        retries = {{ budget_percent = 100, timeout = "60s" }}

        [[routes]]
        name = "all"
        upstream = "app"
        "#
    )
}

#[test]
fn each_server_holds_its_share_and_the_backup_serves_only_while_all_others_are_down() {
    let _turn = crate::turn();
    let slow = Slow::start();
    let load = Load::start(slow.sluice.address(), CLIENTS, &[Ask::get("/held", "held")]);
    wait_until("every client is waiting", || {
        slow.held().iter().sum::<usize>() == CLIENTS
    });
    slow.assert_shares([24, 24, 16, 0]);

    // In whatever order and number they answer.
    for round in 0..ROUNDS {
        let server = round * 7 % 3;
        let n = 1 + round * 11 % slow.held()[server];
        slow.release(server, n, [24, 24, 16, 0]);
        slow.assert_shares([24, 24, 16, 0]);
    }

    // One fails its probes, the next is told to go, and the last one dies.
    slow.origins[2].set("/health", reply(503));
    slow.wait_state(2, "down");
    slow.release(2, 16, [32, 32, 16, 0]);
    slow.assert_shares([32, 32, 0, 0]);
    slow.order(1, "down");
    slow.release(1, 32, [64, 32, 0, 0]);
    slow.assert_shares([64, 0, 0, 0]);
    assert_eq!(slow.seen()[3], 0, "the backup has had nothing so far");
    slow.origins[0].kill();
    wait_until("all are at the backup", || slow.held()[3] == CLIENTS);
    slow.assert_shares([0, 0, 0, 64]);
    slow.release(3, 20, [0, 0, 0, 64]);
    slow.assert_shares([0, 0, 0, 64]);

    // They come back, and from here on the backup is given nothing.
    slow.origins[0].revive();
    slow.origins[2].set("/health", reply(200));
    slow.order(1, "up");
    (0..3).for_each(|server| slow.wait_state(server, "up"));
    let given = slow.seen()[3];
    slow.release(3, CLIENTS, [24, 24, 16, 64]);
    slow.assert_shares([24, 24, 16, 0]);
    slow.release(0, 10, [24, 24, 16, 0]);
    slow.assert_shares([24, 24, 16, 0]);
    assert_eq!(slow.seen()[3], given);

    slow.gates.iter().for_each(Gate::open);
    load.wait_served(100);
    let tally = load.stop();
    tally.flawless();
    eprintln!("shares: {ROUNDS} rounds over {CLIENTS} clients; {tally}");
}
