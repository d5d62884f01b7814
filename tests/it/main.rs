//! Plays: a real gateway, scripted origins, real sockets. In this order, so that the first failure says the most.

/// Connections, heads, bodies, framing, limits: what a client may send, and what is refused.
mod a_listen;
/// Which route a request takes, and what the route makes of it.
mod b_route;
/// What is kept of answers, who gets it, and until when.
mod d_cache;
/// Which server gets a request, and which server gets none for now.
mod e_balance;
/// What an origin may do to us, and what becomes of it for the client.
mod f_upstream;
/// What the gateway says itself: errors, replies, redirects, files.
mod g_reply;
/// The dashboard, its events, and what else the admin address gives to a browser.
mod h_dashboard;
/// What an operator can see: log lines, metrics, status.
mod h_observe;
/// Another configuration under running connections.
mod i_reload;
/// A stop that cuts nobody off.
mod j_drain;
/// What is tried with the cache by those who mean harm.
mod k_cache_attacks;
/// Clients that mean harm, or behave as if.
mod k_hostile;
/// Who may come in, how fast, how many.
mod l_guards;
/// Who asks, and what is tried to get past it.
mod l_known;
/// HTTP/2 towards clients.
mod m_http2;
/// TLS to clients and to servers, and PROXY headers on both sides.
mod o_tls;
/// Servers that speak HTTP/2, and gRPC.
mod p_upstream_h2;
/// What would happen to a request, asked before it happens.
mod q_explain;
/// A new binary in the place of one that serves.
mod r_upgrade;
/// Servers that nobody has listed: they come and go, and what they are found by fails.
mod s_discovery;
/// Spans for a collector, and the trace that origins are told.
mod t_tracing;
/// nginx beside Sluice, configured by what `sluice import` makes of its configuration.
mod u_import;
/// Copies of requests.
mod u_mirror;
/// A configuration that is watched, and taken back if it does harm.
mod w_apply;
/// The clients that others have written: curl, h2load, openssl, WebSocket and gRPC from Python.
mod x_clients;
/// What goes wrong around a gateway: the way to others, disks, clocks, descriptors.
mod y_chaos;
/// What was broken once. Nothing else goes in here.
mod z_regress;

use harness::Origin;

/// Every request goes to this origin.
fn all_to(origin: &Origin) -> String {
    format!(
        r#"
        [upstreams.origin]
        servers = [{{ address = "{}" }}]

        [[routes]]
        name = "all"
        match = {{ path_prefix = "/" }}
        upstream = "origin"
        "#,
        origin.address()
    )
}
