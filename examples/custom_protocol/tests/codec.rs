//! What the codec promises.
#![forbid(unsafe_code)]

use custom_protocol::{MAX_BODY, Message, MessageDecoder, MessageEncoder};
use wharf_protocols::codec::Encoder;
use wharf_protocols::testing::{check_decoder, check_encoder};

fn decode(stream: &[u8]) -> Vec<Result<String, String>> {
    let show = |message: Message<'_>| format!("{message:?}");
    check_decoder(stream, 4 + MAX_BODY, MessageDecoder::default, show)
}

fn is_sent(message: &Message<'_>) -> bool {
    let is_same = |received: Message<'_>| received == *message;
    check_encoder(message, MessageEncoder, MessageDecoder::default, is_same)
}

#[test]
fn messages_are_the_same_however_they_come() {
    let stream =
        b"\xc7A\0\x0a\0\0\0\x03apples\xc7G\0\x04nuts\xc7T\0\x08\0\0\0\0\0\0\0\x03\xc7R\0\0";
    let messages = [
        r#"Add { amount: 3, name: "apples" }"#,
        r#"Get { name: "nuts" }"#,
        "Total(3)",
        r#"Refused("")"#,
    ];
    assert_eq!(decode(stream), messages.map(|message| Ok(message.to_owned())));
}

#[test]
fn what_is_wrong_is_named_with_its_place() {
    for (stream, error) in [
        (&b"\xc7R\0\x02ok\x00"[..], "byte 6: a message begins with the byte c7"),
        (b"\xc7R\xff\xff", "byte 2: a body is longer than 256 bytes"),
        (b"\xc7R\0\x01\xff", "byte 0: a text must be UTF-8"),
        (b"\xc7?\0\0", "byte 0: there is no such kind of message"),
        (b"\xc7A\0\x03\0\0\0", "byte 0: an amount has four bytes"),
        (b"\xc7T\0\x09123456789", "byte 0: a total has eight bytes"),
        (b"\xc7G\0\x01 ", "byte 0: a name is 1 to 64 letters, digits, dots and hyphens"),
        (b"\xc7G\0\x02a", "byte 5: the stream ends within a message"),
    ] {
        assert_eq!(decode(stream).pop(), Some(Err(error.to_owned())));
    }
}

#[test]
fn what_is_sent_arrives_or_is_refused() {
    let name = "a".repeat(64);
    assert!(is_sent(&Message::Add { amount: u32::MAX, name: &name }));
    assert!(is_sent(&Message::Get { name: "a.b-C" }));
    assert!(is_sent(&Message::Total(u64::MAX)));
    assert!(is_sent(&Message::Refused(&"é".repeat(128))));
    assert!(!is_sent(&Message::Add { amount: 1, name: "" }));
    assert!(!is_sent(&Message::Get { name: &"a".repeat(65) }));
    assert!(!is_sent(&Message::Refused(&"x".repeat(257))));
    assert!(!is_sent(&Message::Refused(&"x".repeat(70_000))));
}

#[test]
fn a_name_cannot_carry_another_message() {
    let mut injected = Vec::new();
    MessageEncoder.encode(&Message::Get { name: "a" }, &mut injected).unwrap();
    assert!(!is_sent(&Message::Get { name: &String::from_utf8_lossy(&injected) }));
}
