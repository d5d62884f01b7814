//! What the answers of the domain name system add up to.
//!
//! A name has two families of addresses, a service has many targets, and each of these questions can fail alone. What
//! fails keeps what was known of it: a resolver that stumbles over one of them takes no server away.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use super::course::Answer;
use crate::config::plan::{Address, UpstreamServer};

/// Names looked up for one service. Each is two questions; what has more servers than this has them as addresses of few names.
pub const TARGETS_MAX: usize = 100;

/// What came of one question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply<T> {
    /// Nobody knows: why.
    Failed(String),
    /// Whoever knows says that there is none: its words.
    Nothing(String),
    /// These.
    Records {
        /// At least one.
        records: Vec<T>,
        /// The shortest time to live of them, and of what led to them.
        ttl: Duration,
    },
}

/// An SRV record. Names are in lower case and without a dot at their end.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Service {
    /// The lowest serve; the others are backups.
    pub priority: u16,
    /// Its share.
    pub weight: u16,
    /// Port.
    pub port: u16,
    /// Name of the host; empty where there is decidedly none.
    pub target: String,
}

/// What is known of a name's addresses after a look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Looked {
    /// The name.
    pub name: String,
    /// Its A records.
    pub v4: Reply<IpAddr>,
    /// Its AAAA records.
    pub v6: Reply<IpAddr>,
}

/// The last addresses of each name and family.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    known: BTreeMap<(String, Family), Vec<IpAddr>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Family {
    V4,
    V6,
}

/// What a look has come to.
struct Resolved {
    addresses: BTreeSet<IpAddr>,
    ttl: Option<Duration>,
    nothing: Option<String>,
    failed: Option<String>,
}

impl Memory {
    /// The servers of a name at a port.
    pub fn of_host(&mut self, looked: Looked, port: u16) -> Answer {
        let resolved = self.resolve(looked);
        let server = |ip: &IpAddr| server(*ip, port, 1, false);
        let servers: Vec<_> = resolved.addresses.iter().map(server).collect();
        sum(servers, resolved.ttl, resolved.failed, resolved.nothing)
    }

    /// The servers of a service, from looks at [`targets`] of it.
    pub fn of_service(&mut self, services: Reply<Service>, looked: Vec<Looked>) -> Answer {
        let (records, ttl) = match services {
            Reply::Failed(why) => return Answer::Failed(why),
            Reply::Nothing(why) => return Answer::Empty(why),
            Reply::Records { records, ttl } => (records, ttl),
        };
        // RFC 2782: "A Target of "." means that the service is decidedly not available at this domain."
        if records.iter().all(|s| s.target.is_empty()) {
            return Answer::Empty("its records say that the service is not to be had".to_owned());
        }
        let left_out = distinct(&records).count().saturating_sub(TARGETS_MAX);
        let too_many =
            (left_out > 0).then(|| format!("{left_out} targets beyond {TARGETS_MAX} are left out"));
        self.forget_others(&looked);
        let looked = looked
            .into_iter()
            .map(|look| (look.name.clone(), self.resolve(look)));
        let looked: BTreeMap<String, Resolved> = looked.collect();
        let ttl = looked.values().filter_map(|r| r.ttl).fold(ttl, Duration::min);
        let failed = looked.values().find_map(|r| r.failed.clone()).or(too_many);
        let nothing = looked.values().find_map(|r| r.nothing.clone());
        sum(placed(records, &looked), Some(ttl), failed, nothing)
    }

    fn resolve(&mut self, looked: Looked) -> Resolved {
        let mut resolved = Resolved {
            addresses: BTreeSet::new(),
            ttl: None,
            nothing: None,
            failed: None,
        };
        for (family, reply) in [(Family::V4, looked.v4), (Family::V6, looked.v6)] {
            let key = (looked.name.clone(), family);
            match reply {
                Reply::Failed(why) => {
                    resolved.failed.get_or_insert(why);
                    resolved
                        .addresses
                        .extend(self.known.get(&key).into_iter().flatten());
                }
                Reply::Nothing(why) => {
                    resolved.nothing.get_or_insert(why);
                    self.known.remove(&key);
                }
                Reply::Records { records, ttl } => {
                    resolved.ttl = Some(resolved.ttl.map_or(ttl, |other| other.min(ttl)));
                    resolved.addresses.extend(&records);
                    self.known.insert(key, records);
                }
            }
        }
        resolved
    }

    /// Names that are not asked for any more.
    fn forget_others(&mut self, looked: &[Looked]) {
        let names: BTreeSet<&str> = looked.iter().map(|look| look.name.as_str()).collect();
        self.known.retain(|(name, _), _| names.contains(name.as_str()));
    }
}

