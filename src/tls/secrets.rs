//! The secret that keying material is exported from.
//!
//! rustls's unbuffered connections cannot export, but each tells its configuration's key log the
//! secret that it would export from: the exporter secret under TLS 1.3, the master secret under TLS
//! 1.2. So configurations get a key log that hands this secret to the code that works on the
//! connection at that moment, and passes everything on to the former key log.

use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;

use rustls::crypto::hash::Hash;
use rustls::crypto::tls13::{Hkdf, HkdfExpander, OkmBlock};
use rustls::{KeyLog, SupportedCipherSuite, Tls12CipherSuite, Tls13CipherSuite};

use crate::error::{Error, Kind};

/// How the key log of NSS calls that of TLS 1.3.
const EXPORTER_SECRET: &str = "EXPORTER_SECRET";

/// How it calls the master secret of TLS 1.2.
const MASTER_SECRET: &str = "CLIENT_RANDOM";

/// What TLS 1.2 itself derives from the master secret under (RFC 5705, 4; RFC 7627, 4).
const LABELS_OF_TLS12: [&[u8]; 5] = [
    b"client finished",
    b"server finished",
    b"master secret",
    b"extended master secret",
    b"key expansion",
];

/// What a label is at most: with its prefix it is 255 bytes under TLS 1.3.
const LONGEST_LABEL: usize = 249;

thread_local! {
    /// Where it goes, while somebody waits for it.
    static CAUGHT: RefCell<Option<Option<Secret>>> = const { RefCell::new(None) };
}

/// What the key log of one connection was told.
pub(crate) enum Secret {
    /// Of TLS 1.3.
    Exporter(ExporterSecret),
    /// Of TLS 1.2.
    Master(MasterSecret),
}

/// Forgotten when it is dropped.
pub(crate) struct MasterSecret {
    pub(crate) secret: OkmBlock,
    pub(crate) client_random: [u8; 32],
}

impl Secret {
    /// Runs `work`, in which a handshake may come to its end; the secret, if it was told.
    pub(crate) fn catch<R>(work: impl FnOnce() -> R) -> (R, Option<Self>) {
        let former = CAUGHT.replace(Some(None));
        let result = work();
        (result, CAUGHT.replace(former).flatten())
    }

    fn from_log(label: &str, client_random: &[u8], secret: &[u8]) -> Option<Self> {
        if secret.len() > OkmBlock::MAX_LEN {
            return None;
        }
        match label {
            EXPORTER_SECRET => Some(Self::Exporter(ExporterSecret::Tls13(OkmBlock::new(secret)))),
            MASTER_SECRET => {
                let client_random = client_random.try_into().ok()?;
                Some(Self::Master(MasterSecret { secret: OkmBlock::new(secret), client_random }))
            }
            _ => None,
        }
    }
}

/// What one connection exports from; forgotten when it is dropped.
pub(crate) enum ExporterSecret {
    Tls13(OkmBlock),
    /// With the client's and the server's random bytes.
    Tls12(OkmBlock, Box<[[u8; 32]; 2]>),
}

impl ExporterSecret {
    /// From the master secret, which has to be an extended one.
    pub(crate) fn of_tls12(
        secret: OkmBlock,
        client_random: [u8; 32],
        server_random: [u8; 32],
    ) -> Self {
        Self::Tls12(secret, Box::new([client_random, server_random]))
    }

    pub(crate) fn export(
        &self,
        suite: SupportedCipherSuite,
        output: &mut [u8],
        label: &[u8],
        context: Option<&[u8]>,
    ) -> Result<(), Error> {
        match (self, suite) {
            (Self::Tls13(secret), SupportedCipherSuite::Tls13(suite)) => {
                export_by_tls13(secret, suite, output, label, context)
            }
            (Self::Tls12(secret, randoms), SupportedCipherSuite::Tls12(suite)) => {
                export_by_tls12(secret, &randoms[..], suite, output, label, context)
            }
            _ => Err(unsupported()),
        }
    }
}

