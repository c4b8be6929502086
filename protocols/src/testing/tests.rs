use std::convert::Infallible;

use wharf::{Protocol, Result, Transport};

use super::*;
use crate::codec::{Decoder, Encoder};
use crate::framing::{NetstringDecoder, NetstringEncoder};
use crate::line::{LineDecoder, LineEncoder, Refused};

fn own(frame: &[u8]) -> Vec<u8> {
    frame.to_vec()
}

#[test]
fn the_codecs_of_this_crate_hold() {
    let lines = || LineDecoder::new().max_length(5).refused(Refused::Discard);
    let decoded = check_decoder(b"one\nmuch too long\r\n\na\rb\nlast", 7, lines, own);
    assert_eq!(decoded.iter().filter(|line| line.is_err()).count(), 2);
    assert_eq!(decoded.last(), Some(&Ok(b"last".to_vec())));
    let lines = || LineDecoder::new().max_length(5);
    assert_eq!(check_decoder(b"one\nmuch too long\ntwo\n", 7, lines, own).len(), 2);
    assert_eq!(check_decoder(b"", 0, NetstringDecoder::new, own), []);
}

/// A decoder with a fault: every byte is a frame.
#[derive(Default)]
struct Faulty {
    fault: Fault,
    kept: Vec<u8>,
    frames: usize,
}

#[derive(Clone, Copy, Default, PartialEq)]
enum Fault {
    /// A frame for each input.
    #[default]
    Split,
    /// More and more frames of nothing.
    Endless,
    /// It keeps everything.
    Memory,
    /// A byte is lost when it is stopped.
    Remainder,
    /// The rest of the input is not taken.
    Untaken,
    /// After an error it goes on.
    Error,
}

#[derive(Debug)]
struct Broken(usize);

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "error {}", self.0)
    }
}

impl std::error::Error for Broken {}

impl Decoder for Faulty {
    type Frame<'a> = usize;
    type Error = Broken;

    fn decode<'a, 'i: 'a>(&'a mut self, input: &mut &'i [u8]) -> Result<Option<usize>, Broken> {
        self.frames += 1;
        match self.fault {
            Fault::Endless => return Ok(Some(0)),
            Fault::Untaken => return Ok(None),
            Fault::Error => return Err(Broken(self.frames)),
            Fault::Memory => {
                self.kept.extend_from_slice(std::mem::take(input));
                return Ok(None);
            }
            Fault::Split if input.is_empty() => return Ok(None),
            Fault::Split => return Ok(Some(std::mem::take(input).len())),
            Fault::Remainder => {}
        }
        let Some((_, rest)) = input.split_first() else { return Ok(None) };
        *input = rest;
        Ok(Some(1))
    }

    fn finish(&mut self) -> Result<Option<usize>, Broken> {
        Ok(None)
    }

    fn buffered(&self) -> &[u8] {
        &self.kept
    }

    fn take_remainder(&mut self) -> Vec<u8> {
        if self.fault == Fault::Remainder { b"!".to_vec() } else { std::mem::take(&mut self.kept) }
    }
}

fn check_faulty(fault: Fault) {
    check_decoder(b"abcdefgh", 4, || Faulty { fault, ..Faulty::default() }, |frame| frame);
}

#[test]
#[should_panic(expected = "right: not split")]
fn a_decoder_that_depends_on_the_split_is_caught() {
    check_faulty(Fault::Split);
}

#[test]
#[should_panic(expected = "there is no end to the frames")]
fn endless_frames_are_caught() {
    check_faulty(Fault::Endless);
}

#[test]
#[should_panic(expected = "8 bytes are kept, the limit is 4")]
fn memory_above_the_limit_is_caught() {
    check_faulty(Fault::Memory);
}

#[test]
#[should_panic(expected = "all of the input was taken")]
fn input_that_is_left_is_caught() {
    check_faulty(Fault::Untaken);
}

#[test]
#[should_panic(expected = "comes again")]
fn an_error_that_changes_is_caught() {
    check_faulty(Fault::Error);
}

#[test]
#[should_panic(expected = "stopped after 0 frames")]
fn a_remainder_that_is_none_is_caught() {
    check_decoder(b"ab", 4, || Faulty { fault: Fault::Remainder, ..Faulty::default() }, |_| ());
}

