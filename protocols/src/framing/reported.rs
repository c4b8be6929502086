//! What others' framing got wrong, by the public reports of it, tried on ours.

use std::time::Duration;

use wharf::testing::{MemoryNetwork, Recorder, stream_pair};
use wharf::{Result, Transport};

use super::*;
use crate::codec::{Decoder, Encoder};
use crate::line::{LineDecoder, Refused};
use crate::testing::{check_decoder, check_encoder, check_linear};

fn own(payload: &[u8]) -> Vec<u8> {
    payload.to_vec()
}

fn is_sent(prefix: LengthPrefix, max_length: usize, payload: &[u8]) -> bool {
    let encoder = LengthPrefixEncoder::new(prefix).max_length(max_length);
    let decoder = || LengthPrefixDecoder::new(prefix).max_length(max_length);
    check_encoder(payload, encoder, decoder, |received| received == payload)
}

/// tokio 4815 and 8469: the limit was compared with a length that counted the head, so that the largest frame sent was
/// refused, or one too large was taken.
#[test]
fn the_limit_is_the_payloads_whatever_the_length_counts() {
    for prefix in [LengthPrefix::U8, LengthPrefix::U32, LengthPrefix::VARINT] {
        for prefix in [prefix, prefix.counting_itself()] {
            assert!(is_sent(prefix, 10, &[b'a'; 10]));
            assert!(!is_sent(prefix, 10, &[b'a'; 11]));
            let mut above = Vec::new();
            LengthPrefixEncoder::new(prefix).encode(&[b'a'; 11], &mut above).unwrap();
            let decoder = || LengthPrefixDecoder::new(prefix).max_length(10);
            let decoded = check_decoder(&above, 14, decoder, own);
            assert!(decoded.len() == 1 && decoded[0].is_err(), "{decoded:?}");
        }
    }
}

/// tokio 5080 and 8275: a length that does not fit into its prefix was cut, and what followed was taken for frames.
#[test]
fn a_length_is_never_cut() {
    assert!(!is_sent(LengthPrefix::U8, 1000, &[0; 256]));
    assert!(!is_sent(LengthPrefix::U16, usize::MAX, &vec![0; 6_000_000]));
    assert!(!is_sent(LengthPrefix::U24, usize::MAX, &vec![0; 1 << 24]));
    assert!(is_sent(LengthPrefix::U8, 1000, &[0; 255]));
}

/// netty 17549: a varint of four bytes that was cut after three put the stream out of step.
#[test]
fn a_long_varint_can_be_cut_anywhere() {
    let mut stream = Vec::new();
    let mut encoder = LengthPrefixEncoder::new(LengthPrefix::VARINT).max_length(1 << 22);
    encoder.encode(&vec![7; 1 << 21], &mut stream).unwrap();
    encoder.encode(b"next", &mut stream).unwrap();
    assert_eq!(stream.len(), 4 + (1 << 21) + 5);
    for cut in 1..6 {
        let mut decoder = LengthPrefixDecoder::new(LengthPrefix::VARINT).max_length(1 << 22);
        let (mut head, mut tail) = stream.split_at(cut);
        assert_eq!(decoder.decode(&mut head), Ok(None));
        assert_eq!(decoder.decode(&mut tail).unwrap().map(<[u8]>::len), Some(1 << 21));
        assert_eq!(decoder.decode(&mut tail), Ok(Some(&b"next"[..])));
    }
}

/// golang_protobuf_extensions 4 and py-libp2p 1327: of short frames the next one's length was swallowed, and a varint that
/// was cut off counted as whole.
#[test]
fn short_frames_and_a_varint_that_is_cut_off() {
    let decoder = || LengthPrefixDecoder::new(LengthPrefix::VARINT);
    let stream = b"\x00\x01a\x02bc\x00\x00\x01d";
    let payloads = ["", "a", "bc", "", "", "d"].map(|payload| Ok(payload.as_bytes().to_vec()));
    assert_eq!(check_decoder(stream, 10, decoder, own), payloads);
    let unfinished = "byte 2: the stream ends within the frame that begins at byte 1";
    let decoded = check_decoder(b"\x00\x80", 10, decoder, own);
    assert_eq!(decoded, [Ok(Vec::new()), Err(unfinished.to_owned())]);
}

/// Twisted 4378: a netstring of exactly the maximum was refused, as its comma was counted.
#[test]
fn a_netstring_of_exactly_the_maximum() {
    let decoder = || NetstringDecoder::new().max_length(3);
    assert_eq!(check_decoder(b"3:abc,", 5, decoder, own), [Ok(b"abc".to_vec())]);
}

