//! What peers may cost that are slow, many, silent, or talk nonsense.

use std::time::Duration;

use serde_json::json;
use wharf::{EventLoop, Result, TransportHandle};

use super::{ADDRESS, Peer, run, serve};
use crate::serve::limits::{HELLO_WITHIN, MOST_STRANGERS, MOST_WAITS};

async fn stranger(event_loop: &EventLoop) -> Result<Peer> {
    let (reader, writer) = event_loop.open_connection(ADDRESS).await?;
    Ok(Peer { reader, writer })
}

#[test]
fn who_says_no_hello_in_time_is_sent_away() {
    run(async |event_loop| {
        let server = serve(&event_loop).await?;
        for begin in [&b""[..], b"\0\0", b"\0\0\0\x09\"hel"] {
            let mut slow = stranger(&event_loop).await?;
            slow.writer.write_all(begin).await?;
            event_loop.sleep(HELLO_WITHIN - Duration::from_secs(1)).await;
            assert_eq!(server.shared.state.borrow().strangers, 1);
            let told = slow.hear().await?;
            assert_eq!(told, json!({"refused": "who is there? No hello came in 10 s"}));
            assert!(slow.reader.read_chunk().await?.is_empty());
            drop(slow);
            event_loop.sleep(Duration::from_secs(1)).await;
            assert_eq!(server.shared.state.borrow().strangers, 0);
        }
        // A client that is known has all the time that it wants.
        let mut client = Peer::client(&event_loop).await?;
        event_loop.sleep(10 * HELLO_WITHIN).await;
        assert_eq!(client.ask(json!({"status": "x"})).await?, json!({"task": null}));
        Ok(())
    });
}

#[test]
fn so_many_may_connect_without_a_hello_and_one_more_may_not() {
    run(async |event_loop| {
        let _server = serve(&event_loop).await?;
        let mut first = stranger(&event_loop).await?;
        let mut strangers = Vec::new();
        for _ in 1..MOST_STRANGERS {
            strangers.push(stranger(&event_loop).await?);
        }
        let mut late = stranger(&event_loop).await?;
        assert_eq!(late.hear().await?, json!({"refused": "too many have not said who they are"}));
        let hello = json!({"hello": {"version": 1, "token": "secret", "role": "client"}});
        first.say(hello).await?;
        assert!(first.hear().await?.get("welcome").is_some());
        drop(strangers);
        event_loop.sleep(Duration::from_secs(1)).await;
        Peer::client(&event_loop).await?;
        Ok(())
    });
}

#[test]
fn a_huge_length_and_deep_json_get_one_answer() {
    let deep = "[".repeat(100_000);
    let of = |text: &str| [&(text.len() as u32).to_be_bytes()[..], text.as_bytes()].concat();
    let cases = [
        (
            b"\xff\xff\xff\xff".to_vec(),
            "a frame of 4294967295 bytes, where at most 262144 are allowed",
        ),
        (b"GET / HTTP/1.1\r\n\r\n".to_vec(), "where at most 262144 are allowed"),
        (of(&deep), "expected value"),
        (of(&format!("{{\"hello\":{deep}")), "invalid type"),
        (of(""), "EOF while parsing"),
        (of("\u{0}"), "expected value"),
    ];
    run(async move |event_loop| {
        let _server = serve(&event_loop).await?;
        for (said, why) in cases {
            let mut peer = stranger(&event_loop).await?;
            // It may be closed before all of it was read.
            let _ = peer.writer.write_all(&[said, of("\"alive\"")].concat()).await;
            let told = peer.hear().await?;
            assert!(told["refused"].as_str().unwrap().contains(why), "{told}");
            assert!(peer.reader.read_chunk().await.is_ok_and(|rest| rest.is_empty()), "{why}");
        }
        // Arguments may be deep: they are for the worker.
        let mut client = Peer::client(&event_loop).await?;
        let args = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
        let submit = format!(
            "{{\"request\":{{\"number\":1,\"ask\":{{\"submit\":[{{\"id\":\"x\",\"kind\":\"a\",\"args\":{args}}}]}}}}}}"
        );
        client.writer.write_all(&of(&submit)).await?;
        let told = client.hear().await?;
        assert_eq!(told["answer"]["answer"], json!({"submitted": [{"Ok": "x"}]}), "{told}");
        Ok(())
    });
}

