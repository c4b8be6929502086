//! A real address that does not answer.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use wharf::TimeoutKind;

use crate::loops::system_loop;
use crate::serving::{Echo, Seen, address, run, run_on, until};

use super::peer;

/// An address where connects hear nothing: a listener whose backlog is full.
fn silent_listener() -> std::io::Result<(SocketAddr, TcpListener, Vec<TcpStream>)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    rustix::net::listen(&listener, 0)?;
    let address = listener.local_addr()?;
    let mut waiting = Vec::new();
    while let Ok(client) = TcpStream::connect_timeout(&address, Duration::from_millis(100)) {
        waiting.push(client);
    }
    Ok((address, listener, waiting))
}

// 220, 224.
#[test]
fn on_a_real_network_too_a_silent_address_is_overtaken_and_its_socket_closed() {
    run(async |event_loop| {
        let (silent, _listener, _waiting) = silent_listener()?;
        let server = event_loop.create_server(|| Echo, "127.0.0.1:0").await?;
        let began = std::time::Instant::now();
        let client = event_loop.create_connection(|| Echo, [silent, address(&server)]).await?;
        assert!(began.elapsed() >= Duration::from_millis(250));
        assert_eq!(peer(&client), Some(address(&server)));
        until(&event_loop, "a connection", || server.connections() == 1).await;
        assert_eq!(event_loop.statistics().sources, 3, "a server, and a connection of two ends");

        let error = event_loop
            .create_connection(|| Echo, silent)
            .timeout(Some(Duration::from_millis(50)))
            .await
            .unwrap_err();
        assert_eq!(error.timeout_kind(), Some(TimeoutKind::Connect));
        assert_eq!(event_loop.statistics().sources, 3);
        Ok(())
    });
}

// 222.
#[test]
fn dropping_a_connect_closes_every_socket_of_it() {
    run(async |event_loop| {
        let (first, _listener, _waiting) = silent_listener()?;
        let (second, _other, _others) = silent_listener()?;
        for cancels in [false, true] {
            let connecting = event_loop
                .create_connection(|| Echo, [first, second])
                .happy_eyeballs_delay(Some(Duration::from_millis(10)))
                .start();
            until(&event_loop, "both attempts", || event_loop.statistics().sources == 2).await;
            assert!(!connecting.is_done());
            match cancels {
                true => assert!(connecting.cancel()),
                false => drop(connecting),
            }
            // The next round, and the one in which this goes on.
            event_loop.sleep(Duration::ZERO).await;
            event_loop.sleep(Duration::ZERO).await;
            let statistics = event_loop.statistics();
            assert_eq!(
                (statistics.sources, statistics.timers),
                (0, 1),
                "and this test's own deadline"
            );
        }
        Ok(())
    });
}

// Beyond asyncio.
#[test]
fn closing_the_loop_ends_connects_that_are_under_way() {
    let (silent, _listener, _waiting) = silent_listener().unwrap();
    let event_loop = system_loop();
    let seen = Seen::new();
    let connecting = run_on(&event_loop, async |event_loop| {
        let connecting = event_loop.create_connection(seen.watcher(), silent).start();
        until(&event_loop, "an attempt", || event_loop.statistics().sources == 1).await;
        Ok(connecting)
    });
    event_loop.close().unwrap();
    assert!(connecting.is_cancelled());
    assert_eq!(event_loop.statistics().sources, 0);
    assert_eq!(seen.made.get(), 0);
}
