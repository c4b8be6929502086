//! Signatures in handshakes that need no random numbers: those of ECDSA and RSA-PSS differ each time, and the former in
//! their length, too.
//!
//! A signature is a digest of the public key and the message. The signatures on certificates are real ones.

use std::sync::{Arc, LazyLock};

use rustls::crypto::ring::cipher_suite::TLS13_CHACHA20_POLY1305_SHA256;
use rustls::crypto::{KeyProvider, WebPkiSupportedAlgorithms, ring};
use rustls::pki_types::{
    AlgorithmIdentifier, InvalidSignature, PrivateKeyDer, SignatureVerificationAlgorithm,
    SubjectPublicKeyInfoDer,
};
use rustls::sign::{Signer, SigningKey};
use rustls::{Error, SignatureAlgorithm, SignatureScheme, SupportedCipherSuite};

/// How much of the end of a public key a signature depends on. What a certificate says of a key ends with the key.
const KEY_TAIL: usize = 32;

/// As `real`, but for what is signed in handshakes.
pub(super) fn verification(real: WebPkiSupportedAlgorithms) -> WebPkiSupportedAlgorithms {
    // They have to live for ever: once for the process.
    static MAPPING: LazyLock<&'static [Scheme]> = LazyLock::new(|| {
        let real = ring::default_provider().signature_verification_algorithms.mapping;
        let schemes = real.iter().map(|(scheme, algorithms)| {
            let digests = algorithms.iter().map(|real| {
                let digest: &'static dyn SignatureVerificationAlgorithm =
                    Box::leak(Box::new(Digest(*real)));
                digest
            });
            (*scheme, &*digests.collect::<Vec<_>>().leak())
        });
        schemes.collect::<Vec<_>>().leak()
    });
    WebPkiSupportedAlgorithms { mapping: &MAPPING, ..real }
}

type Scheme = (SignatureScheme, &'static [&'static dyn SignatureVerificationAlgorithm]);

/// In place of an algorithm, for its keys.
#[derive(Debug)]
struct Digest(&'static dyn SignatureVerificationAlgorithm);

impl SignatureVerificationAlgorithm for Digest {
    fn verify_signature(
        &self,
        public_key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        let expected = sign(public_key, message).map_err(|_| InvalidSignature)?;
        if expected == signature { Ok(()) } else { Err(InvalidSignature) }
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        self.0.public_key_alg_id()
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.0.signature_alg_id()
    }
}

/// Reads ring's keys.
#[derive(Debug)]
pub(super) struct Keys;

impl KeyProvider for Keys {
    fn load_private_key(&self, key: PrivateKeyDer<'static>) -> Result<Arc<dyn SigningKey>, Error> {
        let real = ring::default_provider().key_provider.load_private_key(key)?;
        Ok(Arc::new(Key(real)))
    }
}

#[derive(Debug)]
struct Key(Arc<dyn SigningKey>);

impl SigningKey for Key {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        let scheme = self.0.choose_scheme(offered)?.scheme();
        Some(Box::new(DigestSigner { key: Arc::clone(&self.0), scheme }))
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        self.0.public_key()
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        self.0.algorithm()
    }
}

#[derive(Debug)]
struct DigestSigner {
    key: Arc<dyn SigningKey>,
    scheme: SignatureScheme,
}

impl Signer for DigestSigner {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let public_key = self.key.public_key();
        let public_key = public_key.ok_or(Error::General("a key without a public one".into()))?;
        sign(public_key.as_ref(), message)
    }

    fn scheme(&self) -> SignatureScheme {
        self.scheme
    }
}

fn sign(public_key: &[u8], message: &[u8]) -> Result<Vec<u8>, Error> {
    let SupportedCipherSuite::Tls13(suite) = TLS13_CHACHA20_POLY1305_SHA256 else {
        return Err(Error::General("no hash".into()));
    };
    let mut hash = suite.common.hash_provider.start();
    hash.update(&public_key[public_key.len().saturating_sub(KEY_TAIL)..]);
    hash.update(message);
    Ok(hash.finish().as_ref().to_vec())
}
