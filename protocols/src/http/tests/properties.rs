use proptest::prelude::*;

use super::*;
use crate::codec::Encoder;
use crate::testing::check_splits;

/// Pieces of requests and responses, whole and broken.
fn stream(pieces: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    let piece = proptest::sample::select(pieces);
    proptest::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat().into_bytes())
}

const REQUESTS: &[&str] = &[
    "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n",
    "PUT /b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
    "GET / HTTP/1.0\r\n",
    "Host: y\r\n",
    "Content-Length: 0\r\n",
    "Expect: 100-continue\r\n",
    "A: b\r\n",
    "4\r\n",
    "abcd",
    "\r\n",
    "0\r\n",
    "0\r\n\r\n",
    "4;a=b\r\n",
    "\n",
    "\r",
    " ",
    "T: u\r\n",
    "\u{e9}",
];

const RESPONSES: &[&str] = &[
    "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    "HTTP/1.1 204 No\r\n\r\n",
    "HTTP/1.1 100 Go\r\n\r\n",
    "HTTP/1.0 404\r\n",
    "HTTP/1.1 101 Switch\r\n\r\n",
    "A: b\r\n",
    "4\r\n",
    "abcd",
    "\r\n",
    "0\r\n",
    "0\r\n\r\n",
    "\n",
    "\r",
    " ",
];

proptest! {
    #[test]
    fn any_split_of_requests_gives_the_same(input in stream(REQUESTS)) {
        let limits = Limits { max_head: 100, max_content: 6, max_trailers: 12, max_chunk_extensions: 6, max_fields: 4 };
        check_splits(&input, |parts| requests(RequestDecoder::new().limits(limits), parts));
        check_splits(&input, |parts| requests(RequestDecoder::new(), parts));
    }

    #[test]
    fn any_split_of_responses_gives_the_same(input in stream(RESPONSES), method in 0_usize..3) {
        let method = ["GET", "HEAD", "CONNECT"][method];
        let limits = Limits { max_head: 60, max_content: 6, max_trailers: 12, max_chunk_extensions: 6, max_fields: 4 };
        check_splits(&input, |parts| responses(ResponseDecoder::new().limits(limits), method, parts));
        check_splits(&input, |parts| responses(ResponseDecoder::new(), method, parts));
    }

    /// What is decoded can be encoded, and is then decoded to the same.
    #[test]
    fn decoded_requests_come_back(input in stream(REQUESTS)) {
        let mut decoder = RequestDecoder::new();
        let (mut encoder, mut encoded) = (RequestEncoder::new(), Vec::new());
        let (mut seen, mut rest) = (Vec::new(), &input[..]);
        while let Ok(Some(event)) = decoder.decode(&mut rest) {
            encoder.encode(&event, &mut encoded).unwrap();
            see(&mut seen, of_request(event));
        }
        let again = requests(RequestDecoder::new(), &[&encoded]);
        let again: Vec<_> = again.into_iter().filter(|seen| !matches!(seen, Seen::Error(_))).collect();
        prop_assert_eq!(again, seen);
    }

    #[test]
    fn decoded_responses_come_back(input in stream(RESPONSES)) {
        let mut decoder = ResponseDecoder::new();
        let (mut encoder, mut encoded) = (ResponseEncoder::new(), Vec::new());
        let (mut seen, mut rest) = (Vec::new(), &input[..]);
        while let Ok(Some(event)) = decoder.decode(&mut rest) {
            encoder.encode(&event, &mut encoded).unwrap();
            see(&mut seen, of_response(event));
        }
        let again = responses(ResponseDecoder::new(), "GET", &[&encoded]);
        let ends = |seen: &Seen| !matches!(seen, Seen::Error(_) | Seen::End);
        let again: Vec<_> = again.into_iter().filter(ends).collect();
        let seen: Vec<_> = seen.into_iter().filter(ends).collect();
        prop_assert_eq!(again, seen);
    }

    /// Whatever an encoder takes, a decoder gives back.
    #[test]
    fn what_is_encoded_is_decoded(
        name in "[ -~]{0,4}", value in "[\\x00-\\x7f]{0,6}", target in "[ -~\r\n]{0,6}", data in proptest::collection::vec(any::<u8>(), 0..40),
        chunked in any::<bool>(),
    ) {
        let target = format!("/{target}");
        let length = data.len().to_string();
        let framing = if chunked { ("Transfer-Encoding", &b"chunked"[..]) } else { ("Content-Length", length.as_bytes()) };
        let fields = [("Host", &b"x"[..]), (&*name, value.as_bytes()), framing];
        let head = Headers::new(&fields).and_then(|headers| RequestHead::new("POST", &target, Version::Http11, headers));
        let Ok(head) = head else { return Ok(()) };
        let (mut encoder, mut encoded) = (RequestEncoder::new(), Vec::new());
        let mut seen = Vec::new();
        let (first, second) = data.split_at(data.len() / 2);
        let trailers = [("Check", &b"sum"[..])];
        let mut events = vec![RequestEvent::Head(head), RequestEvent::Data(first), RequestEvent::Data(second)];
        if chunked {
            events.push(RequestEvent::Trailers(Headers::new(&trailers).unwrap()));
        }
        events.push(RequestEvent::End);
        for event in events {
            encoder.encode(&event, &mut encoded).unwrap();
            if event != RequestEvent::Data(b"") {
                see(&mut seen, of_request(event));
            }
        }
        prop_assert_eq!(requests(RequestDecoder::new(), &[&encoded]), seen);
    }
}