#[test]
fn a_client_that_does_not_read_is_not_read() {
    run(async |event_loop| {
        let server = serve(&event_loop).await?;
        let mut client = Peer::client(&event_loop).await?;
        let args = "x".repeat(100_000);
        client.ask(json!({"submit": [{"kind": "b", "id": "x", "args": args}]})).await?;
        // As many answers would have 2 GB.
        let asks = async {
            for _ in 0..20_000 {
                client.say(json!({"request": {"number": 1, "ask": {"status": "x"}}})).await?;
            }
            Ok::<_, wharf::Failure>(())
        };
        assert!(wharf::timeout(Duration::from_secs(30), asks).await.is_err(), "it is held up");
        let waiting = |transport: &TransportHandle| wharf::Transport::write_buffer_size(transport);
        let waiting: usize = server.shared.state.borrow().peers.values().map(waiting).sum();
        assert!(waiting < 1_000_000, "{waiting} bytes wait");
        Ok(())
    });
}

#[test]
fn a_client_that_submits_faster_than_the_disk_writes_is_not_read_until_it_has_written() {
    run(async |event_loop| {
        let server = serve(&event_loop).await?;
        let client = Peer::client(&event_loop).await?;
        // A disk that does not answer.
        server.shared.state.borrow_mut().commits.pretend_to_write(true);
        let args = "x".repeat(1_000_000);
        let submits = async {
            for task in 0..60 {
                let spec = json!({"kind": "b", "id": format!("t{task}"), "args": args});
                client.say(json!({"request": {"number": task, "ask": {"submit": [spec]}}})).await?;
            }
            Ok::<_, wharf::Failure>(())
        };
        let mut submits = std::pin::pin!(submits);
        assert!(wharf::timeout(Duration::from_secs(30), submits.as_mut()).await.is_err());
        assert!((16..20).contains(&server.counts().0), "{:?}", server.counts());
        server.shared.state.borrow_mut().commits.pretend_to_write(false);
        server.shared.commit();
        submits.await?;
        event_loop.sleep(Duration::from_secs(1)).await;
        assert_eq!(server.counts().0, 60);
        Ok(())
    });
}

#[test]
fn waits_of_a_client_that_is_gone_cost_nothing_and_one_has_so_many() {
    run(async |event_loop| {
        let server = serve(&event_loop).await?;
        let mut client = Peer::client(&event_loop).await?;
        client.ask(json!({"submit": [{"kind": "b", "id": "x"}, {"kind": "b", "id": "y"}]})).await?;
        for _ in 0..1_000 {
            client.say(json!({"request": {"number": 7, "ask": {"wait": "x"}}})).await?;
        }
        event_loop.sleep(Duration::from_secs(1)).await;
        assert_eq!(
            server.shared.state.borrow().waiting.values().map(Vec::len).sum::<usize>(),
            1_000
        );
        // As if it waited for as many as it may.
        let full = (0..MOST_WAITS as u64).map(|key| crate::store::Key(1_000 + key));
        server
            .shared
            .state
            .borrow_mut()
            .waits
            .values_mut()
            .for_each(|waits| waits.extend(full.clone()));
        let told = client.ask(json!({"wait": "y"})).await?;
        assert_eq!(told, json!({"failed": "a connection waits for 100000 tasks at most"}));
        drop(client);
        event_loop.sleep(Duration::from_secs(1)).await;
        let state = server.shared.state.borrow();
        assert!(state.waiting.is_empty() && state.waits.is_empty());
        Ok(())
    });
}

#[test]
fn a_worker_gets_no_more_than_it_can_be_sent() {
    run(async |event_loop| {
        let server = serve(&event_loop).await?;
        let mut client = Peer::client(&event_loop).await?;
        let args = "x".repeat(1_000_000);
        for task in 0..60 {
            client
                .ask(json!({"submit": [{"kind": "a", "id": format!("t{task}"), "args": args}]}))
                .await?;
        }
        // It takes all of them, and reads nothing.
        let hello = json!({"version": 1, "token": "secret", "role": {"worker": {
            "name": "w", "kinds": ["a"], "capacity": u64::MAX, "fences": []}}});
        let worker = stranger(&event_loop).await?;
        worker.say(json!({"hello": hello})).await?;
        event_loop.sleep(Duration::from_secs(5)).await;
        let (queued, running) = server.counts();
        assert_eq!(queued + running, 60);
        assert!((48..54).contains(&running), "{running} run");
        assert_eq!(client.ask(json!({"status": "t0"})).await?["task"]["losses"], 0);
        // It is as one that has gone silent.
        event_loop.sleep(Duration::from_secs(15)).await;
        assert_eq!(server.counts(), (60, 0));
        Ok(())
    });
}
