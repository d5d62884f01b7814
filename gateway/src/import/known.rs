//! What becomes of directives that no part of the translation has spoken of.

use super::report::Outcome;
use super::tree::Directive;

/// What Sluice does by itself, or does not need.
const NEEDLESS: [(&str, &str); 30] = [
    (
        "sendfile",
        "files are sent without copying them where that is possible",
    ),
    (
        "sendfile_max_chunk",
        "files are sent in turns with other requests",
    ),
    ("tcp_nopush", "heads and bodies share packets by themselves"),
    ("tcp_nodelay", "is always on"),
    ("aio", "files are read by the workers"),
    ("directio", "files are read through the system's cache"),
    ("use", "the system's best way is taken"),
    ("multi_accept", "workers accept as fast as they can"),
    ("accept_mutex", "each worker has a socket of its own"),
    ("pid", "systemd knows the process"),
    ("daemon", "Sluice stays in the foreground"),
    (
        "worker_rlimit_nofile",
        "the limit of the service is raised to what the system allows: LimitNOFILE of the unit",
    ),
    ("worker_cpu_affinity", "the system places workers"),
    ("worker_priority", "Nice of the service's unit says it"),
    ("server_tokens", "no version is told"),
    ("server_names_hash_bucket_size", "tables find their own size"),
    ("server_names_hash_max_size", "tables find their own size"),
    ("types_hash_max_size", "tables find their own size"),
    ("types_hash_bucket_size", "tables find their own size"),
    ("variables_hash_max_size", "tables find their own size"),
    ("variables_hash_bucket_size", "tables find their own size"),
    ("map_hash_bucket_size", "tables find their own size"),
    ("map_hash_max_size", "tables find their own size"),
    (
        "open_file_cache",
        "open files are kept for a moment by themselves",
    ),
    (
        "open_file_cache_valid",
        "open files are kept for a moment by themselves",
    ),
    (
        "open_file_cache_min_uses",
        "open files are kept for a moment by themselves",
    ),
    (
        "open_file_cache_errors",
        "open files are kept for a moment by themselves",
    ),
    ("resolver", "names are looked up by the system's resolver"),
    ("resolver_timeout", "names are looked up by the system's resolver"),
    ("reset_timedout_connection", "slow clients are cut off"),
];

/// The same, of passing on and of TLS.
const NEEDLESS_PASSING: [(&str, &str); 35] = [
    (
        "proxy_http_version",
        "HTTP/1.1 with kept connections is spoken to origins",
    ),
    (
        "proxy_buffering",
        "an answer goes on as it comes, at the pace of the client",
    ),
    (
        "proxy_buffer_size",
        "an answer goes on as it comes, at the pace of the client",
    ),
    (
        "proxy_buffers",
        "an answer goes on as it comes, at the pace of the client",
    ),
    (
        "proxy_busy_buffers_size",
        "an answer goes on as it comes, at the pace of the client",
    ),
    ("proxy_max_temp_file_size", "nothing of an answer waits in files"),
    ("proxy_temp_path", "nothing of an answer waits in files"),
    (
        "proxy_temp_file_write_size",
        "nothing of an answer waits in files",
    ),
    ("proxy_request_buffering", "a body goes on as it comes"),
    (
        "proxy_socket_keepalive",
        "idle connections are kept for idle_timeout",
    ),
    ("proxy_headers_hash_max_size", "tables find their own size"),
    ("proxy_headers_hash_bucket_size", "tables find their own size"),
    ("proxy_ssl_session_reuse", "sessions are taken up again"),
    ("client_body_buffer_size", "a body goes on as it comes"),
    ("client_body_temp_path", "a body goes on as it comes"),
    ("client_body_in_file_only", "a body goes on as it comes"),
    (
        "client_header_buffer_size",
        "heads find their own size, up to max_header_size",
    ),
    ("connection_pool_size", "memory finds its own size"),
    ("request_pool_size", "memory finds its own size"),
    ("output_buffers", "memory finds its own size"),
    ("ssl_session_cache", "sessions are resumed on every worker"),
    ("ssl_session_timeout", "keys of sessions turn every twelve hours"),
    ("ssl_session_tickets", "sessions are resumed on every worker"),
    (
        "ssl_prefer_server_ciphers",
        "only good ciphers are offered, so the client chooses",
    ),
    ("ssl_buffer_size", "records find their own size"),
    ("http2", "is a matter of the listener"),
    ("gzip_vary", "Vary is sent where it has to be"),
    (
        "gzip_comp_level",
        "what is kept is compressed with more effort than what is sent once",
    ),
    ("gzip_proxied", "answers are compressed for whoever accepts it"),
    ("gzip_buffers", "memory finds its own size"),
    ("gzip_disable", "whoever accepts a coding gets it"),
    ("gzip_http_version", "whoever accepts a coding gets it"),
    (
        "log_not_found",
        "a file that is missing is a 404 in the access log",
    ),
    (
        "lingering_close",
        "a connection is closed so that its answer arrives",
    ),
    ("types", "media types are known by ending"),
];

