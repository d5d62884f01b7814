//! The configurations of a soak.

use std::path::PathBuf;

use harness::tls::Leaf;

use super::wish::is_season;

/// What is the same in all of them.
const SAME: &str = r#"
[[routes]]
name = "kept"
match = { path_prefix = "/kept" }
upstream = "origin"
cache = { store = "edge" }

[[routes]]
name = "coded"
match = { path_prefix = "/coded" }
upstream = "origin"
cache = { store = "edge" }
compression = true

[[routes]]
name = "fresh"
match = { path_prefix = "/fresh" }
upstream = "origin"
compression = true

[[routes]]
name = "echo"
match = { path = "/echo" }
upstream = "origin"

[[routes]]
name = "limited"
match = { path = "/limited" }
respond = { body = "few" }
rate_limits = ["few"]

[[routes]]
name = "else"
respond = { status = 404, body = "nothing" }

[admin]
address = "127.0.0.1:0"

[access_log]
path = "off"
"#;

/// What the cache may keep: full within seconds.
const MEMORY_MIB: u64 = 8;
const DISK_MIB: u64 = 48;

/// What a configuration is made of.
pub struct Shape {
    /// The origins.
    pub servers: Vec<String>,
    /// Of TLS.
    pub leaf: Leaf,
    /// The cache's folder.
    pub cache: PathBuf,
}

impl Shape {
    /// The configuration of this number: weights, methods, limits and routes differ from one to the next.
    pub fn toml(&self, generation: u64) -> String {
        let (cert, key) = self.leaf.files();
        let turn = generation as usize;
        let server = |(nth, address): (usize, &String)| {
            format!("{{ address = {address:?}, weight = {} }}", 1 + (turn + nth) % 4)
        };
        let servers: Vec<_> = self.servers.iter().enumerate().map(server).collect();
        let balancing = ["least_conn", "round_robin", "random_two", "least_time"][turn % 4];
        let season = match is_season(generation) {
            true => {
                "[[routes]]\nname = \"season\"\nmatch = { path = \"/season\" }\nrespond = { body = \"open\" }\n"
            }
            false => "",
        };
        format!(
            r#"
            [server]
            threads = 2
            drain_timeout = "5s"

            [server.limits]
            keepalive_requests = {requests}

            [certificates.a]
            domains = ["a.test"]
            cert_file = {cert:?}
            key_file = {key:?}

            [[listeners]]
            name = "plain"
            address = "127.0.0.1:0"

            [[listeners]]
            name = "tls"
            address = "127.0.0.1:0"
            certificates = ["a"]

            [caches.edge]
            memory = "{MEMORY_MIB}MiB"
            disk = "{DISK_MIB}MiB"
            path = "{cache}"

            [compression]
            algorithms = {algorithms}

            [rate_limits.few]
            key = "route"
            rate = "{rate}/s"
            burst = {rate}

            [upstreams.origin]
            load_balancing = "{balancing}"
            servers = [{servers}]
            idle_timeout = "2s"
            health_check = {{ path = "/health", interval = "300ms", timeout = "5s" }}
            outlier_detection = {{ ejection_time = "1s" }}
            retries = {{ attempts = 2, budget_percent = 100 }}

            [[routes]]
            name = "generation"
            match = {{ path = "/generation" }}
            respond = {{ body = "{generation}" }}

            {season}
            {SAME}
            "#,
            requests = 20 + turn % 3 * 40,
            cache = self.cache.display(),
            algorithms = ["[\"zstd\", \"br\", \"gzip\"]", "[\"gzip\", \"br\", \"zstd\"]"][turn / 2 % 2],
            rate = 5 + turn % 3,
            servers = servers.join(", "),
        )
    }
}