/// Twisted 6358 and 5075: what had come was joined anew for each read, and what was left copied for each frame.
#[test]
fn neither_reads_nor_frames_cost_what_is_kept() {
    // Many frames in one read: nothing is copied.
    let stream = b"1:x,".repeat(10_000);
    let (mut decoder, mut input) = (NetstringDecoder::new(), &stream[..]);
    while decoder.decode(&mut input).unwrap().is_some() {
        assert_eq!(decoder.buffer_capacity(), 0);
    }
    // One frame in many reads: what is kept moves a few times only.
    check_linear(10_000, |size| {
        let mut decoder = LengthPrefixDecoder::new(LengthPrefix::U32).max_length(size);
        let mut stream = (size as u32).to_be_bytes().to_vec();
        stream.resize(4 + size, b'x');
        let (mut moved, mut capacity) = (0, 0);
        for part in stream.chunks(7) {
            let mut input = part;
            let kept = decoder.buffered().len() as u64;
            decoder.decode(&mut input).unwrap();
            moved += if decoder.buffer_capacity() == capacity { 0 } else { kept };
            capacity = decoder.buffer_capacity();
        }
        moved
    });
}

/// netty 1798: a frame above the limit, all of it there, made a negative number of bytes to skip. buffer 309: head and
/// length together were more than the largest number.
#[test]
fn no_length_is_more_than_arithmetic_bears() {
    let mut stream = vec![0, 0, 0, 20];
    stream.extend([0; 40]);
    let decoder = || LengthPrefixDecoder::new(LengthPrefix::U32).max_length(10);
    let refused = "byte 0: a frame of 20 bytes, where at most 10 are allowed";
    assert_eq!(check_decoder(&stream, 14, decoder, own), [Err(refused.to_owned())]);
    for prefix in [LengthPrefix::U64, LengthPrefix::U64.counting_itself()] {
        for length in [u64::MAX, u64::MAX - 8, i64::MAX as u64, i64::MAX as u64 - 8, 1 << 62] {
            let stream = [&length.to_be_bytes()[..], b"x"].concat();
            let decoder = || LengthPrefixDecoder::new(prefix).max_length(usize::MAX);
            assert!(check_decoder(&stream, 9, decoder, own)[0].is_err(), "{length}");
        }
    }
}

/// mvm 2593: a frame that was read in part was lost when its future was dropped, and the next read began in its middle.
/// rust-libp2p 31: what was read ahead was lost with the reader of frames.
#[test]
fn a_reader_that_is_dropped_in_the_middle_of_a_frame() -> Result {
    MemoryNetwork::new().event_loop().run(async |event_loop| {
        let (near, far) = stream_pair(&event_loop, 1000)?;
        let (reader, _writer) = near.split();
        let mut frames = FramedReader::new(reader, NetstringDecoder::new());
        for part in [&b"1"[..], b"0:0123", b"456789", b",4:ne"] {
            far.writer().write_all(part).await?;
            let waited = event_loop.timeout(Duration::from_secs(1), frames.next()).await;
            let expected = (part == b",4:ne").then_some(&b"0123456789"[..]);
            assert_eq!(waited.ok().transpose()?.flatten(), expected);
        }
        far.writer().write_all(b"xt,").await?;
        assert_eq!(frames.next().await?, Some(&b"next"[..]));
        far.writer().write_all(b"9:RA").await?;
        event_loop.timeout(Duration::from_secs(1), frames.next()).await.unwrap_err();
        far.writer().write_all(b"W").await?;
        let (mut reader, remainder) = frames.into_parts();
        assert_eq!((remainder, reader.read_exactly(1).await?), (b"9:RA".to_vec(), &b"W"[..]));
        Ok(())
    })
}

/// snarkOS 4423: a frame behind one that is skipped waited for more input.
#[test]
fn a_frame_behind_one_that_is_skipped() -> Result {
    MemoryNetwork::new().event_loop().run(async |event_loop| {
        let (near, far) = stream_pair(&event_loop, 1000)?;
        let (reader, _writer) = near.split();
        let decoder = LineDecoder::new().max_length(3).refused(Refused::Discard);
        let mut lines = FramedReader::new(reader, decoder);
        far.writer().write_all(b"one\nmuch too long\ntwo\n").await?;
        assert_eq!(lines.next().await?, Some(&b"one"[..]));
        assert!(lines.next().await.unwrap_err().is_protocol_violation());
        assert_eq!(lines.next().await?, Some(&b"two"[..]));
        Ok(())
    })
}

/// A protocol that takes no notice of what is refused.
struct Deaf;

impl FrameProtocol<NetstringDecoder> for Deaf {
    fn frame_received(&mut self, _: &dyn Transport, _: &[u8]) -> Result {
        Ok(())
    }

    fn frame_refused(&mut self, _: &dyn Transport, _: FramingError) -> Result {
        Ok(())
    }
}

/// vector 6864: what was refused stayed where it was, and was looked at for ever.
#[test]
fn what_is_refused_is_not_looked_at_for_ever() -> Result {
    let mut recorder = Recorder::new(|| Framed::new(Deaf, NetstringDecoder::new()))?;
    recorder.receive(b"1:a,x1:b,")?;
    assert!(recorder.is_closing());
    Ok(())
}
