//! The client of `examples/chat/`, with two Unix sockets for a terminal, on a loop in virtual time.

#[path = "../chat/client.rs"]
mod client;
#[path = "../chat/visit.rs"]
mod visit;

use std::time::Duration;

use wharf::testing::MemoryNetwork;
use wharf::{EventLoop, Result};

use self::client::{Desk, Keyboard, Screen, take_part};

struct Sockets;

impl Desk for Sockets {
    async fn connect_screen(&self, event_loop: &EventLoop, screen: Screen) -> Result {
        event_loop.create_unix_connection(|| screen, "/screen").await?;
        Ok(())
    }

    async fn connect_keyboard(&self, event_loop: &EventLoop, keyboard: Keyboard) -> Result {
        event_loop.create_unix_connection(|| keyboard, "/keyboard").await?;
        Ok(())
    }
}

/// As `chat --connect … | true`.
#[test]
fn a_client_whose_screen_goes_before_the_server_is_there_leaves() {
    MemoryNetwork::new()
        .event_loop()
        .run(async |event_loop| {
            let screens = event_loop.listen_unix("/screen").await?;
            let _keyboards = event_loop.listen_unix("/keyboard").await?;
            let server = event_loop.listen("192.0.2.1:7000").await?;
            let closed = event_loop.create_task(async move { drop(screens.accept().await) });
            let address = "192.0.2.1:7000".to_owned();
            let visit = take_part(&event_loop, address, None, &Sockets);
            wharf::timeout(Duration::from_secs(60), visit).await??;
            closed.await?;
            let (mut reader, _writer) = server.accept().await?;
            assert_eq!(reader.read_line().await?, None);
            Ok(())
        })
        .unwrap();
}

#[test]
fn a_client_that_reaches_no_server_lets_go_of_its_screen() {
    MemoryNetwork::new()
        .event_loop()
        .run(async |event_loop| {
            let screens = event_loop.listen_unix("/screen").await?;
            let address = "192.0.2.1:7000".to_owned();
            let outcome = take_part(&event_loop, address, None, &Sockets).await;
            assert!(outcome.is_err());
            let (mut screen, _writer) = screens.accept().await?;
            assert_eq!(screen.read_line().await?, None);
            Ok(())
        })
        .unwrap();
}
