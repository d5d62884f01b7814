//! The model as sections of TOML.

use super::model::{
    Action, Amount, Auth, Cache, CacheRule, Certificate, Compression, Document, Edits, Listener, PathMatch,
    Rewrite, Route, StaticFiles, Upstream, UpstreamTls,
};
use super::toml_text::{Section, Value, bare, print};

/// Everybody, of both families.
const EVERYBODY: [&str; 2] = ["0.0.0.0/0", "::/0"];
/// What is retried besides POST, LOCK and PATCH, and those.
const ANY_METHOD: [&str; 7] = ["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "POST", "PATCH"];

/// The document as text.
pub(super) fn document(document: &Document) -> String {
    let mut sections = Vec::new();
    server(document, &mut sections);
    let mut admin = Section::new("[admin]");
    let address = admin.set("address", "127.0.0.1:9900");
    address.comment = "status, metrics and orders; for this machine alone".to_owned();
    sections.push(admin);
    if !document.access_log.is_empty() {
        let mut section = Section::new("[access_log]");
        for (name, text) in &document.access_log {
            section.set(name, text.as_str());
        }
        sections.push(section);
    }
    sections.extend(document.certificates.iter().map(|(name, c)| certificate(name, c)));
    sections.extend(document.listeners.iter().map(listener));
    for (name, one) in &document.upstreams {
        upstream(name, one, &mut sections);
    }
    sections.extend(document.caches.iter().map(|(name, c)| cache(name, c)));
    sections.extend(document.compression.as_ref().map(compression));
    limits(document, &mut sections);
    sections.extend(document.auth.iter().map(|(name, a)| auth(name, a)));
    if document.compresses {
        let mut defaults = Section::new("[defaults]");
        defaults.set("compression", true);
        sections.push(defaults);
    }
    for one in &document.routes {
        route(one, document.compresses, &mut sections);
    }
    print(&sections)
}

fn server(document: &Document, sections: &mut Vec<Section>) {
    let mut section = Section::new("[server]");
    section.set_some("threads", document.threads);
    section.set_some("drain_timeout", document.drain_timeout.as_deref());
    if !document.trusted_proxies.is_empty() {
        section.set("trusted_proxies", document.trusted_proxies.as_slice());
    }
    if !section.keys.is_empty() {
        sections.push(section);
    }
    let mut section = Section::new("[server.limits]");
    for (name, amount) in &document.limits {
        section.set(
            name,
            match amount {
                Amount::Number(number) => Value::Number(*number),
                Amount::Text(text) => Value::Text(text.clone()),
            },
        );
    }
    if !section.keys.is_empty() {
        sections.push(section);
    }
}

fn certificate(name: &str, certificate: &Certificate) -> Section {
    let mut section = Section::new(format!("[certificates.{}]", bare(name)));
    section.set("domains", certificate.domains.as_slice());
    section.set("cert_file", certificate.cert_file.as_str());
    section.set("key_file", certificate.key_file.as_str());
    section
}

fn listener(listener: &Listener) -> Section {
    let mut section = Section::new("[[listeners]]");
    section.set_some("name", listener.name.as_deref());
    section.set("address", listener.address.as_str());
    if !listener.certificates.is_empty() {
        section.set("certificates", listener.certificates.as_slice());
    }
    section.set_some("default_certificate", listener.default_certificate.as_deref());
    section.set_some("http2", listener.http2);
    if listener.h2c {
        section.set("h2c", true);
    }
    section.set_some("min_version", listener.min_version);
    section.set_some("client_ca_file", listener.client_ca_file.as_deref());
    section.set_some("client_auth", listener.client_auth);
    if listener.proxy_protocol {
        section.set("proxy_protocol", true);
    }
    section
}

fn upstream(name: &str, upstream: &Upstream, sections: &mut Vec<Section>) {
    let mut section = Section::new(format!("[upstreams.{}]", bare(name)));
    section.set("load_balancing", upstream.load_balancing);
    section.set_some("hash_by", upstream.hash_by.as_deref());
    let servers = upstream.servers.iter().map(|server| {
        let mut table = vec![("address".to_owned(), Value::from(server.address.as_str()))];
        let mut add = |name: &str, value: Option<Value>| {
            table.extend(value.map(|value| (name.to_owned(), value)));
        };
        add("weight", server.weight.map(Value::from));
        add("max_conns", server.max_conns.map(Value::from));
        add("slow_start", server.slow_start.as_deref().map(Value::from));
        add("backup", server.backup.then_some(Value::Flag(true)));
        add("down", server.down.then_some(Value::Flag(true)));
        Value::Table(table)
    });
    section.set("servers", Value::Lines(servers.collect()));
    section.set("connect_timeout", upstream.connect_timeout.as_str());
    section.set("write_timeout", upstream.write_timeout.as_str());
    section.set("read_timeout", upstream.read_timeout.as_str());
    section.set_some("idle_timeout", upstream.idle_timeout.as_deref());
    section.set_some("max_idle", upstream.max_idle);
    section.set_some("sticky_cookie", upstream.sticky_cookie.as_deref());
    section.set_some("protocol", upstream.protocol);
    if upstream.send_proxy_protocol {
        section.set("send_proxy_protocol", "v1");
    }
    if let Some(tls) = &upstream.tls {
        section.set("tls", self::tls(tls));
    }
    sections.push(section);
    if let Some((failures, time)) = &upstream.outlier {
        let mut section = Section::new(format!("[upstreams.{}.outlier_detection]", bare(name)));
        section.set("consecutive_failures", *failures);
        section.set_some("ejection_time", time.as_deref());
        sections.push(section);
    }
    let retries = &upstream.retries;
    let mut section = Section::new(format!("[upstreams.{}.retries]", bare(name)));
    section.set("attempts", retries.attempts);
    if retries.attempts > 0 {
        section.set("retry_on", retries.retry_on.as_slice());
        if retries.any_method {
            let methods = ANY_METHOD.iter().map(|m| Value::from(*m)).collect();
            section.set("methods", Value::List(methods));
        }
        section.set_some("timeout", retries.timeout.as_deref());
    }
    sections.push(section);
}

fn tls(tls: &UpstreamTls) -> Value {
    let mut table = Vec::new();
    for (name, text) in [
        ("sni", &tls.sni),
        ("ca_file", &tls.ca_file),
        ("client_cert_file", &tls.client_cert_file),
        ("client_key_file", &tls.client_key_file),
    ] {
        table.extend(text.as_deref().map(|text| (name.to_owned(), Value::from(text))));
    }
    if !tls.verify {
        table.push(("verify".to_owned(), Value::Flag(false)));
    }
    Value::Table(table)
}

fn cache(name: &str, cache: &Cache) -> Section {
    let mut section = Section::new(format!("[caches.{}]", bare(name)));
    section.set_some("memory", cache.memory.as_deref());
    section.set("disk", cache.disk.as_str());
    section.set("path", cache.path.as_str());
    section.set_some("min_uses", cache.min_uses);
    section
}

fn compression(compression: &Compression) -> Section {
    let mut section = Section::new("[compression]");
    let algorithms = section.set("algorithms", compression.algorithms.as_slice());
    algorithms.comment = "as nginx; \"zstd\" and \"br\" make less of it".to_owned();
    section.set("min_size", compression.min_size.as_str());
    section.set("types", compression.types.as_slice());
    section
}

fn limits(document: &Document, sections: &mut Vec<Section>) {
    for (name, limit) in &document.rate_limits {
        let mut section = Section::new(format!("[rate_limits.{}]", bare(name)));
        section.set("key", limit.key.as_str());
        section.set("rate", limit.rate.as_str());
        section.set("burst", limit.burst);
        sections.push(section);
    }
    for (name, limit) in &document.concurrency_limits {
        let mut section = Section::new(format!("[concurrency_limits.{}]", bare(name)));
        section.set("key", limit.key.as_str());
        section.set("max", limit.max);
        sections.push(section);
    }
}

fn auth(name: &str, auth: &Auth) -> Section {
    match auth {
        Auth::Basic { users_file, realm } => {
            let mut section = Section::new(format!("[auth.{}.basic]", bare(name)));
            section.set("users_file", users_file.as_str());
            section.set("realm", realm.as_str());
            section
        }
        Auth::Forward { url, copy_headers } => {
            let mut section = Section::new(format!("[auth.{}.forward]", bare(name)));
            section.set("url", url.as_str());
            if !copy_headers.is_empty() {
                section.set("copy_headers", copy_headers.as_slice());
            }
            section
        }
    }
}

fn route(route: &Route, compresses: bool, sections: &mut Vec<Section>) {
    let mut section = Section::new("[[routes]]");
    section.above.clone_from(&route.comment);
    section.set("name", route.name.as_str());
    let matches = matches(route);
    if !matches.is_empty() {
        section.set("match", Value::Table(matches));
    }
    action(route, &mut section);
    section.set_some("max_body", route.max_body.as_deref());
    for (name, edits) in [
        ("request_headers", &route.request),
        ("response_headers", &route.response),
    ] {
        section.set_some(name, self::edits(edits));
    }
    if !route.access_log {
        section.set("access_log", false);
    }
    if route.compression != compresses {
        section.set("compression", route.compression);
    }
    for (name, list) in [("allow", &route.allow), ("deny", &route.deny)] {
        let closes = name == "deny" && route.closed.is_some();
        if !list.is_empty() && !closes {
            section.set(name, list.as_slice());
        }
    }
    if let Some(why) = &route.closed {
        let everybody = EVERYBODY.iter().map(|n| Value::from(*n)).collect();
        let key = section.set("deny", Value::List(everybody));
        key.comment = format!("closed: {why}");
    }
    section.set_some("auth", route.auth.as_deref());
    for (name, list) in [
        ("rate_limits", &route.rate_limits),
        ("concurrency_limits", &route.concurrency_limits),
    ] {
        if !list.is_empty() {
            section.set(name, list.as_slice());
        }
    }
    sections.push(section);
    sections.extend(route.cache.as_ref().map(cache_rule));
}

fn matches(route: &Route) -> Vec<(String, Value)> {
    let mut table = Vec::new();
    let mut add = |name: &str, text: Option<&str>| {
        table.extend(text.map(|text| (name.to_owned(), Value::from(text))));
    };
    add("listener", route.listener.as_deref());
    add("host", route.host.as_deref());
    match &route.path {
        PathMatch::Any => {}
        PathMatch::Exact(path) => add("path", Some(path)),
        PathMatch::Prefix(path) => add("path_prefix", Some(path)),
        PathMatch::Regex(regex) => add("path_regex", Some(regex)),
    }
    if !route.methods.is_empty() {
        table.push(("methods".to_owned(), Value::from(route.methods.as_slice())));
    }
    table
}

fn action(route: &Route, section: &mut Section) {
    match &route.action {
        Action::Upstream(name) => _ = section.set("upstream", name.as_str()),
        Action::Files(files) => _ = section.set("static_files", static_files(files)),
        Action::Respond {
            status,
            body,
            content_type,
        } => {
            let mut table = vec![("status".to_owned(), Value::Number(u64::from(*status)))];
            if !body.is_empty() {
                table.push(("body".to_owned(), Value::from(body.as_str())));
            }
            let content_type = content_type.as_deref().filter(|_| !body.is_empty());
            table.extend(content_type.map(|c| ("content_type".to_owned(), Value::from(c))));
            section.set("respond", Value::Table(table));
        }
        Action::Redirect { to, status } => {
            let table = vec![
                ("to".to_owned(), Value::from(to.as_str())),
                ("status".to_owned(), Value::Number(u64::from(*status))),
            ];
            section.set("redirect", Value::Table(table));
        }
    }
    let rewrite = route.rewrite.as_ref().map(|rewrite| match rewrite {
        Rewrite::StripPrefix(prefix) => vec![("strip_prefix".to_owned(), Value::from(prefix.as_str()))],
        Rewrite::Regex { regex, to } => vec![
            ("regex".to_owned(), Value::from(regex.as_str())),
            ("to".to_owned(), Value::from(to.as_str())),
        ],
    });
    if let Some(table) = rewrite {
        section.set("rewrite", Value::Table(table));
    }
}

fn static_files(files: &StaticFiles) -> Value {
    let mut table = vec![("root".to_owned(), Value::from(files.root.as_str()))];
    table.extend(
        files
            .index
            .as_deref()
            .map(|i| ("index".to_owned(), Value::from(i))),
    );
    table.push((
        "precompressed".to_owned(),
        Value::from(files.precompressed.as_slice()),
    ));
    if !files.try_files.is_empty() {
        table.push(("try_files".to_owned(), Value::from(files.try_files.as_slice())));
    }
    if files.directory_listing {
        table.push(("directory_listing".to_owned(), Value::Flag(true)));
    }
    Value::Table(table)
}

fn edits(edits: &Edits) -> Option<Value> {
    let mut table = Vec::new();
    for (name, fields) in [("set", &edits.set), ("add", &edits.add)] {
        if fields.is_empty() {
            continue;
        }
        let fields = fields.iter().map(|(n, v)| (n.clone(), Value::from(v.as_str())));
        table.push((name.to_owned(), Value::Table(fields.collect())));
    }
    if !edits.remove.is_empty() {
        table.push(("remove".to_owned(), Value::from(edits.remove.as_slice())));
    }
    (!table.is_empty()).then_some(Value::Table(table))
}

fn cache_rule(rule: &CacheRule) -> Section {
    let mut section = Section::new("[routes.cache]");
    section.set("store", rule.store.as_str());
    section.set_some("ttl", rule.ttl.as_deref());
    if rule.overrides {
        section.set("override", true);
    }
    if !rule.statuses.is_empty() {
        let statuses = rule
            .statuses
            .iter()
            .map(|(s, t)| (s.clone(), Value::from(t.as_str())));
        section.set("statuses", Value::Table(statuses.collect()));
    }
    section.set_some("stale_while_revalidate", rule.stale_while_revalidate.as_deref());
    section.set_some("stale_if_error", rule.stale_if_error.as_deref());
    let mut key = Vec::new();
    if rule.without_query {
        key.push(("query".to_owned(), Value::from("none")));
    }
    for (name, list) in [("headers", &rule.key_headers), ("cookies", &rule.key_cookies)] {
        if !list.is_empty() {
            key.push((name.to_owned(), Value::from(list.as_slice())));
        }
    }
    if !key.is_empty() {
        section.set("key", Value::Table(key));
    }
    let mut bypass = Vec::new();
    for (name, list) in [
        ("cookies", &rule.bypass_cookies),
        ("headers", &rule.bypass_headers),
    ] {
        if !list.is_empty() {
            bypass.push((name.to_owned(), Value::from(list.as_slice())));
        }
    }
    if !bypass.is_empty() {
        section.set("bypass", Value::Table(bypass));
    }
    section
}