/// There is no extended master secret, or rustls told no secret.
pub(crate) fn unsupported() -> Error {
    let text = "keying material is exported under TLS 1.3, and under TLS 1.2 only with the extended \
                master secret (RFC 7627)";
    Error::new(Kind::Unsupported, text)
}

/// RFC 8446, 7.5.
fn export_by_tls13(
    secret: &OkmBlock,
    suite: &Tls13CipherSuite,
    output: &mut [u8],
    label: &[u8],
    context: Option<&[u8]>,
) -> Result<(), Error> {
    let most = 255 * suite.common.hash_provider.output_len();
    if output.is_empty() || output.len() > most || label.len() > LONGEST_LABEL {
        let text = format!("between 1 and {most} bytes are exported, for labels up to 249 bytes");
        return Err(Error::invalid(text));
    }
    let (hkdf, hash) = (suite.hkdf_provider, suite.common.hash_provider);
    let derived = derive(hkdf, hash, secret, label);
    let context = hash.hash(context.unwrap_or_default());
    let expander = hkdf.expander_for_okm(&derived);
    expand_label(&*expander, b"exporter", context.as_ref(), output);
    Ok(())
}

/// RFC 5705, 4: it tells an empty context from none.
fn export_by_tls12(
    secret: &OkmBlock,
    randoms: &[[u8; 32]],
    suite: &Tls12CipherSuite,
    output: &mut [u8],
    label: &[u8],
    context: Option<&[u8]>,
) -> Result<(), Error> {
    let context_len = context.map(|context| u16::try_from(context.len())).transpose();
    let (Ok(context_len), 1..=LONGEST_LABEL, false) = (context_len, label.len(), output.is_empty())
    else {
        let text =
            "at least a byte is exported, for labels of 1 to 249 bytes and contexts below 64 KiB";
        return Err(Error::invalid(text));
    };
    if LABELS_OF_TLS12.contains(&label) {
        return Err(Error::invalid(
            "TLS 1.2 itself uses this label: what it gives is a key in use",
        ));
    }
    let mut seed = randoms.concat();
    if let (Some(len), Some(context)) = (context_len, context) {
        seed.extend(len.to_be_bytes());
        seed.extend_from_slice(context);
    }
    suite.prf_provider.for_secret(output, secret.as_ref(), label, &seed);
    Ok(())
}

/// `Derive-Secret(secret, label, "")`.
fn derive(hkdf: &dyn Hkdf, hash: &dyn Hash, secret: &OkmBlock, label: &[u8]) -> OkmBlock {
    let mut derived = [0; OkmBlock::MAX_LEN];
    let derived = &mut derived[..hash.output_len()];
    let expander = hkdf.expander_for_okm(secret);
    expand_label(&*expander, label, hash.hash(&[]).as_ref(), derived);
    OkmBlock::new(derived)
}

/// `HKDF-Expand-Label` (RFC 8446, 7.1).
fn expand_label(expander: &dyn HkdfExpander, label: &[u8], context: &[u8], output: &mut [u8]) {
    const PREFIX: &[u8] = b"tls13 ";
    let len = (output.len() as u16).to_be_bytes();
    let label_len = [(PREFIX.len() + label.len()) as u8];
    let context_len = [context.len() as u8];
    let info = [&len[..], &label_len, PREFIX, label, &context_len, context];
    // The lengths were looked at.
    let expanded = expander.expand_slice(&info, output);
    debug_assert!(expanded.is_ok());
}

/// A key log that passes on the secrets that are exported from, and everything to another key log.
pub(super) struct SecretCatcher(pub(super) Arc<dyn KeyLog>);

impl KeyLog for SecretCatcher {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        if let Some(secret) = Secret::from_log(label, client_random, secret) {
            CAUGHT.with_borrow_mut(|caught| {
                if let Some(place) = caught {
                    *place = Some(secret);
                }
            });
        }
        if self.0.will_log(label) {
            self.0.log(label, client_random, secret);
        }
    }

    fn will_log(&self, label: &str) -> bool {
        matches!(label, EXPORTER_SECRET | MASTER_SECRET) || self.0.will_log(label)
    }
}

impl fmt::Debug for SecretCatcher {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}
