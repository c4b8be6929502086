//! What a client sends before the handshake is done (0-RTT).

use rustls::client::EarlyDataError;
use rustls::unbuffered::{EncryptError, InsufficientSizeError};
use rustls::{CipherSuite, ClientConfig};

use super::scratch::Scratch;

/// What became of data that a client sends with its first message:
/// [`TlsInfo::early_data`](super::TlsInfo::early_data).
///
/// A server that carries out only what may be done twice, as long as the client could be a replay:
///
/// ```
/// use wharf::{Protocol, Result, TlsEarlyData, Transport};
///
/// struct Server;
///
/// impl Protocol for Server {
///     fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
///         let info = transport.info();
///         let replayed = info.tls().is_some_and(|tls| tls.early_data() == TlsEarlyData::Accepted);
///         if replayed && !data.starts_with(b"GET ") {
///             transport.write(b"HTTP/1.1 425 Too Early\r\n\r\n");
///             transport.close();
///             return Ok(());
///         }
///         // ...
///         Ok(())
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum TlsEarlyData {
    /// There was none, or no session that allows any. What there was of it was sent after the
    /// handshake, as any other data.
    #[default]
    NotOffered,
    /// The server took it before the handshake was done: **somebody may have sent it again** (RFC
    /// 8446, section 8 and appendix E.5). On a server: some of what it received came so.
    Accepted,
    /// The server ignored it, and it was sent again after the handshake. A server that refuses it
    /// does not know: it says [`NotOffered`](Self::NotOffered).
    Rejected,
}

/// A record's overhead: header, type, and the tag of all suites but those of [`has_short_tags`].
const HEADER: usize = 5;
const TYPE_AND_TAG: usize = 1 + 16;

const APPLICATION_DATA: u8 = 23;

/// A `Finished` is never shorter than that, and an `EndOfEarlyData`, which is nothing but a header,
/// always.
const FINISHED: usize = 4 + 32;

/// What a client has to send, on its way.
pub(super) struct EarlyData {
    data: Vec<u8>,
    /// How much of it went out with the first message.
    sent: usize,
    pub(super) outcome: TlsEarlyData,
}

impl EarlyData {
    pub(super) fn new(data: Vec<u8>) -> Self {
        Self { data, sent: 0, outcome: TlsEarlyData::NotOffered }
    }

    pub(super) fn data(&self) -> &[u8] {
        &self.data
    }

    /// So much of it was sent; `None`: it may not be.
    pub(super) fn note_sent(&mut self, sent: Option<usize>) {
        if let Some(sent) = sent {
            self.sent = sent;
            // Until it is known to be accepted.
            self.outcome = TlsEarlyData::Rejected;
        }
    }

    /// Looks at what a client says to the server's first flight: if that accepted early data, it
    /// begins with an `EndOfEarlyData`, in a record of its own, since the keys change behind it (RFC
    /// 8446, 4.5 and 5.1); else with what is longer. rustls does not tell otherwise.
    pub(super) fn note_answer(&mut self, mut records: &[u8]) {
        while let [kind, _, _, high, low, rest @ ..] = records {
            let len = usize::from(u16::from_be_bytes([*high, *low]));
            if *kind == APPLICATION_DATA {
                if self.sent > 0 && len < FINISHED {
                    self.outcome = TlsEarlyData::Accepted;
                }
                return;
            }
            records = rest.get(len..).unwrap_or_default();
        }
    }

    /// What the server has not got when the handshake is done.
    pub(super) fn rest(mut self) -> Vec<u8> {
        if self.outcome == TlsEarlyData::Accepted {
            self.data.drain(..self.sent);
        }
        self.data
    }
}

/// Whether some record's overhead would be another than is reckoned with: then there is no telling
/// how much rustls took.
pub(super) fn has_short_tags(config: &ClientConfig) -> bool {
    let suites = &config.crypto_provider().cipher_suites;
    suites.iter().any(|suite| suite.suite() == CipherSuite::TLS13_AES_128_CCM_8_SHA256)
}

/// Appends the records of as much of `data` as the server allows to `output`. Returns how much that
/// is.
///
/// rustls takes what is allowed and does not say how much, so the records are measured. It counts
/// what it is asked for even if there is no room for it, so there has to be.
pub(super) fn encrypt(
    data: &[u8],
    output: &mut Scratch,
    mut encrypt: impl FnMut(&[u8], &mut [u8]) -> Result<usize, EarlyDataError>,
) -> Result<usize, rustls::Error> {
    // The shortest fragments that can be set are longer than their overhead.
    output.reserve(2 * data.len() + 64);
    let before = output.bytes().len();
    output.append(|room| match encrypt(data, room) {
        Ok(written) => Ok(Ok(written)),
        // Nothing was allowed any more.
        Err(EarlyDataError::ExceededAllowedEarlyData) => Ok(Ok(0)),
        Err(EarlyDataError::Encrypt(EncryptError::InsufficientSize(InsufficientSizeError {
            ..
        }))) => Err(rustls::Error::General("no room for early data".to_owned())),
        Err(error) => Err(rustls::Error::General(error.to_string())),
    })?;
    Ok(plaintext_len(&output.bytes()[before..]))
}

/// How much data is in records.
fn plaintext_len(mut records: &[u8]) -> usize {
    let mut count = 0;
    while let [_, _, _, high, low, ..] = records {
        let len = usize::from(u16::from_be_bytes([*high, *low]));
        count += len.saturating_sub(TYPE_AND_TAG);
        records = records.get(HEADER + len..).unwrap_or_default();
    }
    count
}
