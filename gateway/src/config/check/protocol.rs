//! `protocol` of an upstream, and what has to go with it.

use crate::config::findings::Findings;
use crate::config::plan::Protocol;
use crate::config::raw;
use crate::config::raw::leaf::At;

/// What is spoken to the servers. What contradicts it is told here.
pub fn protocol(item: &At<raw::Upstream>, path: &str, findings: &mut Findings<'_>) -> Protocol {
    let raw = &item.value;
    let Some(written) = &raw.protocol else {
        return Protocol::Http1;
    };
    let protocol = match written.value {
        raw::Protocol::Http1 => Protocol::Http1,
        raw::Protocol::Http2 => Protocol::Http2,
        raw::Protocol::H2c => Protocol::H2c,
    };
    let at = format!("{path}.protocol");
    match (protocol, &raw.tls) {
        (Protocol::Http2, None) if findings.is_whole(&item.span) => {
            let message = "`protocol = \"http2\"` is HTTP/2 over TLS, and there is no `tls`";
            let problem = findings.error(&written.span, &at, message);
            problem.help("add tls = {}, or write \"h2c\" for servers that speak HTTP/2 in plain");
        }
        (Protocol::H2c, Some(_)) => {
            let message = "`protocol = \"h2c\"` is HTTP/2 in plain, and `tls` is set";
            let problem = findings.error(&written.span, &at, message);
            problem.help("write \"http2\", or take `tls` out");
        }
        (Protocol::Http1 | Protocol::Http2 | Protocol::H2c, _) => {}
    }
    if let Some(told) = &raw.send_proxy_protocol
        && told.value != raw::SendProxyProtocol::Off
        && protocol.is_http2()
    {
        let message =
            "`send_proxy_protocol` tells one client's address, and all clients share a connection of HTTP/2";
        let problem = findings.error(&told.span, &format!("{path}.send_proxy_protocol"), message);
        problem.help("take it out: servers read X-Forwarded-For; or write protocol = \"http1\"");
    }
    if let Some(max) = &raw.max_idle
        && protocol.is_http2()
    {
        let message = "`max_idle` has no effect with HTTP/2: `idle_timeout` closes what has nothing to do";
        let problem = findings.error(&max.span, &format!("{path}.max_idle"), message);
        problem.help("take it out");
    }
    protocol
}
