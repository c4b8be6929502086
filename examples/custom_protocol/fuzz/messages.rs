//! The body of the fuzz target, apart from the fuzzer: `tests/replay.rs` runs it, too.

use custom_protocol::{Counters, MAX_BODY, Message, MessageDecoder, MessageEncoder, server};
use wharf_protocols::codec::Decoder;
use wharf_protocols::testing::{check_decoder, check_encoder, check_protocol};

/// Any bytes, to the decoder and to a whole server.
pub fn run(data: &[u8]) {
    // Every split gives the same messages, no more than a message is kept, and errors stay.
    check_decoder(data, 4 + MAX_BODY, MessageDecoder::default, |message| format!("{message:?}"));

    // What was decoded can be encoded, and is what it was.
    let (mut decoder, mut input) = (MessageDecoder::default(), data);
    while let Ok(Some(message)) = decoder.decode(&mut input) {
        assert!(check_message(&message), "{message:?}");
    }

    // A text that nobody has looked at is refused, or arrives as it is.
    check_message(&Message::Refused(&String::from_utf8_lossy(data)));
    check_message(&Message::Get { name: &String::from_utf8_lossy(data) });

    // The server gives the same answers however the requests are split.
    check_protocol(data, || server(&Counters::default()));
}

fn check_message(message: &Message<'_>) -> bool {
    let is_same = |received: Message<'_>| received == *message;
    check_encoder(message, MessageEncoder, MessageDecoder::default, is_same)
}
