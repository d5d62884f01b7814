//! What is asked of Consul, and what its answers mean.

use std::net::Ipv6Addr;
use std::num::NonZeroU32;
use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use crate::config::plan::{Address, Consul, UpstreamServer};

/// How long Consul holds a question back until something changes. A connection that has died without a word is noticed
/// only when this is over.
pub const WAIT: Duration = Duration::from_secs(60);

/// Largest weight of a server, as in a configuration.
const WEIGHT_MAX: u64 = 65_535;

/// What need not be encoded in a part of a URL (RFC 3986 §2.3).
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The URL of a question. `index` is of the last answer; 0 asks what there is without a wait.
pub fn url(consul: &Consul, index: u64) -> String {
    let encoded = |text: &str| utf8_percent_encode(text, ENCODED).to_string();
    let mut url = format!(
        "{}/v1/health/service/{}",
        consul.address,
        encoded(&consul.service)
    );
    let mut mark = '?';
    let mut add = |key: &str, value: &str| {
        url.push(mark);
        url.push_str(key);
        url.push('=');
        url.push_str(value);
        mark = '&';
    };
    if consul.passing_only {
        add("passing", "1");
    }
    if let Some(tag) = &consul.tag {
        add("tag", &encoded(tag));
    }
    if let Some(datacenter) = &consul.datacenter {
        add("dc", &encoded(datacenter));
    }
    if index > 0 {
        add("index", &index.to_string());
        add("wait", &format!("{}s", WAIT.as_secs()));
    }
    url
}

/// The index for the next question. By Consul's rules for whoever asks so: one that goes backwards begins anew, and 0 is
/// taken for 1, because a question with 0 is not held back. None where the answer has none that could be used.
pub fn next_index(current: u64, written: Option<&[u8]>) -> Option<u64> {
    let index: u64 = std::str::from_utf8(written?).ok()?.trim().parse().ok()?;
    Some(if index < current { 0 } else { index.max(1) })
}

/// The instances of an answer's body, in the order of their addresses, and how many of them cannot be used: they have no port,
/// or an address that is none. Those of weight 0 are not to get requests and left out.
///
/// # Errors
/// It is no list of instances.
pub fn servers(body: &[u8]) -> Result<(Vec<UpstreamServer>, usize), String> {
    let value: Value =
        serde_json::from_slice(body).map_err(|e| format!("what it answers is no JSON: {e}"))?;
    let entries = value
        .as_array()
        .ok_or("what it answers is no list of instances")?;
    let mut servers = Vec::with_capacity(entries.len());
    let mut unusable = 0;
    for entry in entries {
        let service = &entry["Service"];
        if !service.is_object() {
            return Err("what it answers is no list of instances".to_owned());
        }
        let weight = NonZeroU32::new(weight(entry));
        match (address(entry), weight) {
            (Some(address), Some(weight)) => servers.push(server(address, weight)),
            (Some(_), None) => {}
            (None, _) => unusable += 1,
        }
    }
    servers.sort_by(|a, b| a.address.cmp(&b.address));
    Ok((servers, unusable))
}

/// The service's own address, else its node's.
fn address(entry: &Value) -> Option<Address> {
    let text = |value: &Value| value.as_str().filter(|t| !t.is_empty()).map(str::to_owned);
    let host = text(&entry["Service"]["Address"]).or_else(|| text(&entry["Node"]["Address"]))?;
    let port = entry["Service"]["Port"].as_u64()?;
    match host.parse::<Ipv6Addr>() {
        Ok(ip) => Address::parse(&format!("[{ip}]:{port}")),
        Err(_) => Address::parse(&format!("{host}:{port}")),
    }
}

/// What the instance is to have while its checks are as they are; 1 where it does not say.
fn weight(entry: &Value) -> u32 {
    let checks = entry["Checks"].as_array().map_or(&[][..], Vec::as_slice);
    let warns = checks.iter().any(|check| check["Status"] == "warning");
    let key = if warns { "Warning" } else { "Passing" };
    let weight = entry["Service"]["Weights"][key].as_u64().unwrap_or(1);
    u32::try_from(weight.min(WEIGHT_MAX)).unwrap_or(1)
}

