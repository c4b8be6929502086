//! Trusting exactly the certificates or keys that are known.

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, DigitallySignedStruct, Error as RustlsError, OtherError, SignatureScheme,
};
use webpki::EndEntityCert;

use super::fingerprint::{Sha256, TlsFingerprint};

/// One thing that is known of a server.
#[derive(Clone, Copy, Debug)]
pub(super) enum Pin {
    Certificate(TlsFingerprint),
    /// Of the `SubjectPublicKeyInfo`, which a renewed certificate may keep.
    PublicKey(TlsFingerprint),
}

/// Accepts a server whose own certificate matches one of the pins.
///
/// Without authorities, names and dates do not matter, as with DANE-EE (RFC 7671, 5.1): the pin says
/// which certificate it is, and nobody else vouches for anything. With authorities, they must agree
/// as well. Either way the server proves in the handshake that it owns the key.
#[derive(Debug)]
pub(super) struct PinVerifier {
    pub(super) pins: Vec<Pin>,
    pub(super) authorities: Option<Arc<dyn ServerCertVerifier>>,
    pub(super) provider: Arc<CryptoProvider>,
    pub(super) sha256: Sha256,
}

impl PinVerifier {
    fn is_pinned(&self, certificate: &CertificateDer<'_>) -> Result<bool, RustlsError> {
        for pin in &self.pins {
            let matches = match *pin {
                Pin::Certificate(known) => self.sha256.fingerprint(certificate) == known,
                Pin::PublicKey(known) => {
                    let parsed = EndEntityCert::try_from(certificate)
                        .map_err(|_| CertificateError::BadEncoding)?;
                    self.sha256.fingerprint(&parsed.subject_public_key_info()) == known
                }
            };
            if matches {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl ServerCertVerifier for PinVerifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, RustlsError> {
        if let Some(authorities) = &self.authorities {
            authorities.verify_server_cert(certificate, intermediates, name, ocsp_response, now)?;
        }
        if self.is_pinned(certificate)? {
            return Ok(ServerCertVerified::assertion());
        }
        let error = NotPinned(self.sha256.fingerprint(certificate));
        Err(CertificateError::Other(OtherError(Arc::new(error))).into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, RustlsError> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, RustlsError> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// What a client says about a certificate that is not the one it knows.
#[derive(Debug)]
pub(super) struct NotPinned(TlsFingerprint);

impl fmt::Display for NotPinned {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "is not the pinned one: its SHA-256 fingerprint is {}", self.0)
    }
}

impl std::error::Error for NotPinned {}
