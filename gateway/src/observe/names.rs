//! Every metric there is: dashboards and alerts rely on these names, so they stand in one place.

/// A metric as it is told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Described {
    /// The whole name.
    pub name: &'static str,
    /// What its value is.
    pub kind: Kind,
    /// Names of its labels. Their values come from the configuration and from closed lists, never from the wire.
    pub labels: &'static [&'static str],
    /// One sentence.
    pub help: &'static str,
}

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows; the name ends in `_total`.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts per bucket; the name ends in its unit.
    Histogram,
}

/// Upper bounds in seconds: from a file out of memory to what no person waits for.
pub const DURATION_BUCKETS: [f64; 14] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

macro_rules! metrics {
    ($($constant:ident: $kind:ident $name:literal [$($label:literal),*] $help:literal;)*) => {
        $(
            #[doc = $help]
            pub const $constant: Described = Described {
                name: $name,
                kind: Kind::$kind,
                labels: &[$($label),*],
                help: $help,
            };
        )*

        /// All of them, in the order of a page.
        pub const ALL: &[Described] = &[$($constant),*];
    };
}

metrics! {
    REQUESTS: Counter "sluice_requests_total" ["route", "method", "status"]
        "Requests answered; status 0 is a client that left before its answer.";
    REQUEST_DURATION: Histogram "sluice_request_duration_seconds" ["route"]
        "From the first byte of a request's head to the last byte of its answer.";
    REQUESTS_IN_FLIGHT: Gauge "sluice_requests_in_flight" []
        "Requests being answered right now.";
    RESPONSE_BYTES: Counter "sluice_response_bytes_total" ["route"]
        "Body bytes sent to clients, counted when a request ends.";
    SLOW_REQUESTS: Counter "sluice_slow_requests_total" ["route"]
        "Requests that took access_log.slow_threshold or longer.";
    REFUSALS: Counter "sluice_refusals_total" ["reason"]
        "Requests the gateway answered itself because it would not or could not serve them.";
    CONNECTIONS: Gauge "sluice_connections" ["listener", "state"]
        "Open client connections: active ones have a request under way, idle ones wait for one.";
    CONNECTIONS_REFUSED: Counter "sluice_connections_refused_total" ["reason"]
        "Client connections closed before a request was read, or cut for what the client did over HTTP/2 (http2_flood, http2_stalled).";
    UPSTREAM_REQUESTS: Counter "sluice_upstream_requests_total" ["upstream", "server", "result"]
        "Tries by result: ok, error (no usable answer, or 5xx), timeout, aborted (the client left).";
    UPSTREAM_DURATION: Histogram "sluice_upstream_duration_seconds" ["upstream"]
        "From the start of a try to the head of its answer.";
    UPSTREAM_IN_FLIGHT: Gauge "sluice_upstream_in_flight" ["upstream", "server"]
        "Requests a server is working on right now.";
    UPSTREAM_UP: Gauge "sluice_upstream_up" ["upstream", "server"]
        "1 unless probes find the server down or an order has taken it down; missing for one that is off by down = true.";
    UPSTREAM_EJECTED: Gauge "sluice_upstream_ejected" ["upstream", "server"]
        "1 while outlier detection keeps requests away from the server.";
    UPSTREAM_BREAKER_STATE: Gauge "sluice_upstream_breaker_state" ["upstream", "server"]
        "The server's circuit: 0 closed, 1 half-open (a few requests at once until one succeeds), 2 open (ejected).";
    UPSTREAM_RETRIES: Counter "sluice_upstream_retries_total" ["upstream", "reason"]
        "Further tries by what made them necessary.";
    UPSTREAM_RETRIES_REFUSED: Counter "sluice_upstream_retries_refused_total" ["upstream"]
        "Further tries that retries.budget_percent did not allow.";
    UPSTREAM_EJECTIONS: Counter "sluice_upstream_ejections_total" ["upstream", "server"]
        "Times outlier detection has ejected the server.";
    UPSTREAM_HTTP2_CONNECTIONS: Gauge "sluice_upstream_http2_connections" ["upstream"]
        "Open connections to its servers that requests share; 0 where they speak HTTP/1.1.";
    DISCOVERY_SERVERS: Gauge "sluice_discovery_servers" ["upstream"]
        "Servers that the source of an upstream has given; missing without discover.";
    DISCOVERY_ERRORS: Counter "sluice_discovery_errors_total" ["upstream"]
        "Questions to the source that brought no whole answer, or one without a server; the last servers stayed in use.";
    DISCOVERY_UP: Gauge "sluice_discovery_up" ["upstream"]
        "1 while the source's last answer was whole, 0 while it fails, in part too, or says that there is no server, and before its first answer.";
    DISCOVERY_LAST_SUCCESS: Gauge "sluice_discovery_last_success_timestamp_seconds" ["upstream"]
        "Unix time at which the source last gave servers; missing until it has.";
    MIRRORED: Counter "sluice_mirrored_total" ["upstream", "result"]
        "Copies of requests: ok, error (no usable answer, or 5xx), busy (too many at once), too_large, unfinished (the client left within the body), aborted (a stop).";
    CACHE_REQUESTS: Counter "sluice_cache_requests_total" ["cache", "result"]
        "Requests by what the cache did: hit, stale, revalidated, miss, uncacheable, bypass.";
    CACHE_COLLAPSED: Counter "sluice_cache_collapsed_total" ["cache"]
        "Requests that shared another one's question to the origin; counted as misses too.";
    CACHE_BYTES: Gauge "sluice_cache_bytes" ["cache", "tier"]
        "Bytes held: memory, disk.";
    CACHE_OBJECTS: Gauge "sluice_cache_objects" ["cache", "tier"]
        "Answers held: memory, disk.";
    CACHE_EVICTIONS: Counter "sluice_cache_evictions_total" ["cache", "tier"]
        "Answers given up to make room.";
    CACHE_PURGES: Counter "sluice_cache_purges_total" ["cache", "kind"]
        "Purges by what they named: url, prefix, host, tag, all; origin = an answer to an unsafe request.";
    CACHE_DAMAGED: Counter "sluice_cache_damaged_total" ["cache"]
        "Files that were not what was written, dropped before a byte of them was served.";
    CACHE_WRITES_SKIPPED: Counter "sluice_cache_writes_skipped_total" ["cache"]
        "Answers kept in memory only because the disk could not keep up, had no room or failed.";
    CACHE_DISK_UP: Gauge "sluice_cache_disk_up" ["cache"]
        "1 while the disk tier is in use, 0 while its folder cannot be; missing without a disk tier.";
    CERTIFICATE_EXPIRY: Gauge "sluice_certificate_expiry_timestamp_seconds" ["certificate"]
        "Unix time until which a certificate holds.";
    ACME_ORDERS: Counter "sluice_acme_orders_total" ["certificate", "result"]
        "Attempts to order a certificate by result: ok (one has come), error.";
    ACME_NEXT_ATTEMPT: Gauge "sluice_acme_next_attempt_timestamp_seconds" ["certificate"]
        "Unix time of the next attempt to order a certificate.";
    RATE_LIMITED: Counter "sluice_rate_limited_total" ["limit"]
        "Requests a rate limit has refused.";
    RATE_LIMIT_KEYS: Gauge "sluice_rate_limit_keys" ["limit"]
        "Keys a rate limit remembers.";
    RATE_LIMIT_FORGOTTEN: Counter "sluice_rate_limit_forgotten_total" ["limit"]
        "Keys that were forgotten although they owed something, because there were more than max_keys.";
    CONCURRENCY_IN_USE: Gauge "sluice_concurrency_in_use" ["limit"]
        "Requests inside by a concurrency limit.";
    CONCURRENCY_WAITING: Gauge "sluice_concurrency_waiting" ["limit"]
        "Requests that wait for a concurrency limit.";
    CONCURRENCY_REFUSED: Counter "sluice_concurrency_refused_total" ["limit", "reason"]
        "Requests a concurrency limit has refused: queue_full, keys_full, timeout.";
    UPSTREAM_LIMIT: Gauge "sluice_upstream_limit" ["upstream"]
        "Requests that may be in flight to an upstream at once; missing without [upstreams.*.overload].";
    UPSTREAM_WAITING: Gauge "sluice_upstream_waiting" ["upstream"]
        "Requests that wait for a place in flight to an upstream.";
    UPSTREAM_SHED: Counter "sluice_upstream_shed_total" ["upstream", "reason"]
        "Requests refused because an upstream had as much to do as it can do: full, timeout.";
    REDIS_UP: Gauge "sluice_redis_up" []
        "1 while limits are counted in Redis, 0 while it cannot be asked; missing without [redis].";
    REDIS_ASKS: Counter "sluice_redis_asks_total" []
        "Questions of requests to Redis.";
    REDIS_FAILURES: Counter "sluice_redis_failures_total" ["reason"]
        "Questions without an answer: error, timeout, unavailable.";
    ACCESS_LOG_DROPPED: Counter "sluice_access_log_dropped_total" []
        "Access-log lines lost because the log's target could not keep up.";
    ACCESS_LOG_ERRORS: Counter "sluice_access_log_errors_total" []
        "Failed writes to the access log's target; the lines are kept and tried again.";
    SPANS_EXPORTED: Counter "sluice_spans_exported_total" []
        "Spans of requests that the collector has taken; missing without [tracing].";
    SPANS_DROPPED: Counter "sluice_spans_dropped_total" ["reason"]
        "Spans lost: queue_full, too_many (errors and slow requests in one second), refused (by the collector), unreachable.";
    SPANS_QUEUED: Gauge "sluice_spans_queued" []
        "Spans that wait to be sent.";
    DISK_FREE: Gauge "sluice_disk_free_bytes" ["cache"]
        "Bytes that may still be written to the file system of a cache's folder.";
    DISK_SIZE: Gauge "sluice_disk_size_bytes" ["cache"]
        "Size of the file system of a cache's folder.";
    MEMORY_LIMIT: Gauge "sluice_memory_limit_bytes" []
        "Memory the process may use: the least that a control group allows it, or what the machine has.";
    CONFIG_LAST_RELOAD_SUCCESSFUL: Gauge "sluice_config_last_reload_successful" []
        "1 if the newest configuration that was offered is the one in use.";
    CONFIG_LOADED: Gauge "sluice_config_loaded_timestamp_seconds" []
        "Unix time at which the configuration in use was loaded.";
    CONFIG_RELOADS: Counter "sluice_config_reloads_total" ["result"]
        "Reloads by result: ok, error (the old configuration stayed in use).";
    CONFIG_APPLIES: Counter "sluice_config_applies_total" ["result"]
        "Configurations that were applied, by result: kept, rolled_back, superseded (by a newer file), refused (nothing has changed).";
    UPGRADES: Counter "sluice_upgrades_total" ["result"]
        "Upgrades of the binary by result, the processes before this one included: ok, error (the old process went on).";
    SNAPSHOTS_ALIVE: Gauge "sluice_snapshots_alive" []
        "Configurations that some request still uses; 1 when the last reload has fully taken over.";
    WORKERS: Gauge "sluice_workers" []
        "Threads that serve requests: processor time beyond so many seconds a second cannot be used.";
    BUILD_INFO: Gauge "sluice_build_info" ["version"]
        "Always 1; the version is in the label.";
    PROCESS_CPU: Counter "process_cpu_seconds_total" []
        "Processor time used, in user and system mode.";
    PROCESS_RESIDENT: Gauge "process_resident_memory_bytes" []
        "Memory in use.";
    PROCESS_VIRTUAL: Gauge "process_virtual_memory_bytes" []
        "Address space in use.";
    PROCESS_OPEN_FDS: Gauge "process_open_fds" []
        "Open file descriptors.";
    PROCESS_MAX_FDS: Gauge "process_max_fds" []
        "Limit on open file descriptors.";
    PROCESS_START: Gauge "process_start_time_seconds" []
        "Unix time at which the process started.";
}

