//! What a server, its loop and its handles keep alive.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use wharf::{Result, Server, Transport, with_info};

use crate::serving::{Echo, Seen, collect_reports, run_in_memory, until};

/// Held by a closure; `is_held` tells whether the closure is still there.
#[derive(Clone, Default)]
struct Token(Rc<()>);

impl Token {
    fn is_held(&self) -> bool {
        Rc::strong_count(&self.0) > 1
    }
}

// 201, 202.
#[test]
fn a_server_nobody_holds_goes_on_and_a_closed_one_lets_go_of_its_closures() {
    run_in_memory(async |event_loop| {
        let token = Token::default();
        let held = token.clone();
        let factory = move || {
            let _ = &held;
            Echo
        };
        drop(event_loop.create_server(factory, "10.0.0.1:7").await?);
        let seen = Seen::new();
        let client = event_loop.create_connection(seen.watcher(), "10.0.0.1:7").await?;
        client.with(|_, transport| transport.write(b"hello"))?;
        until(&event_loop, "the echo", || *seen.received.borrow() == b"hello").await;
        assert!(token.is_held());

        let (making, handling) = (Token::default(), Token::default());
        let (made, handled) = (making.clone(), handling.clone());
        let factory = move || {
            let _ = &made;
            Echo
        };
        let server = event_loop
            .create_server(factory, "10.0.0.1:8")
            .on_accept_error(move |_| {
                let _ = &handled;
            })
            .await?;
        let client = event_loop.create_connection(|| Echo, "10.0.0.1:8").await?;
        until(&event_loop, "a connection", || server.connections() == 1).await;
        server.close();
        client.handle().close();
        until(&event_loop, "the end", || server.connections() == 0).await;
        assert!(!making.is_held() && !handling.is_held());
        Ok(())
    });
}

// 202.
#[test]
fn an_accept_error_handler_that_closes_its_server_is_let_go_of_too() {
    run_in_memory(async |event_loop| {
        let token = Token::default();
        let held = token.clone();
        let place = Rc::new(RefCell::new(None::<Server>));
        let slot = Rc::clone(&place);
        let refuse = |_: &wharf::Info| -> Result<Echo> { Err("full".into()) };
        let server = event_loop
            .create_server(with_info(refuse), "10.0.0.1:7")
            .on_accept_error(move |_| {
                let _ = &held;
                slot.borrow().as_ref().expect("a server").close();
            })
            .await?;
        *place.borrow_mut() = Some(server.clone());
        event_loop.create_connection(|| Echo, "10.0.0.1:7").await?;
        server.wait_closed().await?;
        event_loop.sleep(Duration::ZERO).await;
        assert!(!token.is_held());
        Ok(())
    });
}

// 202.
#[test]
fn a_factory_that_panics_when_it_is_dropped_is_reported() {
    struct Loud;

    impl Drop for Loud {
        fn drop(&mut self) {
            panic!("not without a word");
        }
    }

    run_in_memory(async |event_loop| {
        let reports = collect_reports(&event_loop);
        let loud = Loud;
        let factory = move || {
            let _ = &loud;
            Echo
        };
        let server = event_loop.create_server(factory, "10.0.0.1:7").await?;
        server.close();
        server.wait_closed().await?;
        assert_eq!(reports.borrow().len(), 1);
        assert!(reports.borrow()[0].contains("not without a word"));
        Ok(())
    });
}

// 203.
#[test]
fn the_loop_owns_connections_and_their_server_finds_them_all() {
    run_in_memory(async |event_loop| {
        let seen = Seen::new();
        let server = event_loop.create_server(|| Echo, "10.0.0.1:7").await?;
        let other = event_loop.create_server(|| Echo, "10.0.0.1:8").await?;
        for _ in 0..5 {
            event_loop.create_connection(seen.watcher(), "10.0.0.1:7").await?;
        }
        event_loop.create_connection(|| Echo, "10.0.0.1:8").await?;
        until(&event_loop, "connections", || server.connections() + other.connections() == 6).await;
        server.close_clients();
        until(&event_loop, "five ends", || seen.lost() == 5).await;
        assert_eq!((server.connections(), other.connections()), (0, 1));
        Ok(())
    });
}
