//! `[[listeners]]`

use std::collections::BTreeMap;

use super::tls::{self, Shown};
use super::values;
use crate::config::findings::Findings;
use crate::config::plan::{Admin, Listener, ListenerTls, SocketSpec};
use crate::config::raw;
use crate::config::raw::leaf::{At, List, Span};

/// What of the other sections matters to listeners.
#[derive(Clone, Copy)]
pub struct Around<'p> {
    /// `[admin]`
    pub admin: Option<&'p Admin>,
    /// Whether `trusted_proxies` is empty.
    pub trusts_nobody: bool,
}

/// `[[listeners]]`, no name and no address twice.
pub fn listeners(
    raw: Option<&At<Vec<At<raw::Listener>>>>,
    around: Around<'_>,
    shown: &mut Shown<'_>,
    findings: &mut Findings<'_>,
) -> Vec<Listener> {
    let listed = raw.map_or(&[][..], |list| &list.value);
    if listed.is_empty() && findings.is_whole(&(0..0)) {
        let problem = findings.error(
            &(0..0),
            "listeners",
            "there is no [[listeners]]: nobody could connect",
        );
        problem.help("add [[listeners]] with address = \"127.0.0.1:8080\"");
    }
    let mut names: BTreeMap<&str, Span> = BTreeMap::new();
    let mut addresses: BTreeMap<SocketSpec, Span> = BTreeMap::new();
    let mut listeners = Vec::new();
    for (index, item) in listed.iter().enumerate() {
        let path = path(index, item);
        if let Some(name) = &item.value.name {
            values::name(name, &format!("{path}.name"), findings);
            if let Some(first) = names.insert(&name.value, name.span.clone()) {
                let message = format!("two listeners are named \"{}\"", name.value);
                let help = format!("the other stands at {}", findings.place(&first));
                findings
                    .error(&name.span, &format!("{path}.name"), message)
                    .help(help);
            }
        }
        let tls = tls::listener(item, &path, shown, findings);
        let Some(address) = address(item, &path, around.admin, findings) else {
            continue;
        };
        let written = item.value.address.as_ref().map_or(&item.span, |a| &a.span);
        if !is_any_port(&address)
            && let Some(first) = addresses.insert(address.clone(), written.clone())
        {
            let message = format!("two listeners have the address {address}");
            let help = format!("the other stands at {}", findings.place(&first));
            findings
                .error(written, &format!("{path}.address"), message)
                .help(help);
        }
        listeners.push(listener(&item.value, address, tls, &path, around, findings));
    }
    listeners
}

fn listener(
    raw: &raw::Listener,
    address: SocketSpec,
    tls: Option<ListenerTls>,
    path: &str,
    around: Around<'_>,
    findings: &mut Findings<'_>,
) -> Listener {
    let proxy_protocol = raw.proxy_protocol.as_ref().filter(|f| f.value.0);
    if let Some(written) = proxy_protocol
        && around.trusts_nobody
        && matches!(address, SocketSpec::Tcp(_))
    {
        tls::warn_of_disbelief(&written.span, path, findings);
    }
    Listener {
        name: raw.name.as_ref().map(|n| n.value.clone()),
        address,
        redirect_to_https: raw.redirect_to_https.as_ref().is_some_and(|f| f.value.0),
        tls,
        h2c: raw.h2c.as_ref().is_some_and(|f| f.value.0),
        proxy_protocol: proxy_protocol.is_some(),
    }
}

fn address(
    item: &At<raw::Listener>,
    path: &str,
    admin: Option<&Admin>,
    findings: &mut Findings<'_>,
) -> Option<SocketSpec> {
    let at = format!("{path}.address");
    let Some(written) = &item.value.address else {
        if findings.is_whole(&item.span) {
            let problem = findings.error(&item.span, &at, "a listener has no address");
            problem.help("add address = \"127.0.0.1:8080\"");
        }
        return None;
    };
    let address = values::socket(written, &at, findings)?;
    if !is_any_port(&address) && admin.is_some_and(|a| a.address == address) {
        let message = format!("{address} is the address of [admin] already");
        findings
            .error(&written.span, &at, message)
            .help("give one of them another port");
    }
    Some(address)
}

/// Port 0 lets the system choose, another one each time.
fn is_any_port(address: &SocketSpec) -> bool {
    matches!(address, SocketSpec::Tcp(a) if a.port() == 0)
}

fn path(index: usize, item: &At<raw::Listener>) -> String {
    match &item.value.name {
        Some(name) => format!("listeners.{}", name.value),
        None => format!("listeners.{index}"),
    }
}

/// Where each name of a listener stands is not kept in the plan; this is all that routes ask for.
pub fn names(raw: &List<raw::Listener>) -> Vec<&str> {
    let listed = raw.iter().flat_map(|list| &list.value);
    listed
        .filter_map(|l| l.value.name.as_ref())
        .map(|n| n.value.as_str())
        .collect()
}
