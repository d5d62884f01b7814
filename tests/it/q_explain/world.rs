//! A configuration of two hundred routes, and who stands behind it.

use std::collections::HashSet;
use std::path::Path;

use harness::Origin;
use harness::origin::reply;

use super::dice::Dice;
use crate::l_known::tokens::mint;

/// "open sesame", at a cost that is next to nothing.
const BCRYPT: &str = "$2b$05$CCCCCCCCCCCCCCCCCCCCC.vTdnMkpWk2uFGdD13bbQkt9V3Bbgxl.";
/// ann's
pub const KEY: &str = "0123456789abcdef";

pub const HOSTS: [&str; 4] = ["a.test", "b.test", "x.w.test", "y.z.w.test"];
pub const SEGMENTS: [&str; 4] = ["a", "b", "api", "item"];
const ROUTES: usize = 200;

/// Upstreams with how they balance, how many servers they have, and more lines.
const UPSTREAMS: [(&str, &str, usize, &str); 7] = [
    ("lone", "least_conn", 1, ""),
    ("even", "round_robin", 3, ""),
    ("busy", "least_conn", 3, "sticky_cookie = \"seat\""),
    ("keyed", "hash", 3, "hash_by = \"path\""),
    ("quick", "least_time", 2, ""),
    ("lucky", "random_two", 3, ""),
    ("shed", "least_conn", 2, ""),
];

/// What origins say besides their name; each server has one of these.
const MANNERS: [&[(&str, &str)]; 5] = [
    &[],
    &[("Cache-Tag", "one, two"), ("ETag", "\"v1\"")],
    &[("Cache-Control", "no-store")],
    &[("Vary", "X-Version")],
    &[("Cache-Control", "max-age=30, stale-while-revalidate=60")],
];

/// The origins, and the text that leads to them.
pub struct World {
    pub origins: Vec<Origin>,
    pub toml: String,
}

impl World {
    /// `folder` gets the files that are served, and the secrets.
    pub fn new(dice: &mut Dice, folder: &Path) -> Self {
        write_files(folder);
        let mut world = Self {
            origins: Vec::new(),
            toml: sections(folder),
        };
        for upstream in UPSTREAMS {
            world.add_upstream(upstream);
        }
        let mut seen = HashSet::new();
        let mut routes = 0;
        while routes < ROUTES {
            let (matches, rest) = matching(dice);
            if seen.insert(matches.clone()) {
                world.add_route(dice, routes, &format!("{matches}{rest}"), folder);
                routes += 1;
            }
        }
        world
    }

    fn add_upstream(&mut self, (name, policy, servers, more): (&str, &str, usize, &str)) {
        self.toml.push_str(&format!(
            "[upstreams.{name}]\nload_balancing = \"{policy}\"\n{more}\nservers = [\n"
        ));
        for at in 0..servers {
            let number = self.origins.len();
            let mut script = reply(200).header("X-Origin", &number.to_string());
            for (name, value) in MANNERS[number % MANNERS.len()] {
                script = script.header(name, value);
            }
            let origin = Origin::new().otherwise(script.body(format!("from {number}")));
            let kind = match (policy, at) {
                ("round_robin" | "random_two", 2) => ", backup = true",
                ("least_conn", 1) => ", weight = 2",
                _ => "",
            };
            self.toml
                .push_str(&format!("  {{ address = \"{}\"{kind} }},\n", origin.address()));
            self.origins.push(origin);
        }
        self.toml.push_str("]\n");
        if name == "shed" {
            self.toml
                .push_str("[upstreams.shed.overload]\nmax_requests = 4\n");
        }
    }

    fn add_route(&mut self, dice: &mut Dice, number: usize, matches: &str, folder: &Path) {
        let toml = &mut self.toml;
        toml.push_str(&format!(
            "[[routes]]\nname = \"r{number}\"\nmatch = {{ {matches} }}\n"
        ));
        let has_origin = dice.is(75);
        if has_origin {
            let upstream = || UPSTREAMS.map(|(name, ..)| name);
            match dice.is(8) {
                true => toml.push_str(
                    "split = [{ upstream = \"even\", weight = 9 }, { upstream = \"lone\", weight = 1 }]\n",
                ),
                false => toml.push_str(&format!("upstream = \"{}\"\n", dice.one_of(&upstream()))),
            }
            toml.push_str(dice.one_of(&["", "", "", "rewrite = { add_prefix = \"/up\" }\n"]));
            toml.push_str(dice.one_of(&["", "", "", "max_body = \"100B\"\n"]));
        } else {
            toml.push_str(&action(dice, folder));
        }
        toml.push_str(&guards(dice));
        if has_origin && dice.is(75) {
            toml.push_str(&caching(dice));
        }
    }
}

