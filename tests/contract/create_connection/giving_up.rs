//! Connects that end early: timed out, cancelled, dropped, or with their loop.

use std::io::ErrorKind;
use std::time::Duration;

use wharf::TimeoutKind;

use crate::serving::{Echo, Seen, address, run, until};

use super::{socket_address, with_black_holes};

// 219.
#[test]
fn a_connect_that_hears_nothing_says_so_when_its_time_is_up() {
    let event_loop = with_black_holes(&["10.0.0.1:7", "10.0.0.2:7"]);
    event_loop
        .run(async |event_loop| {
            let list = ["10.0.0.1:7", "10.0.0.2:7"];
            let began = event_loop.time();
            let error = event_loop.create_connection(|| Echo, list).await.unwrap_err();
            assert!(error.is_timeout());
            assert_eq!(error.timeout_kind(), Some(TimeoutKind::Connect));
            let tried = error.attempts().iter();
            let tried: Vec<_> = tried.map(|tried| (tried.address, tried.error.kind())).collect();
            let silent = list.map(|text| (text.parse().unwrap(), ErrorKind::TimedOut));
            assert_eq!(tried, silent);
            assert_eq!((event_loop.time() - began).as_millis(), 30_000);
            assert_eq!(event_loop.statistics().sources, 0);

            let began = event_loop.time();
            let error = event_loop
                .create_connection(|| Echo, ["10.0.0.3:7", "10.0.0.1:7"])
                .timeout(Some(Duration::from_secs(2)))
                .await
                .unwrap_err();
            assert!(error.is_timeout());
            assert_eq!(error.attempts().len(), 2);
            assert_eq!(error.attempts()[0].address, socket_address("10.0.0.3:7"));
            assert_eq!((event_loop.time() - began).as_millis(), 2_000);
            Ok(())
        })
        .unwrap();
}

// 219.
#[test]
fn without_a_timeout_a_connect_waits_until_it_is_cancelled() {
    let event_loop = with_black_holes(&["10.0.0.1:7"]);
    event_loop
        .run(async |event_loop| {
            let connecting = event_loop.create_connection(|| Echo, "10.0.0.1:7").timeout(None);
            let connecting = connecting.start();
            event_loop.sleep(Duration::from_secs(86_400)).await;
            assert!(!connecting.is_done());
            assert!(connecting.cancel());
            assert!(connecting.await.unwrap_err().is_cancelled());
            event_loop.sleep(Duration::ZERO).await;
            assert_eq!(event_loop.statistics().sources, 0);
            Ok(())
        })
        .unwrap();
}

// 222.
#[test]
fn a_connect_that_is_dropped_while_its_name_is_looked_up_connects_to_nobody() {
    run(async |event_loop| {
        let seen = Seen::new();
        let server = event_loop.create_server(seen.watcher(), "127.0.0.1:0").await?;
        let to = ("localhost", address(&server).port());
        drop(event_loop.create_connection(|| Echo, to).start());
        // The pool's threads take their work in turn: this name is looked up after that one.
        event_loop.create_connection(|| Echo, to).await?;
        until(&event_loop, "a connection", || seen.made.get() == 1).await;
        event_loop.sleep(Duration::from_millis(20)).await;
        assert_eq!(seen.made.get(), 1);
        Ok(())
    });
}
