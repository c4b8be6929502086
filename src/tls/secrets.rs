//! The secret that keying material is exported from.
//!
//! rustls's unbuffered connections cannot export, but each tells its configuration's key log the
//! secret that it would export from. So our configurations have a key log that hands it to whoever
//! works on the connection at that moment.

use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;

use rustls::crypto::hash::Hash;
use rustls::crypto::tls13::{Hkdf, HkdfExpander, OkmBlock};
use rustls::{KeyLog, SupportedCipherSuite};

use crate::error::{Error, Kind};

/// How the key log of NSS calls it.
const EXPORTER_SECRET: &str = "EXPORTER_SECRET";

thread_local! {
    /// Where it goes, while somebody waits for it.
    static CAUGHT: RefCell<Option<Option<ExporterSecret>>> = const { RefCell::new(None) };
}

/// The exporter secret of one connection; forgotten when it is dropped.
pub(crate) struct ExporterSecret(OkmBlock);

impl ExporterSecret {
    /// Runs `work`, in which a handshake may come to its end; the secret, if it did.
    pub(crate) fn catch<R>(work: impl FnOnce() -> R) -> (R, Option<Self>) {
        CAUGHT.set(Some(None));
        let result = work();
        (result, CAUGHT.take().flatten())
    }

    /// What TLS 1.3 exports (RFC 8446, 7.5).
    pub(crate) fn export(
        &self,
        suite: SupportedCipherSuite,
        output: &mut [u8],
        label: &[u8],
        context: Option<&[u8]>,
    ) -> Result<(), Error> {
        let SupportedCipherSuite::Tls13(suite) = suite else { return Err(unsupported()) };
        let most = 255 * suite.common.hash_provider.output_len();
        if output.is_empty() || output.len() > most || label.len() > 249 {
            let text =
                format!("between 1 and {most} bytes are exported, for labels up to 249 bytes");
            return Err(Error::invalid(text));
        }
        let (hkdf, hash) = (suite.hkdf_provider, suite.common.hash_provider);
        let derived = derive(hkdf, hash, &self.0, label);
        let context = hash.hash(context.unwrap_or_default());
        let expander = hkdf.expander_for_okm(&derived);
        expand_label(&*expander, b"exporter", context.as_ref(), output);
        Ok(())
    }
}

/// TLS 1.2 has no such secret in its key log.
pub(crate) fn unsupported() -> Error {
    Error::new(Kind::Unsupported, "keying material is exported under TLS 1.3 only")
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

/// A key log that hands the exporter secret on, and all else to another key log.
pub(super) struct SecretCatcher(pub(super) Arc<dyn KeyLog>);

impl KeyLog for SecretCatcher {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        if label == EXPORTER_SECRET && secret.len() <= OkmBlock::MAX_LEN {
            CAUGHT.with_borrow_mut(|caught| {
                if let Some(place) = caught {
                    *place = Some(ExporterSecret(OkmBlock::new(secret)));
                }
            });
        }
        if self.0.will_log(label) {
            self.0.log(label, client_random, secret);
        }
    }

    fn will_log(&self, label: &str) -> bool {
        label == EXPORTER_SECRET || self.0.will_log(label)
    }
}

impl fmt::Debug for SecretCatcher {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}
