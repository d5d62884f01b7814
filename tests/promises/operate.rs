use std::process::Command;

use harness::origin::Reservation;
use harness::{Ask, Load, Process, Sluice, Workouts, wait_until};

use crate::size;

/// How long a configuration is watched: far longer than it takes to see that it is bad.
const GUARD: &str = "10m";

/// Everything goes to one server; what is asked of `/splits` by a route of its own, which may lead elsewhere.
fn toml(server: &Workouts, of_splits: &str, weight: usize) -> String {
    format!(
        r#"
        [[routes]]
        name = "fragile"
        match = {{ path = "/splits" }}
        upstream = "fragile"

        [[routes]]
        name = "all"
        upstream = "workouts"

        [upstreams.fragile]
        servers = [{{ address = "{of_splits}" }}]

        [upstreams.workouts]
        servers = [{{ address = "{}", weight = {weight} }}]
        "#,
        server.address
    )
}

struct Play {
    sluice: Sluice,
    server: Workouts,
    fragile: [Ask; 1],
    step: u64,
}

impl Play {
    fn reload(&self, weight: usize) {
        let address = self.server.address.to_string();
        self.sluice.replace_config(&toml(&self.server, &address, weight));
        self.sluice.admin().reload().expect(200);
    }

    fn clients_of_the_fragile_route(&self) -> Load {
        let load = Load::start(self.sluice.address(), 4, &self.fragile);
        load.wait_served(self.step / 4);
        load
    }

    fn last_apply(&self) -> serde_json::Value {
        self.sluice.admin().status()["config"]["last_apply"].clone()
    }

    /// Applies the configuration in use with a server for the fragile route that is none, and waits until it has gone.
    fn apply_a_mistake(&self) {
        let nobody = Reservation::new().address().to_string();
        let config = self.sluice.folder().join("sluice.toml");
        let text = std::fs::read_to_string(&config).expect("it is there");
        let address = self.server.address.to_string();
        let candidate = self.sluice.folder().join("mistake.toml");
        std::fs::write(&candidate, text.replacen(&address, &nobody, 1)).expect("there is room");

        let mut command = Command::new(harness::process::binary("sluice"));
        let admin = self.sluice.admin().0.to_string();
        command.arg("apply").arg(&candidate);
        command.args(["--guard", GUARD, "--rollback-if", "5xx>2x", "--admin", &admin]);
        let mut follower = Process::start(command);
        assert_eq!(follower.wait_exit().code(), Some(1), "{:?}", follower.said());
        let last = self.last_apply();
        assert_eq!(last["outcome"], "rolled_back", "{last:#}");
        let reason = last["reason"].as_str().unwrap_or_default();
        // Where its clients have most of the turns, all routes together are twice as bad first.
        let of = ["route \"fragile\": 5xx is", "all routes: 5xx is"];
        assert!(of.iter().any(|of| reason.starts_with(of)), "{last:#}");
        assert_eq!(std::fs::read_to_string(&config).expect("it is there"), text);
        eprintln!("{reason}");
    }
}

#[test]
fn reloads_upgrades_and_a_mistake_that_goes_back_by_itself_and_only_the_mistaken_route_notices() {
    let _turn = crate::turn();
    let folder = tempfile::tempdir().expect("a temporary folder is to be had");
    let server = Workouts::start(folder.path());
    let address = server.address.to_string();
    let asks = ["/", "/workouts", "/workouts/1", "/exercises/1", "/exercises/2"];
    let asks = asks.map(|target| Ask::as_from(server.address, target));
    let play = Play {
        sluice: Sluice::start(&toml(&server, &address, 1)),
        fragile: [Ask::as_from(server.address, "/splits")],
        step: size("TEST_STEP_REQUESTS", 300),
        server,
    };
    let load = Load::start(play.sluice.address(), size("TEST_CONNECTIONS", 32), &asks);
    load.wait_served(play.step);
    let fragile = play.clients_of_the_fragile_route();

    let (reloads, upgrades) = (size("TEST_RELOADS", 20_usize), size("TEST_UPGRADES", 3_usize));
    for nth in 0..reloads.max(upgrades) {
        if nth < reloads {
            play.reload(2 + nth % 7);
            load.wait_served(play.step / 10);
        }
        if nth < upgrades {
            play.sluice.upgrade();
            load.wait_served(play.step / 10);
        }
    }
    let generation = play.sluice.admin().status()["upgrade"]["generation"].as_u64();
    assert_eq!(generation, Some(upgrades as u64));
    fragile.wait_served(play.step / 4);
    let before = fragile.stop();

    let during = play.clients_of_the_fragile_route();
    play.apply_a_mistake();
    let during = during.stop();
    let fragile = play.clients_of_the_fragile_route();
    load.wait_served(play.step);
    let after = fragile.stop();
    let tally = load.stop();
    eprintln!("{reloads} reloads, {upgrades} upgrades: {tally}");
    eprintln!("the fragile route before: {before}\nwhile it was broken: {during}\nafterwards: {after}");

    tally.flawless();
    before.flawless();
    after.flawless();
    assert!(
        during.troubles.is_empty() && during.wrong_bodies == 0,
        "{during:#}"
    );
    let failed: u64 = during
        .statuses
        .iter()
        .filter(|(status, _)| **status >= 500)
        .map(|(_, n)| n)
        .sum();
    assert!(failed > 0 && failed < during.answers(), "{during:#}");
    wait_until("the processes of before have ended", || {
        let heirs = play.sluice.heirs();
        let Some((_, before)) = heirs.split_last() else {
            return upgrades == 0;
        };
        before.iter().all(|pid| !play.sluice.runs(*pid))
    });
}