/// The names to look up for these records.
pub fn targets(services: &Reply<Service>) -> Vec<String> {
    match services {
        Reply::Failed(_) | Reply::Nothing(_) => Vec::new(),
        Reply::Records { records, .. } => distinct(records).take(TARGETS_MAX).map(str::to_owned).collect(),
    }
}

/// Sorted, so that it is always the same ones that are beyond a limit.
fn distinct(records: &[Service]) -> impl Iterator<Item = &str> {
    let names: BTreeSet<&str> = records.iter().map(|s| s.target.as_str()).collect();
    names.into_iter().filter(|name| !name.is_empty())
}

/// Lowest priorities are primaries; of those that have an address at all, as nobody else could serve.
fn placed(mut records: Vec<Service>, looked: &BTreeMap<String, Resolved>) -> Vec<UpstreamServer> {
    records.sort();
    let addresses = |s: &Service| {
        looked
            .get(&s.target)
            .map(|r| r.addresses.clone())
            .unwrap_or_default()
    };
    let lowest = records
        .iter()
        .find(|s| !addresses(s).is_empty())
        .map(|s| s.priority);
    let servers = |s: Service| {
        let is_backup = Some(s.priority) != lowest;
        let of = move |ip| server(ip, s.port, s.weight.into(), is_backup);
        addresses(&s).into_iter().map(of)
    };
    records.into_iter().flat_map(servers).collect()
}

fn sum(
    servers: Vec<UpstreamServer>,
    ttl: Option<Duration>,
    failed: Option<String>,
    nothing: Option<String>,
) -> Answer {
    match (servers.is_empty(), failed) {
        (false, missing) => Answer::Servers {
            servers,
            again_after: ttl.unwrap_or_default(),
            missing,
        },
        (true, Some(why)) => Answer::Failed(why),
        (true, None) => Answer::Empty(nothing.unwrap_or_else(|| "no name in it has an address".to_owned())),
    }
}

