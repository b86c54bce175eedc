//! Whose certificates are trusted. Does not know who is asked.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// The certificates of authorities that are trusted: Mozilla's, this machine's, and more.
///
/// The machine's are those that OpenSSL would take, `SSL_CERT_FILE` and `SSL_CERT_DIR` included. The frontend's own image
/// has none.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    more: Vec<CertificateDer<'static>>,
}

impl Trust {
    /// Trusts the certificates in a file of PEM, too. The error is a fact about it.
    pub fn with_pem(mut self, pem: &[u8]) -> Result<Self, String> {
        let before = self.more.len();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            self.more.push(certificate.map_err(|_| "contains an invalid certificate".to_owned())?);
        }
        if self.more.len() == before { Err("contains no PEM certificate".into()) } else { Ok(self) }
    }

    pub(super) fn tls(&self) -> Result<ClientConfig, String> {
        let mut roots = RootCertStore::empty();
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        // What cannot be read there is not trusted; the error of a request then says so.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        for certificate in &self.more {
            roots.add(certificate.clone()).map_err(|error| format!("a certificate cannot be trusted: {error}"))?;
        }
        let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?;
        Ok(config.with_root_certificates(roots).with_no_client_auth())
    }
}
