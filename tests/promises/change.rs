use std::net::SocketAddr;

use harness::{Ask, Connection, Load, Request, Sluice, Workouts, wait_until};
use serde_json::Value;

use crate::size;

/// A server as the configuration says it.
#[derive(Clone)]
struct Server {
    address: SocketAddr,
    weight: u32,
    backup: bool,
}

/// One configuration; the next one differs in a part.
#[derive(Clone)]
struct Shape {
    servers: Vec<Server>,
    /// What `/notice` answers, if there is such a route.
    notice: Option<&'static str>,
    has_second_listener: bool,
}

impl Shape {
    fn of(servers: &[&Workouts; 4]) -> Self {
        let server = |(nth, server): (usize, &&Workouts)| Server {
            address: server.address,
            weight: [3, 3, 2, 1][nth],
            backup: nth == 3,
        };
        Self {
            servers: servers.iter().enumerate().map(server).collect(),
            notice: None,
            has_second_listener: false,
        }
    }

    fn toml(&self) -> String {
        let server = |s: &Server| {
            format!(
                "{{ address = \"{}\", weight = {}, backup = {} }}",
                s.address, s.weight, s.backup
            )
        };
        let servers: Vec<_> = self.servers.iter().map(server).collect();
        let notice = self.notice.map_or(String::new(), |body| {
            format!("[[routes]]\nname = \"notice\"\nmatch = {{ path = \"/notice\" }}\nrespond = {{ body = \"{body}\" }}")
        });
        let second = match self.has_second_listener {
            true => "[[listeners]]\nname = \"second\"\naddress = \"127.0.0.1:0\"",
            false => "",
        };
        format!(
            r#"
            [[listeners]]
            name = "first"
            address = "127.0.0.1:0"
            {second}
            {notice}

            [[routes]]
            name = "all"
            upstream = "workouts"

            [upstreams.workouts]
            load_balancing = "least_conn"
            servers = [{}]
            health_check = {{ path = "/health", interval = "500ms", timeout = "5s" }}
            "#,
            servers.join(", ")
        )
    }

    fn server(&mut self, workouts: &Workouts) -> &mut Server {
        let found = self.servers.iter_mut().find(|s| s.address == workouts.address);
        found.expect("the server is in the configuration")
    }
}

/// A gateway under load, whose configuration changes.
struct Play {
    sluice: Sluice,
    load: Load,
    step: u64,
    changes: usize,
}

/// How the gateway is told of another configuration.
#[derive(Clone, Copy)]
enum By {
    /// It is not: it sees that the file is another one.
    Rename,
    /// `POST /reload`
    Order,
}

impl Play {
    fn status(&self) -> Value {
        self.sluice.admin().status()
    }

    /// Puts a configuration in use, sees it in `/status`, and waits until it has served for a while.
    #[track_caller]
    fn change(&mut self, by: By, shape: &Shape) {
        let before = self.status()["config"].clone();
        self.sluice.replace_config(&shape.toml());
        if let By::Order = by {
            self.sluice.admin().reload().expect(200);
        }
        wait_until("another configuration is in use", || {
            self.status()["config"]["hash"] != before["hash"]
        });
        self.assert_shows(shape);
        self.changes += 1;
        self.load.wait_served(self.step);
    }

    #[track_caller]
    fn assert_shows(&self, shape: &Shape) {
        let status = self.status();
        assert_eq!(status["config"]["last_reload"]["ok"], true, "{status:#}");
        let names = |list: &Value| {
            list.as_array()
                .expect("a list")
                .iter()
                .map(|l| l["name"].clone())
                .collect::<Vec<_>>()
        };
        let listeners = names(&status["listeners"]);
        let expected = &["first", "second"][..1 + usize::from(shape.has_second_listener)];
        assert_eq!(listeners, expected, "{status:#}");

        let facts = |s: &Value| (s["address"].clone(), s["weight"].clone(), s["backup"].clone());
        let mut shown: Vec<_> = self
            .sluice
            .admin()
            .servers("workouts")
            .iter()
            .map(facts)
            .collect();
        let mut wanted: Vec<_> = shape
            .servers
            .iter()
            .map(|s| (s.address.to_string().into(), s.weight.into(), s.backup.into()))
            .collect();
        shown.sort_by_key(|(address, ..)| address.to_string());
        wanted.sort_by_key(|(address, ..): &(Value, Value, Value)| address.to_string());
        assert_eq!(shown, wanted, "{status:#}");
        if let Some(body) = shape.notice {
            let mut connection = Connection::open(self.sluice.address());
            connection.ask(&Request::get("/notice")).expect(200).body(body);
        }
    }

