//! What goes wrong around a gateway, made to go wrong. Each hazard, and the plays that hold it, wherever they are:
//!
//! | hazard | plays |
//! |---|---|
//! | origin: slow head, drip | [`origins`]; `f_upstream`: never answers, stops within its head, stops within its body |
//! | origin: reset in the body, short length, bad chunk | [`ways`], at each byte; `f_upstream`: a body that breaks off; `d_cache::breaks` |
//! | origin: huge head, no HTTP, two lengths | `f_upstream::malformed` |
//! | origin: 1xx without end | [`origins`], one by one; `f_upstream::malformed`, all at once |
//! | origin: 304 that nobody asked for | `d_cache::revalidation`: an origin that only ever says 304; `f_upstream::malformed`: bytes after an answer |
//! | origin: closes a kept connection in the wrong moment | [`origins`]; `f_upstream`; `e_balance::retries`; `z_regress::ends` |
//! | origin: HTTP/2 that is reset, leaves, lies about a length | `p_upstream_h2::ends` |
//! | client: slowloris, in head and body | `k_hostile`; `a_listen::limits`; `m_http2::floods`; the promise `heads` |
//! | client: reads slowly or not | `k_hostile`; `d_cache::breaks`; `k_cache_attacks::memory`; `m_http2::floods` |
//! | client: half-closes | [`clients`], at each byte; `k_hostile`: has said all |
//! | client: pipelined garbage, noise | `k_hostile`; `a_listen::framing`; `l_known::attacks` |
//! | client: resets, at every moment and in storms | [`clients`]; `k_hostile` |
//! | client: vanishes without a word | [`ways`] |
//! | client: as many connections as there may be | [`descriptors`]; `a_listen::limits`: max_connections, by address |
//! | client: floods of HTTP/2 | `m_http2::floods` |
//! | way to origins: cut, hole, late, in pieces | [`ways`] |
//! | way to Redis: cut, hole, in pieces | [`redis`]; `l_guards::shared`: killed, stands still |
//! | ways to issuers, collectors, Consul, DNS, an authority | `l_known::tokens`; `t_tracing::export`; `s_discovery`; `o_tls::ordered` |
//! | disk of the cache: full, read-only, damaged, gone | [`disks`]; `k_cache_attacks::disk`; `d_cache::disk`; `d_cache::damage` |
//! | disk of the access log: full, closed | [`disks`] |
//! | wall clock set: ages, tokens, rates, ejections, ordered certificates | [`clocks`] |
//! | wall clock set: keys of tickets | nowhere: they are turned by the clock that is never set (`tls::tickets`) |
//! | no descriptor left | [`descriptors`] |

/// Clients that leave.
mod clients;
/// Wall clocks that are set.
mod clocks;
/// No descriptor is left.
mod descriptors;
/// Disks that cannot be written.
mod disks;
/// Origins that take their time, or leave.
mod origins;
/// The way to Redis.
mod redis;
/// Ways between clients, the gateway and origins.
mod ways;
