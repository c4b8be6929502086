//! Connecting from an address of the caller's choice.

use std::cell::RefCell;
use std::io::ErrorKind;
use std::net::TcpListener;
use std::rc::Rc;

use wharf::{Transport, with_info};

use crate::serving::{Echo, address, run, run_in_memory, until};

use super::{peer, socket_address};

// 225.
#[test]
fn the_local_address_is_that_of_the_remote_addresss_family() {
    run(async |event_loop| {
        let peers = Rc::new(RefCell::new(Vec::new()));
        let list = Rc::clone(&peers);
        let factory = move |info: &wharf::Info| {
            list.borrow_mut().extend(info.peer_address().and_then(wharf::Address::as_ip));
            Ok(Echo)
        };
        let server = event_loop.create_server(with_info(factory), "127.0.0.1:0").await?;
        let client = event_loop
            .create_connection(|| Echo, address(&server))
            .local_address(["[::1]:0", "127.0.0.3:0", "127.0.0.4:0"])
            .await?;
        until(&event_loop, "a connection", || !peers.borrow().is_empty()).await;
        let info = client.handle().info();
        let local = info.local_address().and_then(wharf::Address::as_ip).expect("an address");
        assert_eq!(local.ip().to_string(), "127.0.0.3");
        assert_eq!(*peers.borrow(), [local]);
        Ok(())
    });
}

// 225.
#[test]
fn remote_addresses_without_a_local_one_of_their_family_are_not_tried() {
    run_in_memory(async |event_loop| {
        let _server = event_loop.create_server(|| Echo, ["[fd00::1]:7", "10.0.0.1:7"]).await?;
        let client = event_loop
            .create_connection(|| Echo, ["[fd00::1]:7", "10.0.0.1:7"])
            .local_address("10.0.0.9:0")
            .await?;
        assert_eq!(peer(&client), Some(socket_address("10.0.0.1:7")));

        let error = event_loop
            .create_connection(|| Echo, "[fd00::1]:7")
            .local_address("10.0.0.9:0")
            .await
            .unwrap_err();
        assert!(error.is_invalid(), "{error}");
        assert!(format!("{error:#}").contains("family"), "{error}");
        Ok(())
    });
}

// 225.
#[test]
fn a_local_address_in_use_is_named() {
    run(async |event_loop| {
        let taken = TcpListener::bind("127.0.0.1:0")?;
        let local = taken.local_addr()?;
        let server = event_loop.create_server(|| Echo, "127.0.0.1:0").await?;
        let error = event_loop
            .create_connection(|| Echo, address(&server))
            .local_address(local)
            .await
            .unwrap_err();
        assert_eq!(error.attempts()[0].error.kind(), ErrorKind::AddrInUse);
        assert!(format!("{error:#}").contains(&local.to_string()), "{error}");
        Ok(())
    });
}