/// An encoder that lets everything pass.
struct Careless;

impl Encoder<[u8]> for Careless {
    type Error = Infallible;

    fn encode(&mut self, line: &[u8], output: &mut Vec<u8>) -> Result<(), Infallible> {
        output.extend_from_slice(line);
        output.push(b'\n');
        Ok(())
    }
}

#[test]
fn encoders_of_this_crate_hold() {
    let netstring = |payload: &[u8], max_length| {
        let encoder = NetstringEncoder::new().max_length(max_length);
        check_encoder(payload, encoder, NetstringDecoder::new, |received| received == payload)
    };
    for payload in [&b""[..], b"hello", b"a,b:1", &[0; 300]] {
        assert!(netstring(payload, 300));
    }
    assert!(!netstring(b"four", 3));
    let line = |line: &[u8]| {
        check_encoder(line, LineEncoder::new(), LineDecoder::new, |received| received == line)
    };
    assert!(line(b"ab") && !line(b"a\nb"));
    assert!(check_encoder(&b"ab"[..], Careless, LineDecoder::new, |received| received == b"ab"));
}

#[test]
#[should_panic(expected = "something else")]
fn an_encoder_that_can_be_injected_is_caught() {
    check_encoder(&b"a\nb"[..], Careless, LineDecoder::new, |received| received == b"a\nb");
}

#[test]
#[should_panic(expected = "two frames")]
fn an_encoder_of_two_frames_is_caught() {
    check_encoder(&b"a\na"[..], Careless, LineDecoder::new, |received| received == b"a");
}

#[test]
#[should_panic(expected = "which is refused")]
fn an_encoder_whose_frame_is_refused_is_caught() {
    check_encoder(&b"ab"[..], Careless, NetstringDecoder::new, |_| true);
}

/// Answers with the length of what comes at once.
struct Lengths;

impl Protocol for Lengths {
    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
        transport.write(&[data.len() as u8]);
        Ok(())
    }
}

#[test]
#[should_panic(expected = "not split")]
fn a_protocol_that_depends_on_the_split_is_caught() {
    check_protocol(b"ab", || Lengths);
}

/// Answers each byte, until one is too much for it.
struct Bytes;

impl Protocol for Bytes {
    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
        for byte in data {
            match byte {
                b'P' => panic!("this byte"),
                b'E' => return Err(wharf::Error::protocol_violation("that byte").into()),
                b'C' => {
                    transport.close();
                    return Ok(());
                }
                b'H' => transport.pause_reading(),
                _ => {}
            }
            transport.write(&[*byte; 1000]);
        }
        Ok(())
    }
}

#[test]
fn a_protocol_is_checked_to_its_end() {
    let exchange = check_protocol(b"abc", || Bytes);
    assert_eq!((exchange.sent.len(), exchange.is_closed, exchange.error), (3000, true, None));
    let exchange = check_protocol(b"abCd", || Bytes);
    assert_eq!((exchange.sent.len(), exchange.is_closed, exchange.error), (2000, true, None));
    let exchange = check_protocol(b"abEd", || Bytes);
    assert_eq!(exchange.error.as_deref(), Some("that byte"));
    assert_eq!(check_protocol(b"", || Bytes).sent, b"");
    assert_eq!(check_protocol(&[b'x'; 300], || Bytes).sent.len(), 300_000);
}

#[test]
#[should_panic(expected = "the protocol panicked")]
fn a_panic_of_a_protocol_is_told() {
    check_protocol(b"abPd", || Bytes);
}

#[test]
fn a_directory_is_replayed() {
    let directory = std::env::temp_dir().join(format!("wharf-replayed-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    for name in ["b", "a", ".hidden", "c"] {
        std::fs::write(directory.join(name), name).unwrap();
    }
    let mut seen = Vec::new();
    assert_eq!(replay(&directory, |data| seen.push(data.to_vec())), 3);
    assert_eq!(seen, [b"a", b"b", b"c"]);
    let failed = std::panic::catch_unwind(|| {
        replay(&directory, |data| assert!(data == b"b", "not b"));
    });
    let text = failed.unwrap_err().downcast::<String>().unwrap();
    std::fs::remove_dir_all(&directory).unwrap();
    assert!(text.starts_with("2 failed:\n") && text.contains("/a: not b\n"), "{text}");
}
