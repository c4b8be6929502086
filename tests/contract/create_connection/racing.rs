//! Several addresses: their order, and the race between them.

use std::net::SocketAddr;
use std::time::Duration;

use wharf::TimeoutKind;

use crate::serving::{Echo, Seen, run, run_in_memory, until};

use super::{peer, socket_address, with_black_holes};

// 216.
#[test]
fn addresses_are_tried_in_order_until_one_answers() {
    run_in_memory(async |event_loop| {
        let _second = event_loop.create_server(|| Echo, "10.0.0.2:7").await?;
        let _third = event_loop.create_server(|| Echo, "10.0.0.3:7").await?;
        let list = ["10.0.0.1:7", "10.0.0.2:7", "10.0.0.3:7"];
        for delay in [None, Some(Duration::from_millis(250))] {
            let began = event_loop.time();
            let client =
                event_loop.create_connection(|| Echo, list).happy_eyeballs_delay(delay).await?;
            assert_eq!(peer(&client), Some(socket_address("10.0.0.2:7")));
            assert_eq!(event_loop.time(), began, "a refusal is not waited for");
        }
        Ok(())
    });
}

// 216.
#[test]
fn without_a_delay_the_next_address_waits_for_the_former_ones_failure() {
    let event_loop = with_black_holes(&["10.0.0.1:7"]);
    event_loop
        .run(async |event_loop| {
            let _server = event_loop.create_server(|| Echo, "10.0.0.2:7").await?;
            let began = event_loop.time();
            let error = event_loop
                .create_connection(|| Echo, ["10.0.0.1:7", "10.0.0.2:7"])
                .happy_eyeballs_delay(None)
                .await
                .unwrap_err();
            assert_eq!(error.timeout_kind(), Some(TimeoutKind::Connect));
            assert_eq!((event_loop.time() - began).as_secs(), 30);
            Ok(())
        })
        .unwrap();
}

// 220, 224.
#[test]
fn an_address_that_does_not_answer_costs_the_delay_and_no_more() {
    let event_loop = with_black_holes(&["10.0.0.1:7", "10.0.0.2:7"]);
    event_loop
        .run(async |event_loop| {
            let server = event_loop.create_server(|| Echo, "10.0.0.4:7").await?;
            // One silent, one silent, one that refuses: the last is started right after it.
            let list = ["10.0.0.1:7", "10.0.0.2:7", "10.0.0.3:7", "10.0.0.4:7"];
            for (delay, expected) in [(250, 500), (1_000, 2_000), (1, 20)] {
                let began = event_loop.time();
                let client = event_loop
                    .create_connection(|| Echo, list)
                    .happy_eyeballs_delay(Some(Duration::from_millis(delay)))
                    .await?;
                assert_eq!((event_loop.time() - began).as_millis(), expected);
                assert_eq!(peer(&client), Some(socket_address("10.0.0.4:7")));
            }
            let began = event_loop.time();
            event_loop.create_connection(|| Echo, ["10.0.0.1:7", "10.0.0.4:7"]).await?;
            assert_eq!((event_loop.time() - began).as_millis(), 250, "by default");
            // What is left: the server, and four connections of two ends each.
            until(&event_loop, "four connections", || server.connections() == 4).await;
            assert_eq!(event_loop.statistics().sources, 9);
            Ok(())
        })
        .unwrap();
}

// 221.
#[test]
fn a_race_leaves_one_connection() {
    run(async |event_loop| {
        let seen = Seen::new();
        let server = event_loop
            .create_server(seen.watcher(), ["127.0.0.1:0", "127.0.0.2:0", "127.0.0.3:0"])
            .await?;
        let list: Vec<SocketAddr> =
            server.addresses().iter().filter_map(wharf::Address::as_ip).collect();
        let client = event_loop
            .create_connection(|| Echo, list.clone())
            .happy_eyeballs_delay(Some(Duration::from_millis(10)))
            .await?;
        assert_eq!(peer(&client), Some(list[0]));
        event_loop.sleep(Duration::from_millis(50)).await;
        assert_eq!(server.connections(), 1);
        assert_eq!(seen.made.get(), 1);
        Ok(())
    });
}

// 223.
#[test]
fn families_take_turns_unless_told_otherwise() {
    let order = |count: Option<usize>| -> Vec<SocketAddr> {
        let list = ["[fd00::1]:7", "[fd00::2]:7", "[fd00::3]:7", "10.0.0.1:7", "10.0.0.2:7"];
        run_in_memory(async |event_loop| {
            let mut builder = event_loop.create_connection(|| Echo, list);
            if let Some(count) = count {
                builder = builder.interleave(count);
            }
            let error = builder.await.unwrap_err();
            Ok(error.attempts().iter().map(|attempt| attempt.address).collect())
        })
    };
    let addresses = |list: [&str; 5]| list.map(socket_address).to_vec();
    let in_turn =
        addresses(["[fd00::1]:7", "10.0.0.1:7", "[fd00::2]:7", "10.0.0.2:7", "[fd00::3]:7"]);
    assert_eq!(order(None), in_turn);
    assert_eq!(order(Some(1)), in_turn);
    assert_eq!(
        order(Some(2)),
        addresses(["[fd00::1]:7", "[fd00::2]:7", "10.0.0.1:7", "[fd00::3]:7", "10.0.0.2:7"])
    );
    assert_eq!(
        order(Some(0)),
        addresses(["[fd00::1]:7", "[fd00::2]:7", "[fd00::3]:7", "10.0.0.1:7", "10.0.0.2:7"])
    );
}
