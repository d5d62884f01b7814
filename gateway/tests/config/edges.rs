//! Certificates, listeners and servers of TLS drawn at random, as odd as the checks allow.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use gateway::config::plan::*;
use gateway::secrets::certificate::{Chain, PrivateKey};
use gateway::secrets::{Authorities, Identity, Staple};
use proptest::collection::{btree_map, btree_set};
use proptest::option;
use proptest::prelude::*;

use crate::plans::{duration, name};

fn secrets(name: &str) -> PathBuf {
    Path::new("../tests/config/secrets").join(name)
}

fn content(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap()
}

/// Who two files say we are.
pub fn identity(cert: &Path, key: &Path) -> Arc<Identity> {
    let chain = Chain::parse(&content(cert)).unwrap();
    Arc::new(Identity::new(chain, PrivateKey::parse(&content(key)).unwrap()).unwrap())
}

fn authorities(file: &Path) -> Arc<Authorities> {
    Arc::new(Authorities::parse(&content(file)).unwrap())
}

/// An order, for names that can be ordered.
fn acme() -> impl Strategy<Value = CertificateSource> {
    let email = option::of(Just("ops+1@example.com".to_owned()));
    let directory = prop::sample::select(vec![
        "https://acme-v02.api.letsencrypt.org/directory",
        "https://ca:14000/d",
    ]);
    let storage = prop::sample::select(vec!["/var/lib/sluice/acme", "keys of ours"]);
    let drawn = (email, directory, storage, any::<bool>());
    drawn.prop_map(|(email, directory, storage, has_trust)| {
        let file = secrets("internal-ca.pem");
        CertificateSource::Acme(Acme {
            email,
            directory: directory.to_owned(),
            storage: storage.into(),
            trust: has_trust.then(|| AcmeTrust {
                authorities: authorities(&file),
                file,
            }),
        })
    })
}

/// One of each, so that no domain is in two of them.
pub fn certificates() -> impl Strategy<Value = Vec<Arc<Certificate>>> {
    let domains = btree_set("(\\*\\.)?[a-z]{1,3}0[.]x-y[.]example", 1..3);
    let drawn = (
        domains,
        any::<bool>(),
        prop::sample::select(vec!["example", "shop", "rsa-site"]),
        option::of(acme()),
    );
    btree_map(name(), drawn, 0..4).prop_map(|named| {
        let certificates = named.into_iter().enumerate();
        certificates
            .map(|(at, (name, (domains, has_ocsp, files, acme)))| {
                let domain = |text: &String| Domain::parse(&text.replace('0', &at.to_string())).unwrap();
                let (cert_file, key_file) =
                    (secrets(&format!("{files}.crt")), secrets(&format!("{files}.key")));
                let identity = identity(&cert_file, &key_file);
                let file = secrets("example.ocsp");
                let ocsp = (has_ocsp && files == "example").then(|| Ocsp {
                    staple: Arc::new(Staple::parse(&content(&file), identity.chain()).unwrap()),
                    file,
                });
                Arc::new(Certificate {
                    name,
                    source: match acme {
                        Some(acme) if domains.iter().all(|d| !d.starts_with('*')) => acme,
                        Some(_) | None => CertificateSource::Files(CertificateFiles {
                            cert_file,
                            key_file,
                            identity,
                            ocsp,
                        }),
                    },
                    domains: domains.iter().map(domain).collect(),
                })
            })
            .collect()
    })
}

/// TLS of a listener that has some of so many certificates.
pub fn listener_tls(certificates: usize) -> impl Strategy<Value = Option<ListenerTls>> {
    if certificates == 0 {
        return Just(None).boxed();
    }
    let client_auth = option::of(any::<bool>()).prop_map(|required| {
        required.map(|required| ClientAuth {
            ca_file: secrets("clients-ca.pem"),
            authorities: authorities(&secrets("clients-ca.pem")),
            required,
        })
    });
    let ids = (0..certificates).map(CertificateId).collect::<Vec<_>>();
    let listed = prop::sample::subsequence(ids, 1..=certificates).prop_shuffle();
    let version = prop_oneof![Just(TlsVersion::V1_2), Just(TlsVersion::V1_3)];
    let drawn = (
        listed,
        any::<prop::sample::Index>(),
        any::<bool>(),
        version,
        client_auth,
        duration(1),
    );
    let tls = drawn.prop_map(
        |(certificates, default, http2, min_version, client_auth, handshake_timeout)| ListenerTls {
            default_certificate: *default.get(&certificates),
            certificates,
            http2,
            min_version,
            client_auth,
            handshake_timeout,
        },
    );
    option::of(tls).boxed()
}

/// With a name to ask for, as servers may be sockets of the file system.
pub fn upstream_tls() -> impl Strategy<Value = Option<UpstreamTls>> {
    let verify = prop_oneof![
        Just(Verify::System),
        Just(Verify::Nothing),
        Just(Verify::Authorities {
            file: secrets("internal-ca.pem"),
            authorities: authorities(&secrets("internal-ca.pem")),
        }),
    ];
    let drawn = (verify, any::<bool>(), "[a-z]{1,3}(\\.internal)?|10\\.0\\.0\\.1");
    let tls = drawn.prop_map(|(verify, has_client, sni)| UpstreamTls {
        sni: Some(sni),
        verify,
        client: has_client.then(|| ClientCertificate {
            cert_file: secrets("gateway.crt"),
            key_file: secrets("gateway.key"),
            identity: identity(&secrets("gateway.crt"), &secrets("gateway.key")),
        }),
    });
    option::of(tls)
}

pub fn send_proxy_protocol() -> impl Strategy<Value = SendProxyProtocol> {
    prop_oneof![
        Just(SendProxyProtocol::Off),
        Just(SendProxyProtocol::V1),
        Just(SendProxyProtocol::V2)
    ]
}
