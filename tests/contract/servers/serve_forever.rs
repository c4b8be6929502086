//! Serving until the server is closed.

use std::time::Duration;

use crate::serving::{Echo, run_in_memory, until};

// 200.
#[test]
fn serve_forever_ends_when_the_server_closes_though_clients_stay() {
    run_in_memory(async |event_loop| {
        let server = event_loop.create_server(|| Echo, "10.0.0.1:7").start_serving(false).await?;
        let served = server.serve_forever();
        assert!(server.is_serving(), "it accepts from then on");
        event_loop.create_connection(|| Echo, "10.0.0.1:7").await?;
        until(&event_loop, "a connection", || server.connections() == 1).await;
        let closing = server.clone();
        event_loop.call_later(Duration::from_secs(5), move || closing.close());
        let began = event_loop.time();
        served.await?;
        assert_eq!(event_loop.time() - began, Duration::from_secs(5));
        assert_eq!(server.connections(), 1);
        Ok(())
    });
}

// 200.
#[test]
fn cancelling_or_dropping_serve_forever_closes_the_server() {
    run_in_memory(async |event_loop| {
        let server = event_loop.create_server(|| Echo, "10.0.0.1:7").await?;
        event_loop.create_connection(|| Echo, "10.0.0.1:7").await?;
        until(&event_loop, "a connection", || server.connections() == 1).await;
        let served = server.serve_forever();
        assert!(served.cancel());
        assert!(server.is_closed());
        assert_eq!(server.connections(), 1, "it waits for nobody");
        assert!(served.await.unwrap_err().is_cancelled());

        let server = event_loop.create_server(|| Echo, "10.0.0.1:8").await?;
        drop(server.serve_forever());
        assert!(server.is_closed());
        Ok(())
    });
}

// 200.
#[test]
fn a_server_is_served_for_ever_by_one_only_and_not_once_it_is_closed() {
    run_in_memory(async |event_loop| {
        let server = event_loop.create_server(|| Echo, "10.0.0.1:7").await?;
        let first = server.serve_forever();
        assert!(server.serve_forever().await.unwrap_err().is_invalid());
        assert!(server.is_serving(), "the first goes on");
        server.close();
        first.await?;
        assert!(server.serve_forever().await.unwrap_err().is_closed());
        Ok(())
    });
}
