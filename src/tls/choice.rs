//! Which of a server's certificates a client gets.

use std::collections::BTreeMap;
use std::sync::Arc;

use rustls::pki_types::DnsName;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use webpki::EndEntityCert;

use super::identity::TlsIdentity;
use crate::error::Error;

/// Chooses by the name that the client asks for (SNI): an exact one first, then a wildcard, which
/// stands for one label (RFC 6125, 6.4.3), then the default. If several fit, the first whose key the
/// client can check.
#[derive(Debug, Default)]
pub(super) struct Choice {
    exact: BTreeMap<String, Vec<Arc<CertifiedKey>>>,
    /// By what follows the star and its dot.
    wildcard: BTreeMap<String, Vec<Arc<CertifiedKey>>>,
    all: Vec<Arc<CertifiedKey>>,
    refuses_unknown_names: bool,
}

impl Choice {
    pub(super) fn new(refuses_unknown_names: bool) -> Self {
        Self { refuses_unknown_names, ..Self::default() }
    }

    /// Adds one under the names given to it, or else those in the certificate.
    pub(super) fn add(&mut self, identity: &TlsIdentity, key: CertifiedKey) -> Result<(), Error> {
        let key = Arc::new(key);
        let names = match &identity.names {
            Some(names) => names.iter().map(|name| checked(name)).collect::<Result<_, _>>()?,
            None => names_in(&key),
        };
        for name in names {
            let (map, name) = match name.strip_prefix("*.") {
                Some(parent) => (&mut self.wildcard, parent.to_owned()),
                None => (&mut self.exact, name),
            };
            map.entry(name).or_default().push(Arc::clone(&key));
        }
        self.all.push(key);
        Ok(())
    }

    /// What a client that asks for no name gets.
    pub(super) fn default_key(&self) -> Option<&CertifiedKey> {
        self.all.first().map(Arc::as_ref)
    }

    fn candidates(&self, name: Option<&str>) -> &[Arc<CertifiedKey>] {
        let known = name.and_then(|name| {
            let name = normal(name);
            self.exact.get(&name).or_else(|| self.wildcard.get(name.split_once('.')?.1))
        });
        match known {
            Some(keys) => keys,
            None if self.refuses_unknown_names => &[],
            None => &self.all,
        }
    }
}

impl ResolvesServerCert for Choice {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let candidates = self.candidates(hello.server_name());
        let can_check =
            |key: &&Arc<CertifiedKey>| key.key.choose_scheme(hello.signature_schemes()).is_some();
        // If none fits, rustls says so to the client.
        candidates.iter().find(can_check).or_else(|| candidates.first()).cloned()
    }
}

/// The DNS names that a certificate is for. Not its common name, which clients no longer look at.
fn names_in(key: &CertifiedKey) -> Vec<String> {
    let certificate = key.cert.first().and_then(|der| EndEntityCert::try_from(der).ok());
    certificate.iter().flat_map(|certificate| certificate.valid_dns_names()).map(normal).collect()
}

fn checked(name: &str) -> Result<String, Error> {
    let normal = normal(name);
    match DnsName::try_from(normal.strip_prefix("*.").unwrap_or(&normal)) {
        Ok(_) => Ok(normal),
        Err(_) => {
            let text = format!("`{}` is no name for a TLS certificate", name.escape_debug());
            Err(Error::invalid(text))
        }
    }
}

fn normal(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}