/// What Sluice does not do, and what to do instead.
const ABSENT: [(&str, &str); 47] = [
    (
        "error_page",
        "answers of the gateway's own are problem+json, or a page for browsers; an origin's errors reach the client as they are",
    ),
    (
        "proxy_intercept_errors",
        "an origin's errors reach the client as they are",
    ),
    (
        "recursive_error_pages",
        "an origin's errors reach the client as they are",
    ),
    (
        "rewrite",
        "write routes: match.path, path_prefix or path_regex, with `rewrite` or `redirect`",
    ),
    ("set", "Sluice has no variables of one's own"),
    (
        "if",
        "Sluice has no `if`: write a route with match.methods, match.headers or match.query",
    ),
    ("break", "Sluice has no order of directives"),
    ("geo", "networks are told apart by `allow` and `deny`"),
    (
        "geoip_country",
        "let an origin, or a service asked by [auth.NAME.forward], decide",
    ),
    (
        "geoip2",
        "let an origin, or a service asked by [auth.NAME.forward], decide",
    ),
    (
        "split_clients",
        "write `split` of a route: shares of requests by weight",
    ),
    (
        "mirror",
        "write `mirror = \"NAME\"` of the route, an upstream with the servers that get the copies: each keeps the request's path",
    ),
    (
        "mirror_request_body",
        "`mirror` of a route sends bodies too, up to 64 KiB each",
    ),
    ("sub_filter", "bodies are not changed: let the origin do it"),
    ("sub_filter_once", "bodies are not changed: let the origin do it"),
    ("sub_filter_types", "bodies are not changed: let the origin do it"),
    ("ssi", "bodies are not changed: let the origin do it"),
    ("charset", "Content-Type is the origin's, or of the file's ending"),
    ("limit_rate", "one client's speed is not limited"),
    ("limit_rate_after", "one client's speed is not limited"),
    (
        "proxy_limit_rate",
        "the speed of an origin's answer is not limited",
    ),
    ("proxy_cookie_path", "a Set-Cookie goes to the client as it is"),
    ("proxy_cookie_domain", "a Set-Cookie goes to the client as it is"),
    ("proxy_cookie_flags", "a Set-Cookie goes to the client as it is"),
    (
        "proxy_redirect",
        "a Location of the origin goes to the client as it is",
    ),
    ("proxy_bind", "the system chooses the address that origins see"),
    ("proxy_method", "a request goes to the origin with its own method"),
    ("proxy_set_body", "a request goes to the origin with its own body"),
    (
        "proxy_store",
        "write a cache: [caches.NAME] and `cache` of the route",
    ),
    (
        "slice",
        "large answers are fetched as a whole; parts are cut from it",
    ),
    (
        "proxy_ignore_client_abort",
        "a client that leaves ends its request, unless its answer is being kept",
    ),
    (
        "merge_slashes",
        "paths are brought to one spelling before a route is looked for",
    ),
    (
        "underscores_in_headers",
        "fields with underscores pass, but for those that would pass for the gateway's own",
    ),
    (
        "ignore_invalid_headers",
        "a request with a malformed field is refused",
    ),
    (
        "ssl_ciphers",
        "cipher suites are chosen by Sluice: those of TLS 1.3, and those of 1.2 with forward secrecy",
    ),
    ("ssl_conf_command", "cipher suites are chosen by Sluice"),
    ("ssl_ecdh_curve", "curves are chosen by Sluice"),
    ("ssl_dhparam", "key exchange is by elliptic curves alone"),
    (
        "ssl_stapling",
        "write `ocsp_file` of the certificate, and renew it every day",
    ),
    (
        "ssl_stapling_verify",
        "an answer of OCSP is checked when it is read",
    ),
    (
        "ssl_trusted_certificate",
        "the certificate's file holds its chain; client_ca_file says whom clients are believed by",
    ),
    (
        "ssl_crl",
        "revoked certificates of clients are not known: give them short lives",
    ),
    (
        "ssl_verify_depth",
        "chains of clients' certificates have no limit but TLS's own",
    ),
    (
        "ssl_password_file",
        "keys are not encrypted: let the file's mode guard it",
    ),
    (
        "ssl_reject_handshake",
        "name a certificate of nobody as default_certificate",
    ),
    ("ssl_early_data", "early data is not taken"),
    ("etag", "files have an ETag"),
];

