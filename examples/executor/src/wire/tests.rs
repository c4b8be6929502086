use super::{
    Ask, FromCoordinator, MAX_LENGTH, Outbox, Replied, Role, ToCoordinator, decode, encode,
};

fn again(text: &str) -> ToCoordinator {
    let message: ToCoordinator = decode(text.as_bytes()).unwrap();
    let mut buffer = Vec::new();
    encode(&message, &mut buffer).unwrap();
    assert_eq!(String::from_utf8(buffer).unwrap(), text);
    message
}

#[test]
fn messages_are_this_json() {
    let hello = again(r#"{"hello":{"version":1,"token":"s","role":"client"}}"#);
    assert!(matches!(hello, ToCoordinator::Hello(hello) if matches!(hello.role, Role::Client)));
    again(
        r#"{"hello":{"version":1,"role":{"worker":{"name":"w","kinds":["a"],"capacity":8,"fences":[7]}}}}"#,
    );
    again(r#"{"request":{"number":1,"ask":{"status":"x"}}}"#);
    again(r#""alive""#);
    again(r#"{"takes":0}"#);
    let report = again(r#"{"report":{"fence":7,"outcome":{"succeeded":{"a": 1.50}}}}"#);
    let ToCoordinator::Report(report) = report else { panic!("{report:?}") };
    assert!(
        matches!(report.outcome, Replied::Succeeded(result) if result.get() == r#"{"a": 1.50}"#)
    );
}

#[test]
fn a_submit_needs_a_kind_and_nothing_else() {
    let text =
        r#"{"request":{"number":1,"ask":{"submit":[{"kind":"a"}, {"kind":"b","args":[1]}]}}}"#;
    let ToCoordinator::Request(asked) = decode(text.as_bytes()).unwrap() else {
        panic!("no request")
    };
    let Ask::Submit(specs) = asked.ask else { panic!("no submit") };
    assert_eq!((specs[0].args.get(), specs[1].args.get(), specs[0].retries), ("null", "[1]", 3));
}

#[test]
fn what_is_no_message_is_an_error_that_says_where() {
    for (text, error) in [
        ("", "EOF while parsing a value at line 1 column 0"),
        (
            r#"{"request":{"number":1,"ask":{"submit":[{"kind":"a","prio":1}]}}}"#,
            "unknown field `prio`",
        ),
        (r#"{"request":{"number":1,"ask":{"submit":[{"kind":"a b"}]}}}"#, "a name has 1 to 64"),
        (
            r#"{"request":{"number":1,"ask":{"submit":[{"kind":"a","priority":10}]}}}"#,
            "a priority is 0 to 9",
        ),
        (r#"{"nonsense":1}"#, "unknown variant `nonsense`"),
        (r#""alive" 1"#, "trailing characters"),
    ] {
        let told = decode::<ToCoordinator>(text.as_bytes()).unwrap_err().to_string();
        assert!(told.contains(error), "{text}: {told}");
    }
    assert!(decode::<FromCoordinator>(br#"{"welcome":{"lease":1}}"#).is_ok());
}

#[test]
fn the_examples_of_the_documentation_are_messages() {
    let text = include_str!("../../docs/protocol.md");
    let mut counts = [0, 0];
    let mut reads = None;
    for line in text.lines() {
        match (line, reads) {
            ("```json to-coordinator", _) => reads = Some(0),
            ("```json from-coordinator", _) => reads = Some(1),
            ("```", _) => reads = None,
            (message, Some(direction)) => {
                let read = match direction {
                    0 => decode::<ToCoordinator>(message.as_bytes()).err(),
                    _ => decode::<FromCoordinator>(message.as_bytes()).err(),
                };
                assert!(read.is_none(), "{message}: {}", read.unwrap());
                counts[direction] += 1;
            }
            _ => {}
        }
    }
    assert!(counts[0] >= 20 && counts[1] >= 15, "{counts:?}");
}

#[test]
fn a_message_that_is_too_long_is_not_sent_and_the_others_are() {
    let mut outbox = Outbox::new();
    outbox.push(&ToCoordinator::Alive).unwrap();
    let alone = format!("{outbox:?}");
    let error = outbox.push(&"x".repeat(MAX_LENGTH)).unwrap_err().to_string();
    assert_eq!(error, "a message of 4194306 bytes, which may have 4194304");
    assert!(outbox.push_json(&vec![b' '; MAX_LENGTH + 1]).is_err());
    assert_eq!(format!("{outbox:?}"), alone);
    assert!(!outbox.is_full() && !outbox.is_empty());
    outbox.push_json(&vec![b' '; MAX_LENGTH]).unwrap();
    assert!(outbox.is_full());
    outbox.clear();
    assert!(outbox.is_empty());
}
