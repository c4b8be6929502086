//! What peers may cost that are slow, many, silent, or talk nonsense.

use std::time::Duration;

use serde_json::json;
use wharf::{EventLoop, Result, TransportHandle};

use super::{ADDRESS, Peer, run, serve};
use crate::access::WRONG_TOKEN;
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
            assert_eq!(server.shared.state.borrow().strangers.len(), 1);
            let told = slow.hear().await?;
            assert_eq!(told, json!({"refused": "who is there? No hello came in 10 s"}));
            assert!(slow.reader.read_chunk().await?.is_empty());
            drop(slow);
            event_loop.sleep(Duration::from_secs(1)).await;
            assert_eq!(server.shared.state.borrow().strangers.len(), 0);
        }
        // A client that is known has all the time that it wants.
        let mut client = Peer::client(&event_loop).await?;
        event_loop.sleep(10 * HELLO_WITHIN).await;
        assert_eq!(client.ask(json!({"status": "x"})).await?, json!({"task": null}));
        Ok(())
    });
}

/// Whoever opens thousands of connections and says nothing keeps nobody out who does.
#[test]
fn so_many_may_connect_without_a_hello_and_of_more_the_oldest_goes() {
    run(async |event_loop| {
        let server = serve(&event_loop).await?;
        let mut oldest = stranger(&event_loop).await?;
        let mut strangers = Vec::new();
        for _ in 0..MOST_STRANGERS {
            strangers.push(stranger(&event_loop).await?);
        }
        assert_eq!(oldest.hear().await?, json!({"refused": "too many have not said who they are"}));
        assert!(oldest.reader.read_chunk().await?.is_empty());
        let hello = json!({"hello": {"version": 1, "token": "secret", "role": "client"}});
        strangers[0].say(hello).await?;
        assert!(strangers[0].hear().await?.get("welcome").is_some());
        Peer::client(&event_loop).await?;
        assert!(server.shared.state.borrow().strangers.len() <= MOST_STRANGERS);
        drop(strangers);
        event_loop.sleep(Duration::from_secs(1)).await;
        assert_eq!(server.shared.state.borrow().strangers.len(), 0);
        Ok(())
    });
}

#[test]
fn a_wrong_token_is_answered_after_a_while_and_costs_a_place_meanwhile() {
    run(async |event_loop| {
        let server = serve(&event_loop).await?;
        let guess =
            |token: &str| json!({"hello": {"version": 1, "token": token, "role": "client"}});
        let began = event_loop.time();
        let mut guesser = stranger(&event_loop).await?;
        for token in ["a", "b", "secret"] {
            guesser.say(guess(token)).await?;
        }
        event_loop.sleep(WRONG_TOKEN / 2).await;
        assert_eq!(server.shared.state.borrow().strangers.len(), 1);
        // Nothing that it says after its first guess is looked at.
        assert_eq!(guesser.hear().await?, json!({"refused": "the token is wrong"}));
        assert!(event_loop.time() - began >= WRONG_TOKEN);
        assert!(guesser.reader.read_chunk().await.is_ok_and(|rest| rest.is_empty()));
        Ok(())
    });
}

#[test]
fn what_a_worker_says_of_itself_has_limits_and_an_overview_fits_into_a_message() {
    run(async |event_loop| {
        let _server = serve(&event_loop).await?;
        let kinds = |count: usize| (0..count).map(|kind| format!("k{kind}")).collect::<Vec<_>>();
        let hello = |name: &str, kinds: Vec<String>, capacity: u64| {
            json!({"hello": {"version": 1, "token": "secret", "role": {"worker": {
                "name": name, "kinds": kinds, "capacity": capacity, "fences": []}}}})
        };
        for (said, why) in [
            (hello(&"x".repeat(257), kinds(1), 1), "a worker's name has 256 bytes at most"),
            (hello("a\nb", kinds(1), 1), "no control characters"),
            (hello("w", kinds(1_001), 1), "a worker runs 1000 kinds at most"),
        ] {
            let mut worker = stranger(&event_loop).await?;
            worker.say(said).await?;
            let told = worker.hear().await?;
            assert!(told["refused"].as_str().unwrap().contains(why), "{told}");
        }
        // What all of them run would not fit into a message.
        let long = || (0..1_000).map(|kind| format!("{kind:k>64}")).collect::<Vec<_>>();
        let mut workers = Vec::new();
        for _ in 0..70 {
            let worker = stranger(&event_loop).await?;
            worker.say(hello(&"é".repeat(128), long(), 1)).await?;
            workers.push(worker);
        }
        event_loop.sleep(Duration::from_secs(1)).await;
        let mut client = Peer::client(&event_loop).await?;
        let overview = client.ask(json!("overview")).await?["overview"].take();
        let told = overview["workers"].as_array().unwrap();
        let kinds = told.iter().map(|worker| worker["kinds"].as_array().unwrap().len());
        assert_eq!((told.len(), kinds.sum::<usize>()), (70, 4_096));
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
        // As if it waited as often as it may, for the same task or for others.
        let wait_more = |more: usize| {
            let mut state = server.shared.state.borrow_mut();
            state.waits.values_mut().for_each(|waits| waits.requests += more);
        };
        wait_more(MOST_WAITS - 1_000);
        for id in ["x", "y"] {
            let told = client.ask(json!({"wait": id})).await?;
            assert_eq!(told, json!({"failed": "a connection waits for 100000 tasks at most"}));
        }
        // What it does not wait for any more does not count.
        let cancel = json!({"request": {"number": 1, "ask": {"cancel": "x"}}});
        client.say(cancel).await?;
        for _ in 0..1_001 {
            client.hear().await?;
        }
        client.say(json!({"request": {"number": 7, "ask": {"wait": "y"}}})).await?;
        event_loop.sleep(Duration::from_secs(1)).await;
        assert_eq!(server.shared.state.borrow().waiting.len(), 1);
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