/// RFC 2782 gives a record of weight 0 "a very small chance of being selected" beside others: 1 is the smallest there is.
fn server(ip: IpAddr, port: u16, weight: u32, backup: bool) -> UpstreamServer {
    let host = match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    };
    UpstreamServer {
        address: Address::Tcp { host, port },
        weight: NonZeroU32::new(weight).unwrap_or(NonZeroU32::MIN),
        backup,
        down: false,
        max_conns: 0,
        slow_start: Duration::ZERO,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records<T>(records: impl IntoIterator<Item = T>, ttl_s: u64) -> Reply<T> {
        Reply::Records {
            records: records.into_iter().collect(),
            ttl: Duration::from_secs(ttl_s),
        }
    }

    fn ips<const N: usize>(texts: [&str; N], ttl_s: u64) -> Reply<IpAddr> {
        records(texts.map(|t| t.parse().unwrap()), ttl_s)
    }

    fn nothing<T>() -> Reply<T> {
        Reply::Nothing("none".to_owned())
    }

    fn failed<T>() -> Reply<T> {
        Reply::Failed("fault".to_owned())
    }

    fn look(name: &str, v4: Reply<IpAddr>, v6: Reply<IpAddr>) -> Looked {
        let name = name.to_owned();
        Looked { name, v4, v6 }
    }

    fn srv(priority: u16, weight: u16, port: u16, target: &str) -> Service {
        let target = target.to_owned();
        Service {
            priority,
            weight,
            port,
            target,
        }
    }

    /// "ADDRESS xWEIGHT", backups with a "b" behind; then when to ask again, and what is missing.
    fn shown(answer: Answer) -> (Vec<String>, u64, Option<String>) {
        match answer {
            Answer::Servers {
                servers,
                again_after,
                missing,
            } => {
                let line = |s: UpstreamServer| {
                    let backup = if s.backup { "b" } else { "" };
                    format!("{} x{}{backup}", s.address, s.weight)
                };
                (
                    servers.into_iter().map(line).collect(),
                    again_after.as_secs(),
                    missing,
                )
            }
            other => (Vec::new(), 0, Some(format!("{other:?}"))),
        }
    }

    #[test]
    fn both_families_are_servers_and_the_shorter_life_counts() {
        let mut memory = Memory::default();
        let both = look("a", ips(["10.0.0.2", "10.0.0.1"], 30), ips(["fd00::1"], 20));
        let expected = ["10.0.0.1:80 x1", "10.0.0.2:80 x1", "[fd00::1]:80 x1"].map(str::to_owned);
        assert_eq!(shown(memory.of_host(both, 80)), (expected.to_vec(), 20, None));
    }

    #[test]
    fn a_family_that_fails_keeps_its_part_and_one_that_is_gone_does_not() {
        let mut memory = Memory::default();
        let missing = Some("fault".to_owned());
        let v4 = vec!["10.0.0.1:80 x1".to_owned()];
        let answer = memory.of_host(look("a", ips(["10.0.0.1"], 9), failed()), 80);
        assert_eq!(shown(answer), (v4.clone(), 9, missing.clone()));
        let whole = memory.of_host(look("a", ips(["10.0.0.1"], 9), ips(["fd00::1"], 9)), 80);
        let both = shown(whole).0;
        assert_eq!(both.len(), 2);
        let answer = memory.of_host(look("a", ips(["10.0.0.1"], 9), failed()), 80);
        assert_eq!(shown(answer), (both.clone(), 9, missing.clone()));
        let answer = memory.of_host(look("a", failed(), failed()), 80);
        assert_eq!(shown(answer), (both, 0, missing));
        let answer = memory.of_host(look("a", ips(["10.0.0.1"], 9), nothing()), 80);
        assert_eq!(shown(answer), (v4, 9, None));
        let answer = memory.of_host(look("a", nothing(), failed()), 80);
        assert_eq!(answer, Answer::Failed("fault".to_owned()));
        let answer = memory.of_host(look("a", nothing(), nothing()), 80);
        assert_eq!(answer, Answer::Empty("none".to_owned()));
    }

    #[test]
    fn the_lowest_priority_serves_the_others_are_backups_and_ports_and_weights_are_the_records() {
        let mut memory = Memory::default();
        let services = records(
            [srv(20, 5, 81, "b"), srv(10, 0, 82, "c"), srv(10, 7, 80, "a")],
            60,
        );
        assert_eq!(targets(&services), ["a", "b", "c"]);
        let looked = vec![
            look("a", ips(["10.0.0.1", "10.0.0.9"], 30), nothing()),
            look("b", ips(["10.0.0.2"], 90), nothing()),
            look("c", ips(["10.0.0.3"], 90), nothing()),
        ];
        let expected = [
            "10.0.0.3:82 x1",
            "10.0.0.1:80 x7",
            "10.0.0.9:80 x7",
            "10.0.0.2:81 x5b",
        ];
        let expected = expected.map(str::to_owned).to_vec();
        assert_eq!(
            shown(memory.of_service(services.clone(), looked)),
            (expected.clone(), 30, None)
        );
        let stumbling = vec![
            look("a", failed(), nothing()),
            look("b", ips(["10.0.0.2"], 90), nothing()),
            look("c", ips(["10.0.0.3"], 90), nothing()),
        ];
        let answer = memory.of_service(services.clone(), stumbling);
        assert_eq!(shown(answer), (expected, 60, Some("fault".to_owned())));
        let only_b = vec![
            look("a", nothing(), nothing()),
            look("b", ips(["10.0.0.2"], 90), nothing()),
            look("c", nothing(), nothing()),
        ];
        let answer = memory.of_service(services, only_b);
        assert_eq!(
            shown(answer),
            (vec!["10.0.0.2:81 x5".to_owned()], 60, None),
            "nobody else is left"
        );
    }

    #[test]
    fn a_service_that_is_decidedly_not_there_is_empty_and_one_nobody_knows_of_has_failed() {
        let mut memory = Memory::default();
        let nowhere = records([srv(0, 0, 0, "")], 5);
        assert!(targets(&nowhere).is_empty());
        assert!(matches!(memory.of_service(nowhere, Vec::new()), Answer::Empty(_)));
        assert!(matches!(
            memory.of_service(nothing(), Vec::new()),
            Answer::Empty(_)
        ));
        assert!(matches!(
            memory.of_service(failed(), Vec::new()),
            Answer::Failed(_)
        ));
    }

    #[test]
    fn targets_beyond_the_limit_are_left_out_and_told() {
        let mut memory = Memory::default();
        let services = records((0..103).map(|n| srv(0, 1, 80, &format!("t{n:03}"))), 5);
        let looked = targets(&services);
        assert_eq!(looked.len(), TARGETS_MAX);
        let looked = looked
            .iter()
            .map(|name| look(name, ips(["10.0.0.1"], 5), nothing()));
        let (_, _, missing) = shown(memory.of_service(services, looked.collect()));
        assert!(missing.unwrap().starts_with("3 targets"));
    }
}
