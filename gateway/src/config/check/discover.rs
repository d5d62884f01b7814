//! `upstreams.NAME.discover`

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::auth::needed;
use super::urls;
use super::values::{self, Zero};
use crate::config::findings::Findings;
use crate::config::plan::{Consul, Discover, DiscoverName, DiscoverSource};
use crate::config::raw;
use crate::config::raw::leaf::{At, Maybe, Span};
use crate::kit::host::{self, HostPattern};

/// Soon enough for a server that comes, seldom enough for whoever is asked.
const INTERVAL: Duration = Duration::from_secs(10);
/// Where an agent of Consul listens on its own machine.
const CONSUL_ADDRESS: &str = "http://127.0.0.1:8500";

const SOURCES: &str =
    "write dns = \"app.internal:8000\", file = \"servers.json\" or consul = { service = \"app\" }";

/// None where nothing is discovered, or with a problem told.
pub fn discover(raw: &Maybe<raw::Discover>, path: &str, findings: &mut Findings<'_>) -> Option<Discover> {
    let section = raw.as_ref()?;
    let raw = &section.value;
    let path = format!("{path}.discover");
    let interval = values::duration(
        &raw.interval,
        &format!("{path}.interval"),
        Zero::Means("somebody has to be asked now and then; \"1s\" is often"),
        INTERVAL,
        findings,
    );
    let slow_start = values::duration(
        &raw.slow_start,
        &format!("{path}.slow_start"),
        Zero::Allowed,
        Duration::ZERO,
        findings,
    );
    if raw.dns.is_none() && findings.is_whole(&section.span) {
        no_effect(
            raw.resolver.as_ref().map(|r| &r.span),
            "resolver",
            &path,
            findings,
        );
        no_effect(
            raw.interval.as_ref().map(|i| &i.span),
            "interval",
            &path,
            findings,
        );
    }
    Some(Discover {
        source: source(section, &path, findings)?,
        interval,
        slow_start,
        max_conns: raw.max_conns.as_ref().map_or(0, |n| n.value.u32()),
    })
}

fn no_effect(written: Option<&Span>, key: &str, path: &str, findings: &mut Findings<'_>) {
    let Some(span) = written else { return };
    let message = format!("`{key}` has no effect without `dns`");
    let problem = findings.error(span, &format!("{path}.{key}"), message);
    problem.help(format!(
        "take `{key}` out: a file and Consul tell of changes themselves"
    ));
}

fn source(section: &At<raw::Discover>, path: &str, findings: &mut Findings<'_>) -> Option<DiscoverSource> {
    let raw = &section.value;
    match (&raw.dns, &raw.file, &raw.consul) {
        (Some(dns), None, None) => {
            let name = name(dns, &format!("{path}.dns"), findings);
            let resolver = match &raw.resolver {
                Some(written) => Some(resolver(written, &format!("{path}.resolver"), findings)?),
                None => None,
            };
            Some(DiscoverSource::Dns {
                name: name?,
                resolver,
            })
        }
        (None, Some(file), None) => self::file(file, &format!("{path}.file"), findings),
        (None, None, Some(written)) => {
            consul(written, &format!("{path}.consul"), findings).map(DiscoverSource::Consul)
        }
        (None, None, None) => {
            if findings.is_whole(&section.span) {
                let problem = findings.error(
                    &section.span,
                    path,
                    "`discover` does not say where servers are found",
                );
                problem.help(SOURCES);
            }
            None
        }
        _ => {
            let problem = findings.error(&section.span, path, "`discover` has more than one source");
            problem.help("keep one of `dns`, `file` and `consul`; another upstream may have another");
            None
        }
    }
}

/// "app.internal:8000", or "_http._tcp.app.internal".
fn name(written: &At<String>, path: &str, findings: &mut Findings<'_>) -> Option<DiscoverName> {
    let text = written.value.as_str();
    match parsed(text) {
        Ok(name) => Some(name),
        Err(help) => {
            let message = format!("\"{text}\" is not what servers can be found by");
            findings.error(&written.span, path, message).help(help);
            None
        }
    }
}

