//! A listener's side of TLS.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoClientAuth, WebPkiClientVerifier};

use super::names::{ByName, Entry};
use super::slot::Slot;
use super::tickets::Resumption;
use super::visitor::{Visitor, VisitorFault};
use crate::config::plan::{
    Certificate, CertificateFiles, CertificateSource, ClientAuth, ListenerTls, TlsVersion,
};
use crate::secrets::certificate;

/// What a listener answers handshakes with. One for each listener, shared by the workers; it outlives reloads.
pub struct ServerSide {
    current: ArcSwap<Current>,
    resumption: Resumption,
}

/// What holds until the next reload.
struct Current {
    config: Arc<ServerConfig>,
    tls: ListenerTls,
    /// Of the plan, all of them.
    certificates: Vec<Arc<Certificate>>,
    /// Of the ordered ones among them.
    slots: Vec<Option<Arc<Slot>>>,
    /// The first moment at which one of its staples is too old, since the Unix epoch.
    staples_until: Option<Duration>,
}

impl ServerSide {
    /// As a plan says. `certificates` are [`Plan::certificates`](crate::config::Plan::certificates), `slots` are
    /// beside them where one is ordered; `now` is since the Unix epoch.
    pub fn new(
        tls: &ListenerTls,
        certificates: &[Arc<Certificate>],
        slots: &[Option<Arc<Slot>>],
        resumption: &Resumption,
        now: Duration,
    ) -> Arc<Self> {
        let current = Current::new(tls, certificates, slots, resumption, now);
        Arc::new(Self {
            current: ArcSwap::from_pointee(current),
            resumption: resumption.clone(),
        })
    }

    /// What the next handshake is answered with.
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.load().config)
    }

    /// Takes over what another plan says, for handshakes from now on. Connections that stand do not notice. Nothing can
    /// fail here: whatever could was found when the plan was checked, and then there is no new plan.
    pub fn replace(
        &self,
        tls: &ListenerTls,
        certificates: &[Arc<Certificate>],
        slots: &[Option<Arc<Slot>>],
        now: Duration,
    ) {
        let next = Current::new(tls, certificates, slots, &self.resumption, now);
        self.current.store(Arc::new(next));
    }

    /// Stops handing out what authorities have said when it is too old. To be called now and then, every few minutes.
    pub fn turn(&self, now: Duration) {
        let current = self.current.load();
        if current.staples_until.is_some_and(|until| now > until) {
            self.replace(&current.tls, &current.certificates, &current.slots, now);
        }
    }

    /// Who a client is by the certificates it has shown, its own first; None where it has shown none.
    ///
    /// To be asked for each connection, even one that goes on with an earlier session: a handshake looks at the dates of
    /// a certificate only when it is shown. `now` is since the Unix epoch.
    ///
    /// # Errors
    /// The connection must be closed: the certificate has expired since, or names nobody who could be told.
    pub fn visitor(
        &self,
        shown: &[CertificateDer<'_>],
        now: Duration,
    ) -> Result<Option<Visitor>, VisitorFault> {
        shown.first().map(|first| Visitor::of(first, now)).transpose()
    }
}

impl fmt::Debug for ServerSide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerSide")
            .field("tls", &self.current.load().tls)
            .finish_non_exhaustive()
    }
}

impl Current {
    fn new(
        tls: &ListenerTls,
        certificates: &[Arc<Certificate>],
        slots: &[Option<Arc<Slot>>],
        resumption: &Resumption,
        now: Duration,
    ) -> Self {
        let mut staples_until = None;
        let mut of_files = |files: &CertificateFiles| {
            let staple = files.ocsp.as_ref().map(|ocsp| &*ocsp.staple);
            let fresh = staple.filter(|staple| staple.next_update().is_none_or(|until| until >= now));
            if let Some(until) = fresh.and_then(|staple| staple.next_update()) {
                staples_until = Some(staples_until.map_or(until, |first: Duration| first.min(until)));
            }
            Entry::Known(Arc::new(files.identity.certified(fresh)))
        };
        let mut entry = |id: usize| match &certificates[id].source {
            CertificateSource::Files(files) => of_files(files),
            // Without a slot it is never ordered, and never there.
            CertificateSource::Acme(_) => {
                Entry::Ordered(slots.get(id).and_then(Option::clone).unwrap_or_default())
            }
        };
        let listed: Vec<(_, Entry)> = tls.certificates.iter().map(|id| (*id, entry(id.0))).collect();
        let default = listed.iter().find(|(id, _)| *id == tls.default_certificate);
        let (_, default) = default.expect("the default is one of the certificates listed");
        let mut names = ByName::new(default.clone());
        for (id, entry) in &listed {
            for domain in &certificates[id.0].domains {
                names.insert(domain, entry);
            }
        }
        let mut config = config(tls, names);
        resumption.equip(&mut config, tls, certificates);
        Self {
            config: Arc::new(config),
            tls: tls.clone(),
            certificates: certificates.to_vec(),
            slots: slots.to_vec(),
            staples_until,
        }
    }
}

fn config(tls: &ListenerTls, names: ByName) -> ServerConfig {
    let versions: &[_] = match tls.min_version {
        TlsVersion::V1_2 => &[&rustls::version::TLS13, &rustls::version::TLS12],
        TlsVersion::V1_3 => &[&rustls::version::TLS13],
    };
    let mut config = ServerConfig::builder_with_provider(certificate::provider())
        .with_protocol_versions(versions)
        .expect("ring has the cipher suites of TLS 1.2 and 1.3")
        .with_client_cert_verifier(client_verifier(tls.client_auth.as_ref()))
        .with_cert_resolver(Arc::new(names));
    if tls.http2 {
        config.alpn_protocols.push(b"h2".to_vec());
    }
    config.alpn_protocols.push(b"http/1.1".to_vec());
    config
}

fn client_verifier(auth: Option<&ClientAuth>) -> Arc<dyn ClientCertVerifier> {
    let Some(auth) = auth else {
        return Arc::new(NoClientAuth);
    };
    let roots = Arc::new(auth.authorities.store());
    let verifier = WebPkiClientVerifier::builder_with_provider(roots, certificate::provider());
    let verifier = match auth.required {
        true => verifier,
        false => verifier.allow_unauthenticated(),
    };
    verifier
        .build()
        .expect("a file of authorities holds one at least")
}
