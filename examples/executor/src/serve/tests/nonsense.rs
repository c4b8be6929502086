//! Changes of what peers say, of which few are messages.

use std::time::Duration;

use serde_json::json;
use wharf::Result;
use wharf_protocols::testing::Mutations;

use super::{ADDRESS, Peer, run, serve};
use crate::wire::{FromCoordinator, ToCoordinator, decode, encode};

/// What peers say, one conversation each.
const SAID: [&[&str]; 3] = [
    &[
        r#"{"hello":{"version":1,"token":"secret","role":"client"}}"#,
        r#"{"request":{"number":1,"ask":{"submit":[{"kind":"a","id":"x","args":[1]},{"kind":"b","after":["x"]}]}}}"#,
        r#"{"request":{"number":2,"ask":{"wait":"x"}}}"#,
        r#"{"request":{"number":3,"ask":{"cancel":"x"}}}"#,
        r#"{"request":{"number":4,"ask":{"retry":"x"}}}"#,
    ],
    &[
        r#"{"hello":{"version":1,"token":"secret","role":{"worker":{"name":"w","kinds":["a"],"capacity":8,"fences":[7]}}}}"#,
        r#""alive""#,
        r#"{"takes":1}"#,
        r#"{"report":{"fence":4294967296,"outcome":{"succeeded":{"a":1.5}}}}"#,
        r#"{"report":{"fence":4294967297,"outcome":{"failed":"no"}}}"#,
    ],
    &[r#"{"hello":{"version":2,"role":"client"}}"#, r#"{"welcome":{"lease":15000}}"#],
];

fn frames(said: &[&str]) -> Vec<u8> {
    let frame = |text: &&str| [&(text.len() as u32).to_be_bytes()[..], text.as_bytes()].concat();
    said.iter().flat_map(frame).collect()
}

fn changes() -> Mutations {
    let directory = tempfile::tempdir().unwrap();
    for (number, said) in SAID.iter().enumerate() {
        std::fs::write(directory.path().join(number.to_string()), frames(said)).unwrap();
    }
    let words = [
        r#""a":"#,
        "null",
        "-1",
        "18446744073709551616",
        "1e999",
        "{}",
        "[]",
        "\\ud800",
        "\0\0\0\0",
    ];
    Mutations::of(directory.path()).words(words).max_length(1_000)
}

/// How many are tried: `WHARF_FUZZ_RUNS`, and `WHARF_FUZZ_SEED` says which.
fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

#[test]
fn whatever_peers_say_is_answered_in_messages_and_harms_nobody_else() {
    let mut inputs: Vec<_> = SAID.iter().map(|said| frames(said)).collect();
    changes().seed(number("WHARF_FUZZ_SEED", 0)).run(
        number("WHARF_FUZZ_RUNS", 1_500) as usize,
        |data| {
            inputs.push(data.to_vec());
        },
    );
    run(async move |event_loop| {
        let server = serve(&event_loop).await?;
        let mut welcomed = 0;
        for input in inputs {
            let (mut reader, writer) = event_loop.open_connection(ADDRESS).await?;
            let (begin, rest) = input.split_at(input.len() / 2);
            for part in [begin, rest] {
                // It may have been sent away.
                let _ = writer.write_all(part).await;
            }
            event_loop.sleep(Duration::from_millis(1)).await;
            writer.write_eof();
            let mut is_refused = false;
            let mut answers = Vec::new();
            while let Ok(Ok(some)) =
                wharf::timeout(Duration::from_secs(1), reader.read_chunk()).await
            {
                if some.is_empty() {
                    break;
                }
                answers.extend_from_slice(some);
            }
            let mut answers = &answers[..];
            while let Some((head, rest)) = answers.split_first_chunk::<4>() {
                assert!(!is_refused, "it is told more than that it is refused: {input:?}");
                let (text, rest) = rest.split_at(u32::from_be_bytes(*head) as usize);
                let message = decode::<FromCoordinator>(text).unwrap();
                welcomed += usize::from(matches!(message, FromCoordinator::Welcome { .. }));
                is_refused = matches!(message, FromCoordinator::Refused(_));
                answers = rest;
            }
        }
        assert!(welcomed > 100, "{welcomed}");
        event_loop.sleep(Duration::from_secs(60)).await;
        {
            let state = server.shared.state.borrow();
            assert_eq!((state.peers.len(), state.strangers.len()), (0, 0));
            assert!(state.waiting.is_empty() && state.workers.is_empty());
        }
        let mut client = Peer::client(&event_loop).await?;
        let told = client.ask(json!({"submit": [{"kind": "c", "id": "still-there"}]})).await?;
        assert_eq!(told, json!({"submitted": [{"Ok": "still-there"}]}));
        Ok(())
    });
}

#[test]
fn what_is_a_message_stays_one_when_it_is_said_again() {
    fn again<M: serde::de::DeserializeOwned + serde::Serialize>(text: &[u8]) -> Result<bool> {
        let Ok(message) = decode::<M>(text) else { return Ok(false) };
        let (mut once, mut twice) = (Vec::new(), Vec::new());
        encode(&message, &mut once)?;
        encode(&decode::<M>(&once)?, &mut twice)?;
        assert_eq!(once, twice);
        Ok(true)
    }
    let mut messages = 0;
    changes().seed(number("WHARF_FUZZ_SEED", 1)).run(
        number("WHARF_FUZZ_RUNS", 3_000) as usize,
        |data| {
            let mut rest = data;
            while let Some((head, text)) = rest.split_first_chunk::<4>() {
                let length = (u32::from_be_bytes(*head) as usize).min(text.len());
                let (text, next) = text.split_at(length);
                messages += u32::from(again::<ToCoordinator>(text).unwrap());
                messages += u32::from(again::<FromCoordinator>(text).unwrap());
                rest = next;
            }
        },
    );
    assert!(messages > 500, "{messages}");
}
