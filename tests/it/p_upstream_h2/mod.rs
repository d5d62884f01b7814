//! HTTP/2 towards servers, and gRPC: what a client gets is what it gets from a server of HTTP/1.1.

/// gRPC: its calls, its errors, its times.
mod calls;
/// Connections and streams that end.
mod ends;
/// What is asked and what is answered.
mod exchanges;
mod origin;
/// What a probe asks.
mod probes;

use std::net::SocketAddr;

/// Every request goes to these servers, which speak HTTP/2 in plain; the listener takes HTTP/2 too. One worker, as each has
/// connections of its own. `lines` belong to the upstream.
fn all_to(servers: &[SocketAddr], lines: &str) -> String {
    let servers: Vec<_> = servers
        .iter()
        .map(|s| format!("{{ address = \"{s}\" }}"))
        .collect();
    format!(
        r#"
        [server]
        threads = 1
        drain_timeout = "5s"

        [[listeners]]
        address = "127.0.0.1:0"
        h2c = true

        [upstreams.origin]
        protocol = "h2c"
        servers = [{}]
        {lines}

        [upstreams.origin.outlier_detection]
        consecutive_failures = 0

        [[routes]]
        name = "all"
        match = {{ path_prefix = "/" }}
        upstream = "origin"
        "#,
        servers.join(", ")
    )
}