/// The metric of that name.
pub fn described(name: &str) -> Option<&'static Described> {
    ALL.iter().find(|d| d.name == name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn is_name(text: &str) -> bool {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
        text.starts_with(|c: char| c.is_ascii_lowercase())
            && text.bytes().all(allowed)
            && !text.contains("__")
    }

    #[test]
    fn names_follow_the_conventions_of_prometheus() {
        for d in ALL {
            assert!(is_name(d.name) && d.labels.iter().all(|l| is_name(l)), "{d:?}");
            assert_eq!(d.name.ends_with("_total"), d.kind == Kind::Counter, "{d:?}");
            let reserved = ["_bucket", "_count", "_sum", "_created"];
            assert!(!reserved.iter().any(|end| d.name.ends_with(end)), "{d:?}");
            assert!(
                d.name.starts_with("sluice_") || d.name.starts_with("process_"),
                "{d:?}"
            );
            assert!(d.help.ends_with('.') && !d.help.contains('\n'), "{d:?}");
        }
    }

    #[test]
    fn no_name_stands_twice() {
        let names: BTreeSet<_> = ALL.iter().map(|d| d.name).collect();
        assert_eq!(names.len(), ALL.len());
        assert!(ALL.iter().all(|d| described(d.name) == Some(d)));
    }

    #[test]
    fn buckets_rise_from_half_a_millisecond_to_ten_seconds() {
        assert!(DURATION_BUCKETS.is_sorted_by(|a, b| a < b));
        assert_eq!((DURATION_BUCKETS[0], DURATION_BUCKETS[13]), (0.0005, 10.0));
    }
}
