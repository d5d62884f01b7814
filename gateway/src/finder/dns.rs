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

/// Until one question is answered, with all its repetitions, which resolv.conf may want for minutes. It is each
/// question's own: one that nobody answers (there are firewalls that drop those for AAAA) must not take the answers to
/// the others with it. A look is two in a row at most, a service and its targets.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(7);
/// Until a question is repeated, to a resolver that the configuration names; the system's own settings hold for the system's.
const QUESTION_TIMEOUT: Duration = Duration::from_secs(2);
/// How often such a question is repeated, after it was sent once: all that fits into [`ANSWER_TIMEOUT`].
const REPETITIONS: usize = 2;
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
        self.look(&Questions {
            resolver,
            timeout: ANSWER_TIMEOUT,
            interval: self.interval,
        })
        .await
    }

    async fn look(&mut self, questions: &Questions) -> Answer {
        match self.name.clone() {
            DiscoverName::Host { name, port } => {
                let looked = questions.clone().look_at(name.clone(), name).await;
                self.memory.of_host(looked, port)
            }
            DiscoverName::Service(name) => {
                let services = questions.ask(&name, RecordType::SRV, service).await;
                let mut looks = JoinSet::new();
                for target in targets(&services) {
                    // A target is a whole name: nothing is to be put behind it.
                    looks.spawn(questions.clone().look_at(format!("{target}."), target));
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
    options.attempts = REPETITIONS;
    TokioResolver::builder_with_config(config, TokioRuntimeProvider::default()).with_options(options)
}

/// Who is asked in one look, and how.
#[derive(Clone)]
struct Questions {
    resolver: TokioResolver,
    /// Of each.
    timeout: Duration,
    /// How long an answer is good that does not say so itself.
    interval: Duration,
}

impl Questions {
    async fn look_at(self, asked: String, name: String) -> Looked {
        let (v4, v6) = tokio::join!(
            self.ask(&asked, RecordType::A, ip),
            self.ask(&asked, RecordType::AAAA, ip),
        );
        Looked { name, v4, v6 }
    }

    /// What a resolver says.
    async fn ask<T>(&self, name: &str, kind: RecordType, of: fn(&RData) -> Option<T>) -> Reply<T> {
        let asked = match Name::from_ascii(name) {
            Ok(asked) => asked,
            Err(error) => {
                return Reply::Failed(format!("{name} is no name that can be asked for: {error}"));
            }
        };
        let answer = tokio::time::timeout(self.timeout, self.resolver.lookup(asked, kind));
        match answer.await {
            Err(_) => Reply::Failed(format!(
                "{kind} of {name}: there was no answer within {:?}",
                self.timeout
            )),
            Ok(Ok(lookup)) => read(&lookup, kind, self.interval, of),
            Ok(Err(NetError::Dns(DnsError::NoRecordsFound(none)))) => match none.response_code {
                ResponseCode::NoError => Reply::Nothing(format!("{name} has no {kind} record")),
                ResponseCode::NXDomain => Reply::Nothing(format!("there is no {name} (NXDOMAIN)")),
                code => Reply::Failed(format!("the resolver answers {code} for {kind} of {name}")),
            },
            Ok(Err(error)) => Reply::Failed(format!("{kind} of {name}: {error}")),
        }
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

#[cfg(test)]
mod tests {
    use tokio::net::UdpSocket;

    use super::*;

    /// Answers questions for A with 10.0.0.1, and no others.
    async fn answer_v4_only(socket: UdpSocket) {
        let mut question = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut question).await {
            // RFC 1035 §4.1: twelve bytes of head, the name up to its empty label, the type, the class.
            let name_end = 12 + question[12..length].iter().position(|b| *b == 0).unwrap() + 1;
            if question[name_end..name_end + 2] != [0, 1] {
                continue;
            }
            let mut answer = question[..2].to_vec();
            answer.extend([0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]);
            answer.extend(&question[12..name_end + 4]);
            answer.extend([0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 10, 0, 0, 1]);
            socket.send_to(&answer, from).await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_family_nobody_answers_for_leaves_the_other_ones_servers() {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        tokio::spawn(answer_v4_only(socket));
        let name = DiscoverName::Host {
            name: "app.internal.".to_owned(),
            port: 80,
        };
        let mut asker = Asker::new(name, Some(address), Duration::from_secs(10));
        // As resolv.conf may have it: repeated for longer than anybody waits.
        let mut builder = asking(address);
        builder.options_mut().timeout = Duration::from_secs(3_600);
        let questions = Questions {
            resolver: builder.build().unwrap(),
            timeout: Duration::from_secs(1),
            interval: asker.interval,
        };
        let Answer::Servers { servers, missing, .. } = asker.look(&questions).await else {
            panic!("the answer for A was lost");
        };
        let addresses: Vec<_> = servers.iter().map(|s| s.address.to_string()).collect();
        assert_eq!(addresses, ["10.0.0.1:80"]);
        assert!(missing.unwrap().starts_with("AAAA of app.internal."));
    }
}