/// The conditions that must differ from route to route, and those that need not.
fn matching(dice: &mut Dice) -> (String, String) {
    let mut path = String::new();
    for _ in 0..=dice.below(3) {
        path.push('/');
        path.push_str(dice.one_of(&SEGMENTS));
    }
    let mut matches = match dice.below(10) {
        0..=3 => format!("path = \"{path}\""),
        4..=8 => format!("path_prefix = \"{path}\""),
        _ => format!("path_regex = \"^{path}/[a-z]+$\""),
    };
    if dice.is(60) {
        let host = dice.one_of(&["a.test", "b.test", "*.w.test", "*.z.w.test"]);
        matches.push_str(&format!(", host = \"{host}\""));
    }
    let listener = dice.one_of(&["", "", "", "", ", listener = \"inside\""]);
    let header = dice.one_of(&[
        "",
        "",
        "",
        ", headers = { X-Version = \"2\" }",
        ", headers = { X-Version = \"*\" }",
    ]);
    let query = dice.one_of(&["", "", "", "", ", query = { beta = \"1\" }"]);
    let methods = dice.one_of(&[
        "",
        "",
        "",
        ", methods = [\"GET\"]",
        ", methods = [\"GET\", \"POST\"]",
        ", methods = [\"PUT\"]",
    ]);
    (format!("{matches}{listener}{header}{query}"), methods.to_owned())
}

/// What the gateway does itself.
fn action(dice: &mut Dice, folder: &Path) -> String {
    let root = folder.join("site").display().to_string();
    match dice.below(3) {
        0 => format!("static_files = {{ root = {root:?} }}\n"),
        1 => "redirect = { to = \"https://${host}/new${path}\", status = 302 }\n".to_owned(),
        _ => "respond = { status = 203, body = \"said\", content_type = \"text/plain\" }\n".to_owned(),
    }
}

fn guards(dice: &mut Dice) -> String {
    let mut text = String::new();
    let limits = [
        "",
        "",
        "",
        "",
        "rate_limits = [\"by_address\"]\n",
        "rate_limits = [\"by_plan\", \"by_address\"]\n",
        "rate_limits = [\"by_route\"]\n",
    ];
    text.push_str(dice.one_of(&limits));
    let auths = [
        "",
        "",
        "",
        "auth = \"keys\"\n",
        "auth = \"users\"\n",
        "auth = \"tokens\"\n",
    ];
    text.push_str(dice.one_of(&auths));
    text.push_str(dice.one_of(&[
        "",
        "",
        "",
        "deny = [\"127.0.0.3\"]\n",
        "allow = [\"127.0.0.0/30\"]\n",
    ]));
    text.push_str(dice.one_of(&["", "", "concurrency_limits = [\"few\"]\n"]));
    text.push_str(dice.one_of(&[
        "",
        "",
        "",
        "cors = { origins = [\"https://app.test\"], methods = [\"GET\", \"PUT\"] }\n",
    ]));
    text
}

fn caching(dice: &mut Dice) -> String {
    let rule = dice.one_of(&[
        "ttl = \"20s\"",
        "ttl = \"20s\"\nstale_while_revalidate = \"40s\"",
        "ttl = \"5s\"\nkey = { query = \"none\" }",
        "bypass = { cookies = [\"session\"], headers = [\"X-Fresh\"] }\nttl = \"60s\"",
        "ttl = \"60s\"\nkey = { query = \"all\", headers = [\"X-Version\"] }",
    ]);
    format!("[routes.cache]\nstore = \"edge\"\n{rule}\n")
}

fn sections(folder: &Path) -> String {
    let file = |name: &str| folder.join(name).display().to_string();
    format!(
        r#"
        [server]
        threads = 2
        drain_timeout = "5s"

        [[listeners]]
        name = "public"
        address = "127.0.0.1:0"

        [[listeners]]
        name = "inside"
        address = "127.0.0.1:0"

        [[listeners]]
        name = "moved"
        address = "127.0.0.1:0"
        redirect_to_https = true

        [caches.edge]
        memory = "16MiB"

        [auth.keys]
        keys = {{ file = {:?} }}

        [auth.users]
        basic = {{ users_file = {:?} }}

        [auth.tokens]
        jwt = {{ secret_file = {:?} }}

        [rate_limits.by_address]
        key = "client_ip"
        rate = "1/s"
        burst = 6

        [rate_limits.by_plan]
        key = "header:X-Plan"
        rate = "2/s"
        burst = 4

        [rate_limits.by_route]
        key = "route"
        rate = "1/m"
        burst = 3

        [rate_limits.by_claim]
        key = "jwt:sub"
        rate = "10/m"
        burst = 2

        [concurrency_limits.few]
        key = "global"
        max = 4
        "#,
        file("keys"),
        file("users"),
        file("secret"),
    )
}

fn write_files(folder: &Path) {
    let site = folder.join("site");
    std::fs::create_dir_all(site.join("a")).expect("the folder can be written");
    let files = [
        (folder.join("keys"), format!("ann:{KEY}\n")),
        (folder.join("users"), format!("ann:{BCRYPT}\n")),
        (folder.join("secret"), mint::SECRET.to_owned()),
        (site.join("index.html"), "<p>index".to_owned()),
        (site.join("a/b"), "a file".to_owned()),
        (site.join("item"), "another file".to_owned()),
    ];
    for (path, content) in files {
        std::fs::write(path, content).expect("the folder can be written");
    }
}
