//! Asking the domain name system.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig, ResolverOpts};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use tokio::task::JoinSet;

use crate::config::plan::DiscoverName;
use crate::discovery::Answer;
use crate::discovery::dns::{Looked, Memory, Reply, Service, targets};

/// For all that one look takes: a service, its targets, and what has to be asked twice.
const LOOK_TIMEOUT: Duration = Duration::from_secs(15);
/// For one question to a resolver that the configuration names; the system's own settings hold for the system's.
const QUESTION_TIMEOUT: Duration = Duration::from_secs(2);
/// How often such a question is sent.
const ATTEMPTS: usize = 2;
/// Whom resolv.conf(5) means where it names nobody.
const RESOLVER_OF_THIS_MACHINE: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 53);

/// Asks for one name.
pub(super) struct Asker {
    name: DiscoverName,
    resolver: Option<SocketAddr>,
    interval: Duration,
    memory: Memory,
}

impl Asker {
    pub(super) fn new(name: DiscoverName, resolver: Option<SocketAddr>, interval: Duration) -> Self {
        Self {
            name,
            resolver,
            interval,
            memory: Memory::default(),
        }
    }

    pub(super) async fn ask(&mut self) -> Answer {
        // Made anew each time: it reads resolv.conf and the hosts file, and what stands there is to be what holds.
        let resolver = match self.resolver() {
            Ok(resolver) => resolver,
            Err(error) => return Answer::Failed(error.to_string()),
        };
        let look = self.look(&resolver);
        match tokio::time::timeout(LOOK_TIMEOUT, look).await {
            Ok(answer) => answer,
            Err(_) => Answer::Failed(format!("there was no answer within {LOOK_TIMEOUT:?}")),
        }
    }

    async fn look(&mut self, resolver: &TokioResolver) -> Answer {
        match self.name.clone() {
            DiscoverName::Host { name, port } => {
                let looked = look_at(resolver.clone(), name.clone(), name, self.interval).await;
                self.memory.of_host(looked, port)
            }
            DiscoverName::Service(name) => {
                let services = question(resolver, &name, RecordType::SRV, self.interval, service).await;
                let mut looks = JoinSet::new();
                for target in targets(&services) {
                    // A target is a whole name: nothing is to be put behind it.
                    looks.spawn(look_at(
                        resolver.clone(),
                        format!("{target}."),
                        target,
                        self.interval,
                    ));
                }
                let looked = looks.join_all().await;
                self.memory.of_service(services, looked)
            }
        }
    }

    fn resolver(&self) -> Result<TokioResolver, NetError> {
        let mut builder = match self.resolver {
            Some(address) => asking(address),
            // Without that file there may still be names in the hosts file.
            None => TokioResolver::builder_tokio().unwrap_or_else(|_| asking(RESOLVER_OF_THIS_MACHINE)),
        };
        // Its time to live is counted once, here, and not once more in a cache of its own.
        builder.options_mut().cache_size = 0;
        builder.build()
    }
}

fn asking(address: SocketAddr) -> hickory_resolver::ResolverBuilder<TokioRuntimeProvider> {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
        connection.port = address.port();
        connection
    });
    let server = NameServerConfig::new(address.ip(), true, connections.to_vec());
    let config = ResolverConfig::from_name_servers(vec![server]);
    let mut options = ResolverOpts::default();
    options.timeout = QUESTION_TIMEOUT;
    options.attempts = ATTEMPTS;
    TokioResolver::builder_with_config(config, TokioRuntimeProvider::default()).with_options(options)
}

async fn look_at(resolver: TokioResolver, asked: String, name: String, interval: Duration) -> Looked {
    let (v4, v6) = tokio::join!(
        question(&resolver, &asked, RecordType::A, interval, ip),
        question(&resolver, &asked, RecordType::AAAA, interval, ip),
    );
    Looked { name, v4, v6 }
}

/// What a resolver says. Where its answer has no time to live it is good for the interval.
async fn question<T>(
    resolver: &TokioResolver,
    name: &str,
    kind: RecordType,
    interval: Duration,
    of: fn(&RData) -> Option<T>,
) -> Reply<T> {
    let asked = match Name::from_ascii(name) {
        Ok(asked) => asked,
        Err(error) => return Reply::Failed(format!("{name} is no name that can be asked for: {error}")),
    };
    match resolver.lookup(asked, kind).await {
        Ok(lookup) => read(&lookup, kind, interval, of),
        Err(NetError::Dns(DnsError::NoRecordsFound(none))) => match none.response_code {
            ResponseCode::NoError => Reply::Nothing(format!("{name} has no {kind} record")),
            ResponseCode::NXDomain => Reply::Nothing(format!("there is no {name} (NXDOMAIN)")),
            code => Reply::Failed(format!("the resolver answers {code} for {kind} of {name}")),
        },
        Err(error) => Reply::Failed(format!("{kind} of {name}: {error}")),
    }
}

/// The records of that kind; the others, as CNAME, have led to them, and may not live as long.
fn read<T>(lookup: &Lookup, kind: RecordType, interval: Duration, of: fn(&RData) -> Option<T>) -> Reply<T> {
    let answers = lookup.answers();
    let records: Vec<T> = answers.iter().filter_map(|record| of(&record.data)).collect();
    if records.is_empty() {
        return Reply::Nothing(format!("{} has no {kind} record", lookup.query().name()));
    }
    let ttl = answers.iter().map(|record| record.ttl).min();
    Reply::Records {
        records,
        ttl: ttl.map_or(interval, |seconds| Duration::from_secs(seconds.into())),
    }
}

fn ip(data: &RData) -> Option<IpAddr> {
    data.ip_addr()
}

fn service(data: &RData) -> Option<Service> {
    let RData::SRV(srv) = data else { return None };
    Some(Service {
        priority: srv.priority,
        weight: srv.weight,
        port: srv.port,
        target: srv.target.to_ascii().trim_end_matches('.').to_ascii_lowercase(),
    })
}
