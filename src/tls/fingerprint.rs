//! Fingerprints of certificates and keys.

use std::fmt;
use std::str::FromStr;

use rustls::crypto::CryptoProvider;
use rustls::crypto::hash::{Hash, HashAlgorithm};

use super::provider::TlsProvider;
use crate::error::Error;

/// A SHA-256 fingerprint: of a whole certificate, or of its public key.
///
/// Read from 64 hexadecimal digits, with or without colons, also as `openssl x509 -noout
/// -fingerprint -sha256` prints them; shown with colons.
///
/// ```
/// use wharf::TlsFingerprint;
///
/// // As `openssl x509 -fingerprint -sha256` prints it; the colons may be left out.
/// let text = "9F:86:D0:81:88:4C:7D:65:9A:2F:EA:A0:C5:5A:D0:15:A3:BF:4F:1B:2B:0B:82:2C:D1:5D:6C:15:B0:F0:0A:08";
/// let fingerprint: TlsFingerprint = text.parse()?;
/// assert_eq!(fingerprint, text.replace(':', "").to_lowercase().parse()?);
/// # Ok::<(), wharf::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TlsFingerprint([u8; 32]);

impl TlsFingerprint {
    /// From the digest itself.
    pub const fn from_bytes(digest: [u8; 32]) -> Self {
        Self(digest)
    }

    /// Of a certificate in DER, as [`TlsInfo::peer_certificates`](crate::TlsInfo::peer_certificates)
    /// gives it: to remember who a peer is, or to show it to a person.
    ///
    /// # Errors
    /// [`is_unsupported`](Error::is_unsupported) where no provider is a feature (`tls-core` alone).
    pub fn of_certificate(der: &[u8]) -> Result<Self, Error> {
        let provider = TlsProvider::any()?.crypto();
        Ok(Sha256::of(&provider)?.fingerprint(der))
    }

    /// The digest itself.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl FromStr for TlsFingerprint {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let invalid = || {
            let text = text.escape_debug();
            Error::invalid(format!("`{text}` is no SHA-256 fingerprint: 64 hexadecimal digits"))
        };
        let digits = text.split_once('=').map_or(text, |(_openssl, digits)| digits).trim();
        let digits: Vec<u8> = digits.bytes().filter(|byte| *byte != b':').collect();
        let mut digest = [0; 32];
        if digits.len() != 2 * digest.len() {
            return Err(invalid());
        }
        for (byte, pair) in digest.iter_mut().zip(digits.chunks_exact(2)) {
            let digit = |byte: u8| char::from(byte).to_digit(16);
            let (high, low) = digit(pair[0]).zip(digit(pair[1])).ok_or_else(invalid)?;
            *byte = (high << 4 | low) as u8;
        }
        Ok(Self(digest))
    }
}

impl fmt::Display for TlsFingerprint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, byte) in self.0.iter().enumerate() {
            let separator = if position == 0 { "" } else { ":" };
            write!(formatter, "{separator}{byte:02X}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for TlsFingerprint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// SHA-256, of whichever provider is used.
#[derive(Clone, Copy)]
pub(super) struct Sha256(&'static dyn Hash);

impl Sha256 {
    pub(super) fn of(provider: &CryptoProvider) -> Result<Self, Error> {
        let hashes = provider.cipher_suites.iter().map(|suite| match suite {
            rustls::SupportedCipherSuite::Tls12(suite) => suite.common.hash_provider,
            rustls::SupportedCipherSuite::Tls13(suite) => suite.common.hash_provider,
        });
        hashes
            .into_iter()
            .find(|hash| hash.algorithm() == HashAlgorithm::SHA256)
            .map(Self)
            .ok_or_else(|| Error::invalid("the TLS provider has no suite with SHA-256"))
    }

    pub(super) fn fingerprint(self, data: &[u8]) -> TlsFingerprint {
        let mut digest = [0; 32];
        digest.copy_from_slice(self.0.hash(data).as_ref());
        TlsFingerprint(digest)
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Sha256")
    }
}