fn parsed(text: &str) -> Result<DiscoverName, String> {
    const HELP: &str = "write a name and a port, \"app.internal:8000\", or a name of SRV records, \"_http._tcp.app.internal\"";
    if text.contains("://") {
        return Err(format!("no scheme belongs here: {HELP}"));
    }
    let (name, port) = host::split_port(text).ok_or(HELP)?;
    let Some(HostPattern::Exact(mut exact)) = HostPattern::parse(name) else {
        return Err(HELP.to_owned());
    };
    // resolv.conf(5): a name with a dot at its end is whole, and the search list is left out. Elsewhere it means nothing.
    if name.ends_with('.') {
        exact.push('.');
    }
    if name.starts_with('[') || exact.trim_end_matches('.').parse::<std::net::Ipv4Addr>().is_ok() {
        return Err("an address needs no looking up: list it in `servers`".to_owned());
    }
    // RFC 2782: "The format of the SRV RR": _Service._Proto.Name; the underscores keep it apart from names of hosts.
    let is_service = exact.starts_with('_') && exact.split('.').nth(1).is_some_and(|p| p.starts_with('_'));
    match (port, is_service) {
        (None, true) => Ok(DiscoverName::Service(exact)),
        (Some(_), true) => Err("SRV records have ports of their own: take the port off".to_owned()),
        (Some(port), false) if port != 0 => Ok(DiscoverName::Host { name: exact, port }),
        (_, false) => Err(HELP.to_owned()),
    }
}

fn resolver(written: &At<String>, path: &str, findings: &mut Findings<'_>) -> Option<SocketAddr> {
    let text = written.value.as_str();
    if let Some(address) = text.parse::<SocketAddr>().ok().filter(|a| a.port() != 0) {
        return Some(address);
    }
    let help = match text.trim_matches(['[', ']']).parse::<std::net::IpAddr>() {
        Ok(ip) => format!("add the port: \"{}\"", SocketAddr::new(ip, 53)),
        Err(_) => "write an address and a port, \"127.0.0.1:53\": who resolves names has none".to_owned(),
    };
    let message = format!("\"{text}\" is not the address of a resolver");
    findings.error(&written.span, path, message).help(help);
    None
}

fn file(written: &At<String>, path: &str, findings: &mut Findings<'_>) -> Option<DiscoverSource> {
    let file = PathBuf::from(&written.value);
    let ending = file.extension().and_then(|e| e.to_str());
    if matches!(ending, Some("json" | "toml")) {
        return Some(DiscoverSource::File(file));
    }
    let message = format!("\"{}\" does not tell by its ending what it holds", written.value);
    let problem = findings.error(&written.span, path, message);
    problem.help("name it \"….json\" or \"….toml\"");
    None
}

fn consul(section: &At<raw::Consul>, path: &str, findings: &mut Findings<'_>) -> Option<Consul> {
    let raw = &section.value;
    let at = format!("{path}.address");
    let address = match &raw.address {
        Some(written) => consul_address(written, &at, findings),
        None => Some(CONSUL_ADDRESS.to_owned()),
    };
    let at = format!("{path}.service");
    let service = needed(&raw.service, section, ("service", "app"), &at, findings)?;
    let text = |written: &Maybe<String>| {
        let text = written.as_ref().map(|t| t.value.clone());
        text.filter(|t| !t.is_empty())
    };
    Some(Consul {
        address: address?,
        service: service.value.clone(),
        tag: text(&raw.tag),
        datacenter: text(&raw.datacenter),
        token_file: text(&raw.token_file).map(PathBuf::from),
        passing_only: raw.passing_only.as_ref().is_none_or(|f| f.value.0),
    })
}

fn consul_address(written: &At<String>, path: &str, findings: &mut Findings<'_>) -> Option<String> {
    let url = urls::http(written, CONSUL_ADDRESS, path, findings)?;
    if url.contains('?') {
        let problem = findings.error(&written.span, path, "the address of an agent has no query");
        problem.help("`tag`, `datacenter` and `token_file` say what a query would");
        return None;
    }
    Some(url.trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_hosts_and_of_services_are_told_apart_and_addresses_refused() {
        let host = |name: &str, port| DiscoverName::Host {
            name: name.to_owned(),
            port,
        };
        assert_eq!(parsed("App.internal:8000"), Ok(host("app.internal", 8000)));
        assert_eq!(parsed("App.internal.:8000"), Ok(host("app.internal.", 8000)));
        assert_eq!(parsed("app_1:80"), Ok(host("app_1", 80)));
        assert_eq!(parsed("_odd.internal:80"), Ok(host("_odd.internal", 80)));
        let service = DiscoverName::Service("_http._tcp.app.internal".to_owned());
        assert_eq!(parsed("_http._tcp.app.internal"), Ok(service));
        let whole = DiscoverName::Service("_http._tcp.app.internal.".to_owned());
        assert_eq!(parsed("_http._tcp.app.internal."), Ok(whole));
        for bad in [
            "",
            "app.internal",
            "app.internal:0",
            "app.internal:x",
            "_http._tcp.app:80",
            "10.0.0.1:80",
            "10.0.0.1.:80",
            ".:80",
            "[::1]:80",
            "*.app:80",
            "*",
            "http://app:80",
            "a b:80",
        ] {
            assert!(parsed(bad).is_err(), "{bad}");
        }
    }
}
