//! Whose certificates are believed.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// Certificates of a file. System stores have less than two hundred.
pub const AUTHORITIES_MAX: usize = 1000;

/// The authorities whose certificates are believed. Read once, shared by all clients, with the sessions to be resumed.
#[derive(Clone, Debug)]
pub struct Trust {
    config: ClientConfig,
    authorities: usize,
}

/// Why a file of certificates cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustFault {
    /// Which one.
    pub file: PathBuf,
    /// What is wrong with it.
    pub message: String,
}

impl std::error::Error for TrustFault {}

impl fmt::Display for TrustFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file.display(), self.message)
    }
}

impl Trust {
    /// The system's authorities, and those in a file of certificates (PEM). Reads the disk.
    ///
    /// A system without a store is no fault: who asks nobody over TLS needs none, and who does is told so then.
    pub fn load(ca_file: Option<&Path>) -> Result<Self, TrustFault> {
        let mut roots = RootCertStore::empty();
        // Of the system's some are too odd to be used, on every system.
        roots.add_parsable_certificates(pingora::tls::load_native_certs().unwrap_or_default());
        if let Some(file) = ca_file {
            add_file(&mut roots, file)?;
        }
        Ok(Self::of(roots))
    }

    /// These authorities and no others.
    pub fn only(roots: RootCertStore) -> Self {
        Self::of(roots)
    }

    fn of(roots: RootCertStore) -> Self {
        let authorities = roots.len();
        // Given here and not taken from the process, where whoever comes first may set another one.
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring has the cipher suites of TLS 1.2 and 1.3")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self { config, authorities }
    }

    /// How many are believed.
    pub fn authorities(&self) -> usize {
        self.authorities
    }

    pub(super) fn config(&self) -> &ClientConfig {
        &self.config
    }
}

fn add_file(roots: &mut RootCertStore, file: &Path) -> Result<(), TrustFault> {
    let fault = |message: String| TrustFault {
        file: file.to_owned(),
        message,
    };
    let certificates = CertificateDer::pem_file_iter(file).map_err(|error| fault(error.to_string()))?;
    let mut count = 0;
    for certificate in certificates {
        count += 1;
        if count > AUTHORITIES_MAX {
            return Err(fault(format!("more than {AUTHORITIES_MAX} certificates")));
        }
        let certificate = certificate.map_err(|error| fault(format!("certificate {count}: {error}")))?;
        roots
            .add(certificate)
            .map_err(|error| fault(format!("certificate {count}: {error}")))?;
    }
    match count {
        0 => Err(fault(
            "there is no certificate in it; it must hold some in PEM".to_owned(),
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_file_that_holds_no_certificates_is_refused_with_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.pem");
        let load = || Trust::load(Some(&file)).unwrap_err();
        assert_eq!(load().file, file);
        for text in [
            "",
            "nothing",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        ] {
            fs::write(&file, text).unwrap();
            assert!(load().to_string().contains("certificate"), "{text:?}: {}", load());
        }
    }
}
