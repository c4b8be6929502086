//! Checks for codecs and protocols, of this crate or your own: in tests, and as the body of a fuzz target.
//!
//! | | what it checks |
//! |---|---|
//! | [`check_decoder`] | a [`Decoder`](crate::codec::Decoder): the same frames for every split, bounded memory, an end, no byte lost |
//! | [`check_encoder`] | an [`Encoder`](crate::codec::Encoder): its decoder takes out what was put in |
//! | [`check_protocol`] | a [`Protocol`](wharf::Protocol), over a loop in memory: the same answers for every split |
//! | [`check_splits`] | anything that takes its input in parts |
//! | [`check_linear`] | that the work grows no faster than the input |
//! | [`replay`] | a function over the files of a directory: a fuzzer's corpus as an ordinary test |
//! | [`Mutations`] | a function over inputs made of those files: a small fuzzer for ordinary tests |
//!
//! All of them panic with what is wrong, as `assert!` does, so that a fuzzer notices. Their choices depend on the input
//! only: a failure repeats.
//!
//! A fuzz target for a codec of your own (`docs/fuzzing.md` of wharf goes through it, and `examples/custom_protocol` is a
//! package to copy):
//!
//! ```
//! use wharf_protocols::framing::{NetstringDecoder, NetstringEncoder};
//! use wharf_protocols::testing::{check_decoder, check_encoder};
//!
//! /// The body of the target, and of the test that replays its corpus.
//! pub fn fuzz(data: &[u8]) {
//!     let decoder = || NetstringDecoder::new().max_length(100);
//!     // With the length and the colon, 104 bytes are kept at most.
//!     let payloads = check_decoder(data, 104, decoder, |payload| payload.to_vec());
//!     for payload in payloads.into_iter().flatten() {
//!         let encoder = NetstringEncoder::new();
//!         assert!(check_encoder(&payload[..], encoder, decoder, |received| received == payload));
//!     }
//! }
//!
//! fuzz(b"5:hello,0:,3:abc");
//! ```

mod decoders;
mod encoders;
mod mutations;
mod random;
mod replay;
mod steps;
#[cfg(test)]
mod tests;

pub use decoders::check_decoder;
pub use encoders::check_encoder;
pub use mutations::Mutations;
pub use replay::replay;
pub use steps::check_linear;
pub use wharf::testing::{Exchange, check_protocol, check_splits};