    fn requests(&self, server: &Workouts) -> u64 {
        let server = self.sluice.admin().server("workouts", server.address);
        server["requests"].as_u64().expect("a count")
    }

    fn order(&self, server: &Workouts, state: &str) {
        let order = format!("{{\"state\":{state:?}}}");
        self.sluice.admin().set_server("workouts", server.address, &order);
    }

    /// Drains a server and takes it back, while the others serve.
    #[track_caller]
    fn drain_and_take_back(&self, server: &Workouts) {
        let admin = self.sluice.admin();
        self.order(server, "drain");
        wait_until("it holds nothing any more", || {
            admin.server("workouts", server.address)["in_flight"] == 0
        });
        let given = self.requests(server);
        self.load.wait_served(self.step);
        assert_eq!(self.requests(server), given, "a drained server is given nothing");
        assert_eq!(admin.server("workouts", server.address)["state"], "drain");
        self.order(server, "up");
        wait_until("it serves again", || self.requests(server) > given);
    }

    /// Kills a server, and waits until the gateway has noticed.
    #[track_caller]
    fn kill(&self, server: &mut Workouts) {
        server.process.kill();
        wait_until("the dead server is out of rotation", || {
            let state = self.sluice.admin().server("workouts", server.address)["state"].clone();
            state == "ejected" || state == "down"
        });
        self.load.wait_served(self.step);
    }
}

/// Everything that is the same from each server; many of them, so that a body that belongs to another request shows.
fn asks(server: &Workouts) -> Vec<Ask> {
    let one = (1..=40).map(|id| format!("/exercises/{id}"));
    let page = (1..=4).map(|page| format!("/exercises?page={page}&per_page=10"));
    let rest = ["/", "/workouts", "/splits", "/workouts/1"].map(str::to_owned);
    let targets = one.chain(page).chain(rest);
    targets
        .map(|target| Ask::as_from(server.address, &target))
        .collect()
}

#[test]
fn servers_die_and_drain_and_ten_configurations_come_and_go_and_no_client_notices() {
    let _turn = crate::turn();
    let folder = tempfile::tempdir().expect("a temporary folder is to be had");
    let start = || Workouts::start(folder.path());
    let [a, mut b, c, spare] = [(); 4].map(|()| start());
    let mut shape = Shape::of(&[&a, &b, &c, &spare]);
    let sluice = Sluice::start(&shape.toml());
    let asks = asks(&a);
    let load = Load::start(sluice.address(), size("TEST_CONNECTIONS", 32), &asks);
    let mut play = Play {
        sluice,
        load,
        step: size("TEST_STEP_REQUESTS", 300),
        changes: 0,
    };
    play.load.wait_served(play.step);

    shape.server(&c).weight = 4;
    play.change(By::Rename, &shape);
    shape.has_second_listener = true;
    play.change(By::Order, &shape);
    let second = play.status()["listeners"][1]["address"].clone();
    let second: SocketAddr = second.as_str().and_then(|a| a.parse().ok()).expect("an address");
    let beside = Load::start(second, 4, &asks);
    beside.wait_served(20);

    play.kill(&mut b);
    shape.servers.retain(|s| s.address != b.address);
    play.change(By::Rename, &shape);
    let d = start();
    shape.servers.push(Server {
        address: d.address,
        weight: 3,
        backup: false,
    });
    play.change(By::Order, &shape);
    wait_until("the new server serves", || play.requests(&d) > 0);
    play.drain_and_take_back(&a);

    shape.notice = Some("maintenance at noon");
    play.change(By::Rename, &shape);
    shape.notice = Some("maintenance is over");
    play.change(By::Order, &shape);
    beside.wait_served(20);
    shape.has_second_listener = false;
    play.change(By::Rename, &shape);
    let beside = beside.wait();
    beside.whole();
    shape.server(&a).weight = 1;
    shape.notice = None;
    play.change(By::Order, &shape);
    assert_eq!(play.requests(&spare), 0, "a backup serves while no other does");
    shape.server(&spare).backup = false;
    play.change(By::Rename, &shape);
    wait_until("the backup has become one of them", || play.requests(&spare) > 0);
    shape = Shape::of(&[&a, &d, &c, &spare]);
    play.change(By::Order, &shape);

    assert_eq!(play.changes, 10);
    let tally = play.load.stop();
    eprintln!("changes: {tally}\nthe listener that went: {beside}");
    tally.flawless();
    play.sluice
        .admin()
        .wait_metrics("no configuration but the last is held", |m| {
            m.sum("sluice_snapshots_alive", &[]) == 1.0
        });
}
