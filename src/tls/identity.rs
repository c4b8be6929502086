//! A certificate with its key: what one side shows, and proves that it owns.

use std::path::Path;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::sign::{CertifiedKey, SigningKey};
use webpki::EndEntityCert;

use super::dates;
use super::pem::PemSource;
use crate::error::Error;

/// A certificate, its intermediates and its private key, in PEM.
///
/// The chain begins with the certificate itself; a root in it is of no use, and does no harm. The key
/// is PKCS#8 (`PRIVATE KEY`), PKCS#1 (`RSA PRIVATE KEY`) or SEC1 (`EC PRIVATE KEY`), not encrypted.
/// One file may hold both. Nothing is read before [`TlsServerBuilder::build`] or
/// [`TlsClientBuilder::build`].
///
/// [`TlsServerBuilder::build`]: crate::TlsServerBuilder::build
/// [`TlsClientBuilder::build`]: crate::TlsClientBuilder::build
///
/// Two names, each with a certificate of its own:
///
/// ```no_run
/// use wharf::{TlsIdentity, TlsServer};
///
/// let tls = TlsServer::builder()
///     .identity(TlsIdentity::from_files("example.org.pem", "example.org.key"))
///     .identity(TlsIdentity::from_files("other.pem", "other.key").for_names(["other.example.org"]))
///     .build()?;
/// # Ok::<(), wharf::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct TlsIdentity {
    chain: PemSource,
    key: PemSource,
    pub(super) names: Option<Vec<String>>,
}

impl TlsIdentity {
    /// From two files, or twice the same.
    pub fn from_files(chain: impl AsRef<Path>, key: impl AsRef<Path>) -> Self {
        Self { chain: PemSource::file(chain), key: PemSource::file(key), names: None }
    }

    /// From memory.
    pub fn from_pem(chain: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Self {
        Self { chain: PemSource::memory(chain), key: PemSource::memory(key), names: None }
    }

    /// The names it is shown for on a server (exact, or `*.example.com` for one more label), instead
    /// of those in the certificate. Clients still check the certificate's own.
    #[must_use]
    pub fn for_names<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.names = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// Reads and checks it; with `now`, the dates too.
    pub(super) fn load(
        &self,
        provider: &CryptoProvider,
        now: Option<UnixTime>,
    ) -> Result<CertifiedKey, Error> {
        let chain = self.chain.read()?.certificates()?;
        for (position, certificate) in chain.iter().enumerate() {
            self.check_certificate(position, certificate, now)?;
        }
        let key = self.key.read()?.key()?;
        let key = provider.key_provider.load_private_key(key).map_err(|error| {
            let text = format!("the private key in {} is damaged or of an unknown kind", self.key);
            Error::with_source(crate::error::Kind::Invalid, text, error)
        })?;
        self.check_key(&chain, &*key)?;
        Ok(CertifiedKey::new(chain, key))
    }

    fn check_certificate(
        &self,
        position: usize,
        certificate: &CertificateDer<'_>,
        now: Option<UnixTime>,
    ) -> Result<(), Error> {
        let which = match position {
            0 => format!("the certificate in {}", self.chain),
            _ => format!("certificate {} of the chain in {}", position + 1, self.chain),
        };
        if let Err(error) = EndEntityCert::try_from(certificate) {
            let text = format!("{which} cannot be parsed");
            return Err(Error::with_source(crate::error::Kind::Invalid, text, error));
        }
        match now.and_then(|now| dates::problem(certificate, now)) {
            Some(problem) => Err(Error::invalid(format!("{which} {problem}"))),
            None => Ok(()),
        }
    }

    /// The first certificate must be for this key; if another one is, the order is wrong.
    fn check_key(&self, chain: &[CertificateDer<'_>], key: &dyn SigningKey) -> Result<(), Error> {
        let Some(public) = key.public_key() else {
            return Ok(());
        };
        let is_for_key = |certificate: &CertificateDer<'_>| {
            EndEntityCert::try_from(certificate)
                .is_ok_and(|certificate| certificate.subject_public_key_info() == public)
        };
        let text = match chain.iter().position(is_for_key) {
            Some(0) => return Ok(()),
            Some(position) => format!(
                "the private key in {} belongs to certificate {} of the chain in {}, \
                 which must come first",
                self.key,
                position + 1,
                self.chain
            ),
            None => format!(
                "the private key in {} does not belong to the certificate in {}",
                self.key, self.chain
            ),
        };
        Err(Error::invalid(text))
    }
}
