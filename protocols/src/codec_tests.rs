//! What all codecs of the crate have in common.

use std::fmt::Debug;

use crate::codec::Decoder;
use crate::framing::{FixedSizeDecoder, LengthPrefix, LengthPrefixDecoder, NetstringDecoder};
use crate::line::{Delimiter, LineDecoder};
use crate::testing::check_splits;

/// Checks that a stream is refused with this text, however it is split.
fn refuses<D: Decoder + 'static>(decoder: impl Fn() -> D, stream: &[u8], text: &str)
where
    D::Error: Debug,
{
    check_splits(stream, |parts| {
        let mut decoder = decoder();
        let mut refused = None;
        for part in parts {
            let mut input = *part;
            while refused.is_none() {
                match decoder.decode(&mut input) {
                    Ok(Some(_)) => {}
                    Ok(None) => break,
                    Err(error) => refused = Some(error.to_string()),
                }
            }
        }
        let refused = refused.or_else(|| decoder.finish().err().map(|error| error.to_string()));
        let shown = stream.escape_ascii();
        assert_eq!(refused.as_deref(), Some(text), "{}: {shown}", std::any::type_name::<D>());
    });
}

/// Each error names the byte and the rule, behind frames that are sound, too.
#[test]
fn an_error_names_its_byte_and_its_rule() {
    let lines = || LineDecoder::new().max_length(3);
    refuses(lines, b"abc\na\rb\n", "byte 5: a line contains a bare line end");
    refuses(lines, b"abc\r\nabcd", "byte 8: a line is longer than 3 bytes");
    let parts = || lines().delimiter(Delimiter::bytes(b"--").unwrap());
    refuses(parts, b"ab--a-b-c--", "byte 7: a line is longer than 3 bytes");

    refuses(
        || NetstringDecoder::new().max_length(9),
        b"1:a,10:",
        "byte 4: a frame of 10 bytes, where at most 9 are allowed",
    );
    for (stream, text) in [
        (&b"1:a,x"[..], "byte 4: b'x' in a netstring's length"),
        (b"1:a,01:", "byte 4: a netstring's length begins with a zero"),
        (b"1:a,1:bc", "byte 7: b'c' where a netstring's comma must be"),
        (b"1:a,3:b", "byte 7: the stream ends within the frame that begins at byte 4"),
    ] {
        refuses(NetstringDecoder::new, stream, text);
    }

    let words = || LengthPrefixDecoder::new(LengthPrefix::U16).max_length(9);
    let text = "byte 3: a frame of 10 bytes, where at most 9 are allowed";
    refuses(words, b"\x00\x01a\x00\x0a", text);
    let itself = || LengthPrefixDecoder::new(LengthPrefix::U16.counting_itself());
    let text = "byte 3: a frame of 1 bytes, which is less than its head has";
    refuses(itself, b"\x00\x03a\x00\x01", text);
    let varint = || LengthPrefixDecoder::new(LengthPrefix::VARINT);
    refuses(varint, b"\x01a\x80\x00", "byte 3: a varint is not in its shortest form");
    let text = "byte 5: the stream ends within the frame that begins at byte 4";
    refuses(FixedSizeDecoder::<4>::new, b"abcda", text);
}

#[cfg(feature = "http")]
#[test]
fn so_does_one_of_http() {
    use crate::http::{ChunkedDecoder, RequestDecoder, ResponseDecoder};

    let request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost : a\r\n\r\n";
    refuses(RequestDecoder::new, request, "byte 47: malformed field name (RFC 9112, 5.1)");
    let response = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\naHTTP/1.1 2 OK\r\n\r\n";
    refuses(ResponseDecoder::new, response, "byte 49: malformed status line (RFC 9112, 4)");
    let text = "byte 6: malformed chunk size (RFC 9112, 7.1)";
    refuses(ChunkedDecoder::new, b"1\r\na\r\nx\r\n", text);
}

#[cfg(feature = "nats")]
#[test]
fn so_does_one_of_nats() {
    use crate::nats::codec::{ClientOpDecoder, ServerOpDecoder};

    let text = "byte 6: no operation that this side may send";
    refuses(ServerOpDecoder::new, b"PING\r\nPUB a 1\r\n", text);
    refuses(ClientOpDecoder::new, b"PING\r\nMSG a 1 1\r\n", text);
}

#[cfg(feature = "websocket")]
#[test]
fn so_does_one_of_websocket() {
    use crate::websocket::{MessageDecoder, PartDecoder, RequestDecoder, Role};

    let stream = b"\x81\x01a\x81\x81";
    let text = "byte 3: a server's frame is masked";
    refuses(|| MessageDecoder::new(Role::Client), stream, text);
    refuses(|| PartDecoder::new(Role::Client), stream, text);
    let text = "byte 3: the head holds a control character";
    refuses(RequestDecoder::new, b"GET\x16 /", text);
}
