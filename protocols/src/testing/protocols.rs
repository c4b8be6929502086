use wharf::Protocol;
use wharf::testing::{Record, Recorder};

use super::check_splits;

/// Checks that a protocol answers the same however its input is split, over a loop in memory, and returns the answers.
///
/// The peer sends `input` in parts, reads all that the protocol sends, and ends its side. What is sent, whether the protocol
/// closes, and the error that ends the connection must be the same. When a connection ends with an error, answers on their
/// way are dropped: then what is sent for one split has to be the beginning of what is sent for another.
///
/// A protocol whose answers depend on more than its input (random numbers, the time, state that connections share) cannot
/// be checked this way, unless `factory` makes all of it anew.
///
/// ```
/// use wharf_protocols::line::{LineProtocol, Lines, WriteLine};
/// use wharf_protocols::testing::check_protocol;
/// # use wharf::{Result, Transport};
/// # struct Shout;
/// # impl LineProtocol for Shout {
/// #     fn line_received(&mut self, transport: &dyn Transport, line: &[u8]) -> Result {
/// #         transport.write_line(line.to_ascii_uppercase())?;
/// #         Ok(())
/// #     }
/// # }
///
/// let exchange = check_protocol(b"one\ntwo\nthr", || Lines::new(Shout));
/// assert_eq!(exchange.sent, b"ONE\nTWO\n");
/// assert_eq!(exchange.error, None);
/// let exchange = check_protocol(b"one\ntw\ro\n", || Lines::new(Shout));
/// assert_eq!(exchange.error.as_deref(), Some("byte 6: a line contains a bare line end"));
/// ```
///
/// # Panics
/// If two splits give different answers, or the protocol panics: what it panicked with is in the text.
pub fn check_protocol<P: Protocol>(input: &[u8], mut factory: impl FnMut() -> P) -> Exchange {
    let whole = exchange(&[input], &mut factory);
    check_splits(input, |parts| {
        let split = exchange(parts, &mut factory);
        let is_same = if whole.error.is_none() {
            split == whole
        } else {
            let (shorter, longer) = if split.sent.len() < whole.sent.len() {
                (&split.sent, &whole.sent)
            } else {
                (&whole.sent, &split.sent)
            };
            split.error == whole.error && longer.starts_with(shorter)
        };
        assert!(is_same, "split into {parts:?}: {split:?}\nnot split: {whole:?}");
    });
    whole
}

/// What a protocol did with its input. See [`check_protocol`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Exchange {
    /// All that it sent.
    pub sent: Vec<u8>,
    /// Whether the connection was closed in the end.
    pub is_closed: bool,
    /// What ended the connection, if an error did.
    pub error: Option<String>,
}

fn exchange<P: Protocol>(parts: &[&[u8]], factory: &mut impl FnMut() -> P) -> Exchange {
    let record = Record::new();
    let mut run = || -> Result<Exchange, wharf::Error> {
        let mut recorder = Recorder::new(|| record.around(factory()))?;
        // A panic is told by its error, and to whoever runs the check.
        recorder.event_loop().set_exception_handler(|_, _| {});
        let mut sent = recorder.sent()?;
        for mut part in parts.iter().copied() {
            // Answers that are read make room for more input; where there is none, the protocol reads no more.
            while !part.is_empty() {
                let taken = recorder.receive(part)?;
                sent.extend(recorder.sent()?);
                part = &part[taken..];
                if taken == 0 {
                    break;
                }
            }
        }
        recorder.receive_eof()?;
        sent.extend(recorder.sent()?);
        let error = record.error().map(|error| error.to_string());
        Ok(Exchange { sent, is_closed: recorder.is_closing(), error })
    };
    let exchange = run().unwrap_or_else(|error| panic!("the loop in memory failed: {error}"));
    if let Some(error) = record.error() {
        assert!(!error.is_panic(), "the protocol panicked, split into {parts:?}: {error}");
    }
    exchange
}
