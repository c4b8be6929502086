//! Limits, memory and work.

use super::*;

#[test]
fn limits_of_frames_messages_and_fragments() {
    let decoder = || {
        MessageDecoder::new(Role::Client)
            .max_message_length(10)
            .max_frame_length(6)
            .max_fragments(3)
    };
    let run = |frames: &[(u8, &[u8])]| {
        let stream: Vec<u8> = frames
            .iter()
            .flat_map(|(first, payload)| frame(Role::Client, *first, payload))
            .collect();
        crate::testing::check_splits(&stream, |parts| decode(decoder(), parts));
        let (messages, error) = decode(decoder(), &[&stream]);
        (messages.len(), error.map(|error| error.violation))
    };
    assert_eq!(run(&[(0x82, &[0; 6])]), (1, None));
    let too_long = Violation::FrameTooLong { max_length: 6 };
    assert_eq!(run(&[(0x82, &[0; 7])]), (0, Some(too_long)));
    assert_eq!(run(&[(0x02, &[0; 6]), (0x80, &[0; 4])]), (1, None));
    let too_long = Violation::MessageTooLong { max_length: 10 };
    assert_eq!(run(&[(0x02, &[0; 6]), (0x80, &[0; 5])]), (0, Some(too_long)));
    assert_eq!(run(&[(0x02, b""), (0x00, b""), (0x80, b"")]), (1, None));
    let too_many = Violation::TooManyFragments { max_fragments: 3 };
    assert_eq!(run(&[(0x02, b""), (0x00, b""), (0x00, b""), (0x80, b"")]), (0, Some(too_many)));
    // Each message by itself; control frames do not count.
    assert_eq!(run(&[(0x82, &[0; 6]), (0x82, &[0; 6]), (0x89, &[0; 100])]), (3, None));
    assert_eq!(CloseCode::TOO_BIG, too_many.close_code());
}

#[test]
fn a_long_frame_is_refused_by_its_header() {
    let mut decoder = MessageDecoder::new(Role::Client).max_message_length(1000);
    let error = decoder.decode(&mut &b"\x82\x7f\x00\x00\x00\x00\xff\xff\xff\xff"[..]).unwrap_err();
    assert_eq!(error.violation, Violation::FrameTooLong { max_length: 1000 });
    // The longest there can be, where there is no limit, allocates nothing.
    let mut decoder = MessageDecoder::new(Role::Client).max_message_length(usize::MAX);
    let mut input = &b"\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff"[..];
    assert_eq!(decoder.decode(&mut input), Ok(None));
    assert_eq!(decoder.buffer_capacity(), 0);
    assert_eq!(decoder.decode(&mut &b"abc"[..]), Ok(None));
    assert!(decoder.buffer_capacity() < 200_000);
}

#[test]
fn memory_is_what_was_received_or_twice() {
    const SPARE: usize = 160 * 1024;
    for role in [Role::Client, Role::Server] {
        let stream = frame(role, 0x82, &vec![1; 900_000]);
        let mut decoder = MessageDecoder::new(role);
        let mut received = 0;
        for part in stream.chunks(1000) {
            received += part.len();
            let mut input = part;
            let _ = decoder.decode(&mut input).unwrap();
            let capacity = decoder.buffer_capacity();
            assert!(capacity <= SPARE.max(2 * received).min(900_000), "{capacity}");
        }
        assert_eq!(decoder.decode(&mut &[][..]), Ok(None));
        assert_eq!(decoder.buffer_capacity(), 0);
    }
}

#[test]
fn nothing_is_held_between_messages() {
    let mut decoder = MessageDecoder::new(Role::Server);
    let stream = [frame(Role::Server, 0x81, b"one"), frame(Role::Server, 0x01, b"two")].concat();
    let mut input = &stream[..];
    assert_eq!(decoder.decode(&mut input), Ok(Some(Message::Text("one"))));
    assert_eq!(decoder.decode(&mut input), Ok(None));
    assert!(decoder.buffer_capacity() > 0, "the beginning of a message");
    let end = frame(Role::Server, 0x80, b"!");
    assert_eq!(decoder.decode(&mut &end[..]), Ok(Some(Message::Text("two!"))));
    assert_eq!(decoder.decode(&mut &[][..]), Ok(None));
    assert_eq!(decoder.buffer_capacity(), 0);
}

/// The work per byte is the same for twice the input: in bytes looked at or copied, and in buffers grown.
#[test]
fn work_is_linear() {
    let work = |fragments: usize, payload: usize, control: bool, chunk: usize| {
        let mut stream = frame(Role::Server, 0x01, b"x");
        for _ in 0..fragments {
            stream.extend(frame(Role::Server, 0x00, &vec![b'y'; payload]));
            if control {
                stream.extend(frame(Role::Server, 0x89, &[0; 125]));
            }
        }
        let mut assembler = assembler::Assembler::new(Role::Server, false);
        assembler.limits.max_fragments = u32::MAX;
        let (mut grown, mut moved) = (0, 0);
        for part in stream.chunks(chunk) {
            let mut input = part;
            loop {
                let before = assembler.buffer.capacity();
                let item = assembler.next(&mut input).unwrap();
                if assembler.buffer.capacity() > before {
                    grown += 1;
                    moved += before;
                }
                if item.is_none() {
                    break;
                }
            }
        }
        (assembler.work, grown, moved, stream.len())
    };
    for control in [false, true] {
        for (payload, chunk) in [(0, 1), (1, 1), (1, 100), (200, 3), (200, 64)] {
            for fragments in [500, 1000, 2000, 4000] {
                let (work, grown, moved, length) = work(fragments, payload, control, chunk);
                assert!(work <= length, "{work} for {length}");
                assert!(grown <= 24, "{grown} for {length}");
                assert!(moved <= 2 * length + 320 * 1024, "{moved} for {length}");
            }
        }
    }
}