fn server(address: Address, weight: NonZeroU32) -> UpstreamServer {
    UpstreamServer {
        address,
        weight,
        backup: false,
        down: false,
        max_conns: 0,
        slow_start: Duration::ZERO,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn consul() -> Consul {
        Consul {
            address: "http://127.0.0.1:8500".to_owned(),
            service: "app/1".to_owned(),
            tag: Some("v2 b&c".to_owned()),
            datacenter: None,
            token_file: None,
            passing_only: true,
        }
    }

    #[test]
    fn a_question_says_what_is_wanted_and_is_held_back_from_the_second_on() {
        assert_eq!(
            url(&consul(), 0),
            "http://127.0.0.1:8500/v1/health/service/app%2F1?passing=1&tag=v2%20b%26c"
        );
        let plain = Consul {
            tag: None,
            datacenter: Some("dc1".to_owned()),
            passing_only: false,
            ..consul()
        };
        assert_eq!(
            url(&plain, 7),
            "http://127.0.0.1:8500/v1/health/service/app%2F1?dc=dc1&index=7&wait=60s"
        );
        assert!(
            url(
                &Consul {
                    datacenter: None,
                    ..plain
                },
                0
            )
            .ends_with("/app%2F1")
        );
    }

    #[test]
    fn an_index_that_goes_backwards_begins_anew() {
        let next = |current, written: &'static str| next_index(current, Some(written.as_bytes()));
        assert_eq!(next(0, "5"), Some(5));
        assert_eq!(next(5, "5"), Some(5));
        assert_eq!(next(5, "9"), Some(9));
        assert_eq!(next(5, "4"), Some(0));
        assert_eq!(next(0, "0"), Some(1));
        assert_eq!(next(5, "x"), None);
        assert_eq!(next_index(5, None), None);
    }

    #[test]
    fn instances_have_the_address_of_the_service_else_of_its_node_and_the_weight_of_their_state() {
        let body = r#"[
            { "Node": { "Address": "10.0.0.9" }, "Service": { "Address": "", "Port": 80 } },
            { "Node": { "Address": "10.0.0.9" },
              "Service": { "Address": "10.0.0.1", "Port": 81, "Weights": { "Passing": 7, "Warning": 2 } },
              "Checks": [{ "Status": "passing" }, { "Status": "passing" }] },
            { "Service": { "Address": "fd00::1", "Port": 82, "Weights": { "Passing": 7, "Warning": 2 } },
              "Checks": [{ "Status": "passing" }, { "Status": "warning" }] },
            { "Service": { "Address": "app-1.internal", "Port": 83, "Weights": { "Passing": 99999999999 } } },
            { "Service": { "Address": "10.0.0.2", "Port": 80, "Weights": { "Passing": 0 } } },
            { "Node": { "Address": "10.0.0.9" }, "Service": { "Address": "", "Port": 0 } },
            { "Service": { "Address": "a b", "Port": 80 } }
        ]"#;
        let (servers, unusable) = servers(body.as_bytes()).unwrap();
        let lines: Vec<_> = servers
            .iter()
            .map(|s| format!("{} x{}", s.address, s.weight))
            .collect();
        assert_eq!(
            lines,
            [
                "10.0.0.1:81 x7",
                "10.0.0.9:80 x1",
                "[fd00::1]:82 x2",
                "app-1.internal:83 x65535"
            ]
        );
        assert_eq!(unusable, 2);
    }

    #[test]
    fn what_is_no_list_of_instances_is_refused() {
        for bad in ["", "{", "{}", "3", "[3]", "[{}]", r#"[{ "Service": 1 }]"#] {
            assert!(servers(bad.as_bytes()).is_err(), "{bad}");
        }
        assert_eq!(servers(b"[]"), Ok((Vec::new(), 0)));
    }
}
