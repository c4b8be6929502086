//! NATS, both directions: each decoder against what it promises, and its encoder against it.
//!
//! An input is a byte, the longest message in bytes, and the stream.

use wharf_protocols::codec::{Decoder, Encoder};
use wharf_protocols::nats::codec::{
    ClientOp, ClientOpDecoder, ClientOpEncoder, ConnectInfo, HeaderBlock, Rule, ServerInfo,
    ServerOp, ServerOpDecoder, ServerOpEncoder,
};
use wharf_protocols::testing::check_decoder;

/// The longest control line, and the longest headers.
const LINE: usize = 80;
const HEADERS: usize = 40;

/// What a client reads: operations of a server.
///
/// # Panics
/// If a promise does not hold.
pub fn client(data: &[u8]) {
    let Some((&longest, stream)) = data.split_first() else { return };
    let payload = usize::from(longest);
    let decoder =
        || ServerOpDecoder::new().max_control_line(LINE).max_payload(payload).max_headers(HEADERS);
    check_decoder(stream, LINE + 2 + payload + 2, decoder, |op| format!("{op:?}"));

    let (mut decoder, mut input) = (decoder(), stream);
    while let Ok(Some(op)) = decoder.decode(&mut input) {
        match &op {
            // Whatever the JSON is: it is read or refused.
            ServerOp::Info(json) => drop(ServerInfo::from_json(json)),
            ServerOp::Msg(message) => {
                assert!(message.headers.unwrap_or_default().len() <= HEADERS);
                assert!(
                    message.headers.unwrap_or_default().len() + message.payload.len() <= payload
                );
                check_headers(message.headers);
            }
            _ => (),
        }
        let mut encoded = Vec::new();
        match ServerOpEncoder::new().encode(&op, &mut encoded) {
            Ok(()) => {
                let (mut decoder, mut input) = (ServerOpDecoder::new(), &encoded[..]);
                assert_eq!(decoder.decode(&mut input), Ok(Some(op)));
                assert_eq!(input, b"");
            }
            Err(error) => check_refusal(error.rule, &encoded),
        }
    }
}

/// What a server reads: operations of a client.
///
/// # Panics
/// If a promise does not hold.
pub fn server(data: &[u8]) {
    let Some((&longest, stream)) = data.split_first() else { return };
    let payload = usize::from(longest);
    let decoder =
        || ClientOpDecoder::new().max_control_line(LINE).max_payload(payload).max_headers(HEADERS);
    check_decoder(stream, LINE + 2 + payload + 2, decoder, |op| format!("{op:?}"));

    let (mut decoder, mut input) = (decoder(), stream);
    while let Ok(Some(op)) = decoder.decode(&mut input) {
        match &op {
            ClientOp::Connect(json) => drop(ConnectInfo::from_json(json)),
            ClientOp::Pub(message) => check_headers(message.headers),
            _ => (),
        }
        let mut encoded = Vec::new();
        match ClientOpEncoder::new().encode(&op, &mut encoded) {
            Ok(()) => {
                let (mut decoder, mut input) = (ClientOpDecoder::new(), &encoded[..]);
                assert_eq!(decoder.decode(&mut input), Ok(Some(op)));
                assert_eq!(input, b"");
            }
            Err(error) => check_refusal(error.rule, &encoded),
        }
    }
}

/// Servers do not look at what publishers send: decoders take more than encoders, but only where nobody is misled.
fn check_refusal(rule: Rule, encoded: &[u8]) {
    assert_eq!(encoded, b"", "what is refused leaves nothing behind");
    let is_expected = matches!(
        rule,
        Rule::Subject
            | Rule::Wildcard
            | Rule::QueueGroup
            | Rule::Headers
            | Rule::HeaderName
            | Rule::HeaderValue
            | Rule::Text
    );
    assert!(is_expected, "{rule:?}");
}

fn check_headers(block: Option<&[u8]>) {
    let Some(Ok(headers)) = block.map(HeaderBlock::parse) else { return };
    for (name, value) in headers.iter() {
        assert!(!name.is_empty() && !name.contains(&b':'));
        assert!(!value.contains(&b'\r') && !value.contains(&b'\n'));
    }
}
