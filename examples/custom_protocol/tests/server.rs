//! Server and client in memory and virtual time.
#![forbid(unsafe_code)]

use std::time::Duration;

use custom_protocol::{Client, Counters, IDLE, server};
use wharf::testing::{MemoryNetwork, Recorder};
use wharf::{CloseReason, Result, Transport};
use wharf_protocols::testing::check_protocol;

const ADD_3_APPLES: &[u8] = b"\xc7A\0\x0a\0\0\0\x03apples";

#[test]
fn clients_share_the_counters() -> Result {
    MemoryNetwork::new().event_loop().run(async |event_loop| {
        let counters = Counters::default();
        event_loop.create_server(move || server(&counters), "10.0.0.1:7").await?;
        let mut one = Client::connect(&event_loop, "10.0.0.1:7").await?;
        let mut other = Client::connect(&event_loop, "10.0.0.1:7").await?;
        assert_eq!(one.add("apples", 3).await?, 3);
        assert_eq!(other.add("apples", 4).await?, 7);
        assert_eq!(one.get("apples").await?, 7);
        assert_eq!(
            one.get("nuts").await.unwrap_err().to_string(),
            "refused: there is no such counter"
        );
        assert!(one.get("no such name").await.is_err(), "it is not sent");
        assert_eq!(one.get("apples").await?, 7, "and the connection goes on");
        Ok(())
    })
}

#[test]
fn a_connection_without_messages_is_closed_after_a_minute() -> Result {
    let mut recorder = Recorder::new(|| server(&Counters::default()))?;
    recorder.advance(IDLE - Duration::from_secs(1))?;
    recorder.receive(ADD_3_APPLES)?;
    recorder.advance(IDLE - Duration::from_secs(1))?;
    assert!(!recorder.is_closing());
    recorder.advance(Duration::from_secs(1))?;
    let reason = recorder.connection().handle().close_reason();
    assert!(matches!(reason, Some(CloseReason::Failed(error)) if error.is_timeout()));
    Ok(())
}

#[test]
fn answers_are_the_same_however_questions_come() {
    let stream = [ADD_3_APPLES, ADD_3_APPLES, b"\xc7G\0\x04nuts"].concat();
    let exchange = check_protocol(&stream, || server(&Counters::default()));
    let answers = b"\xc7T\0\x08\0\0\0\0\0\0\0\x03\xc7T\0\x08\0\0\0\0\0\0\0\x06\xc7R\0\x18there is no such counter";
    assert_eq!(exchange.sent, answers);
    assert_eq!(exchange.error, None);

    let exchange =
        check_protocol(b"\xc7T\0\x08\0\0\0\0\0\0\0\x03", || server(&Counters::default()));
    assert_eq!(exchange.error.as_deref(), Some("an answer to no question"));
}

/// A client that asks for ever and never reads: what waits for it stays within bounds.
#[test]
fn a_flood_of_questions_is_not_read_ahead() -> Result {
    let mut recorder = Recorder::with_capacity(4096, || server(&Counters::default()))?;
    let flood = ADD_3_APPLES.repeat(1000);
    while recorder.receive(&flood)? == flood.len() {
        let waiting = recorder.with(|_, transport| transport.write_buffer_size())?;
        assert!(waiting <= 64 * 1024 + 12, "{waiting}");
    }
    Ok(())
}

#[test]
fn names_cannot_fill_the_memory() -> Result {
    let counters = Counters::default();
    let mut recorder = Recorder::new(|| server(&counters))?;
    for number in 0..1100 {
        let name = format!("{number:04}");
        recorder.receive(&[b"\xc7A\0\x08\0\0\0\x01", name.as_bytes()].concat())?;
        recorder.sent()?;
    }
    assert_eq!(counters.borrow().len(), 1000);
    Ok(())
}