/// What belongs to the system around it.
const AROUND: [(&str, &str); 10] = [
    (
        "user",
        "the service's unit says who it runs as: deploy/systemd/sluice.service",
    ),
    (
        "error_log",
        "diagnostics go to stderr: --log-level or SLUICE_LOG says how much",
    ),
    (
        "log_format",
        "access_log.format is \"json\", \"combined\" or a template of your own",
    ),
    ("load_module", "there are no modules to load"),
    (
        "env",
        "strings of the configuration take \"${NAME}\" of the environment",
    ),
    ("stream", "TCP and UDP are not balanced: HTTP alone"),
    ("mail", "mail is not passed on: HTTP alone"),
    ("perl_modules", "Sluice runs no programs"),
    ("js_import", "Sluice runs no programs"),
    ("lua_package_path", "Sluice runs no programs"),
];

/// What the translation reads where it takes effect; elsewhere it has none.
const READ_IN_PLACE: [&str; 60] = [
    "access_log",
    "add_header",
    "alias",
    "allow",
    "auth_basic",
    "auth_basic_user_file",
    "auth_request",
    "auth_request_set",
    "autoindex",
    "brotli_static",
    "client_max_body_size",
    "default_type",
    "deny",
    "expires",
    "gzip_static",
    "gzip_types",
    "gzip_min_length",
    "index",
    "internal",
    "keepalive_requests",
    "limit_conn",
    "limit_conn_status",
    "limit_conn_zone",
    "limit_req",
    "limit_req_status",
    "limit_req_zone",
    "proxy_cache",
    "proxy_cache_background_update",
    "proxy_cache_bypass",
    "proxy_cache_key",
    "proxy_cache_lock",
    "proxy_cache_methods",
    "proxy_cache_min_uses",
    "proxy_cache_path",
    "proxy_cache_revalidate",
    "proxy_cache_use_stale",
    "proxy_cache_valid",
    "proxy_connect_timeout",
    "proxy_hide_header",
    "proxy_ignore_headers",
    "proxy_next_upstream",
    "proxy_next_upstream_timeout",
    "proxy_next_upstream_tries",
    "proxy_no_cache",
    "proxy_pass",
    "proxy_pass_header",
    "proxy_pass_request_body",
    "proxy_pass_request_headers",
    "proxy_read_timeout",
    "proxy_send_timeout",
    "proxy_set_header",
    "proxy_ssl_name",
    "proxy_ssl_server_name",
    "proxy_ssl_trusted_certificate",
    "proxy_ssl_verify",
    "return",
    "root",
    "satisfy",
    "server",
    "try_files",
];

/// What becomes of a directive; `is_foreign` is one outside of all that was looked at.
pub(super) fn judge(directive: &Directive, is_foreign: bool) -> (Outcome, String) {
    // What is said of passing on holds for calls of gRPC too.
    let twin = directive
        .name
        .strip_prefix("grpc_")
        .map(|rest| format!("proxy_{rest}"));
    let name = twin.as_deref().unwrap_or(&directive.name);
    let find = |table: &[(&str, &str)]| {
        table
            .iter()
            .find(|(n, _)| *n == name)
            .map(|(_, remark)| (*remark).to_owned())
    };
    if name == "include" {
        return included(directive);
    }
    if name == "proxy_redirect" && matches!(directive.arg(0), "off" | "default") {
        return (
            Outcome::Translated,
            "a Location of the origin goes to the client as it is".to_owned(),
        );
    }
    if is_foreign {
        let remark = find(&AROUND).unwrap_or_else(|| "belongs to a block that is not translated".to_owned());
        return (Outcome::NotTranslated, remark);
    }
    if let Some(remark) = find(&NEEDLESS).or_else(|| find(&NEEDLESS_PASSING)) {
        return (Outcome::Translated, remark);
    }
    if let Some(remark) = find(&ABSENT).or_else(|| find(&AROUND)) {
        return (Outcome::NotTranslated, remark);
    }
    if READ_IN_PLACE.contains(&name) || name == "upstream" {
        return (Outcome::Translated, "has no effect where it stands".to_owned());
    }
    (
        Outcome::NotTranslated,
        "Sluice has no counterpart that this importer knows of".to_owned(),
    )
}

fn included(directive: &Directive) -> (Outcome, String) {
    let remark = match super::parse::is_needless(std::path::Path::new(directive.arg(0))) {
        true => "not read: Sluice knows media types by ending, and speaks neither FastCGI nor its relatives",
        false => "what it includes follows",
    };
    (Outcome::Translated, remark.to_owned())
}
