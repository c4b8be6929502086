//! Whether a protocol, or what else takes its input in parts, does the same however that is split.

use std::fmt::Debug;

use super::record::{Call, Record};
use super::recorder::Recorder;
use crate::error::Error;
use crate::protocol::Protocol;

/// Inputs up to this length are cut at every place.
const EXHAUSTIVE_LENGTH: usize = 64;

/// Checks that a protocol does the same however its input is split, on a loop in memory, and returns what it did.
///
/// The peer sends `input` in parts, reads all that the protocol sends, and ends its side. What is sent, whether the
/// protocol closes, the callbacks that it gets beside those of data and of flow control, and the error that ends the
/// connection must be the same. When a connection ends with an error, answers on their way are dropped: then what is sent
/// for one split has to be the beginning of what is sent for another.
///
/// It is tried with the whole input, byte by byte, with the input cut once at each place (up to 64 bytes), and with cuts at
/// random places. These depend on the input only: a failure repeats. So does the body of a fuzz target.
///
/// A protocol whose answers depend on more than its input (random numbers, the time, state that connections share) cannot
/// be checked this way, unless `factory` makes all of it anew.
///
/// ```
/// use wharf::testing::check_protocol;
/// use wharf::{Protocol, Result, Transport};
///
/// /// Answers each line with its length, up to 9.
/// #[derive(Default)]
/// struct Lengths(u8);
///
/// impl Protocol for Lengths {
///     fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
///         for byte in data {
///             match byte {
///                 b'\n' => drop(transport.write(&[b'0' + std::mem::take(&mut self.0)])),
///                 _ if self.0 == 9 => return Err("a line is too long".into()),
///                 _ => self.0 += 1,
///             }
///         }
///         Ok(())
///     }
/// }
///
/// let exchange = check_protocol(b"one\n\nthree\nfo", Lengths::default);
/// assert_eq!(exchange.sent, b"305");
/// assert_eq!((exchange.is_closed, exchange.error), (true, None));
/// let exchange = check_protocol(b"one\nan endless one", Lengths::default);
/// assert_eq!(exchange.error.as_deref(), Some("a line is too long"));
/// ```
///
/// # Panics
/// If two splits give different answers, or the protocol panics: what it panicked with is in the text.
#[doc(alias("ByteToMessageDecoderVerifier", "fragmentation"))]
pub fn check_protocol<P: Protocol>(input: &[u8], mut factory: impl FnMut() -> P) -> Exchange {
    let (whole, calls) = exchange(&[input], &mut factory);
    for parts in splits(input) {
        let (split, split_calls) = exchange(&parts, &mut factory);
        let is_same = if whole.error.is_none() {
            split == whole
        } else {
            let is_shorter = split.sent.len() < whole.sent.len();
            let (shorter, longer) = if is_shorter { (&split, &whole) } else { (&whole, &split) };
            split.error == whole.error && longer.sent.starts_with(&shorter.sent)
        };
        assert!(is_same, "split into {parts:?}: {split:?}\nnot split: {whole:?}");
        assert_eq!(split_calls, calls, "left: split into {parts:?}; right: not split");
    }
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

/// Checks that what takes its input in parts, such as a codec, gives the same however that is split.
///
/// `decode` gets an input in parts, which make up `input` when joined; some may be empty. It starts
/// afresh, decodes them all, and returns everything that came out. It is called with the whole
/// input, byte by byte, with the input cut once at each place (for inputs up to 64 bytes), and with
/// cuts at random places. These depend only on the input, so that a failure repeats.
///
/// ```
/// use wharf::testing::check_splits;
///
/// check_splits(b"one\ntwo\nthree", |parts| {
///     let mut lines = vec![Vec::new()];
///     for byte in parts.concat() {
///         match byte {
///             b'\n' => lines.push(Vec::new()),
///             _ => lines.last_mut().unwrap().push(byte),
///         }
///     }
///     lines
/// });
/// ```
///
/// # Panics
/// If two splits give different results.
pub fn check_splits<T: Debug + PartialEq>(input: &[u8], mut decode: impl FnMut(&[&[u8]]) -> T) {
    let whole = decode(&[input]);
    for parts in splits(input) {
        let split = decode(&parts);
        assert_eq!(split, whole, "left: split into {parts:?}; right: not split");
    }
}

/// What came of it, and the callbacks that do not depend on buffers.
fn exchange<P: Protocol>(
    parts: &[&[u8]],
    factory: &mut impl FnMut() -> P,
) -> (Exchange, Vec<Call>) {
    let record = Record::new();
    let mut run = || -> Result<Exchange, Error> {
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
    let mut calls = record.calls();
    calls.retain(|call| {
        !matches!(call, Call::DataReceived(_) | Call::PauseWriting | Call::ResumeWriting)
    });
    (exchange, calls)
}

/// The ways in which an input is split; some parts may be empty.
fn splits(input: &[u8]) -> Vec<Vec<&[u8]>> {
    let mut splits = vec![input.chunks(1).collect::<Vec<_>>()];
    if input.len() <= EXHAUSTIVE_LENGTH {
        splits.extend((0..=input.len()).map(|at| vec![&input[..at], &input[at..]]));
    }
    let mut random = Places::of(input);
    let mut longest = input.len();
    while longest > 1 {
        let mut parts = Vec::new();
        let mut rest = input;
        while !rest.is_empty() {
            let (part, after) = rest.split_at(random.up_to(longest.min(rest.len())));
            parts.push(part);
            rest = after;
        }
        splits.push(parts);
        longest /= 2;
    }
    splits
}

/// Where an input is cut: xorshift64*, the same numbers for the same input.
struct Places(u64);

impl Places {
    fn of(input: &[u8]) -> Self {
        let mix = |seed: u64, &byte: &u8| (seed ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        Self(input.iter().fold(0xcbf2_9ce4_8422_2325, mix) | 1)
    }

    fn up_to(&mut self, most: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let scrambled = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32;
        (scrambled % (most as u64 + 1)) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_make_up_the_input() {
        let input: Vec<u8> = (0..200).collect();
        let mut splits = 0;
        check_splits(&input, |parts| {
            splits += 1;
            parts.concat()
        });
        // Whole, byte by byte, and random parts of at most 200, 100, 50, 25, 12, 6 and 3 bytes.
        assert_eq!(splits, 9);
    }

    #[test]
    fn short_inputs_are_cut_everywhere() {
        let mut cuts = Vec::new();
        check_splits(b"abc", |parts| {
            if let [head, _] = parts {
                cuts.push(head.len());
            }
        });
        assert!((0..=3).all(|cut| cuts.contains(&cut)), "{cuts:?}");
    }

    #[test]
    #[should_panic(expected = "right: not split")]
    fn a_codec_that_depends_on_the_split_is_caught() {
        check_splits(b"ab", |parts| parts.len());
    }

    #[test]
    fn empty_input() {
        check_splits(b"", |parts| parts.concat());
    }
}
