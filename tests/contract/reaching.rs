//! Connections, endpoints and processes are used as they are, without their handles.

use std::cell::RefCell;
use std::error::Error as _;
use std::net::{TcpListener, TcpStream};
use std::rc::Rc;
use std::time::Duration;

use wharf::{
    Address, DatagramProtocol, DatagramTransport, Error, ProcessProtocol, ProcessTransport, Result,
    Transport, with_info,
};

use crate::serving::{Echo, Seen, run, run_in_memory, until};

struct Silent;

impl DatagramProtocol for Silent {
    fn datagram_received(&mut self, _: &dyn DatagramTransport, _: &[u8], _: &Address) -> Result {
        Ok(())
    }
}

impl ProcessProtocol for Silent {}

#[test]
fn a_connection_is_used_like_its_handle() {
    run_in_memory(async |event_loop| {
        let server = event_loop.create_server(|| Echo, "10.0.0.1:7").await?;
        let seen = Seen::new();
        let to = server.local_address()?;
        let connection = event_loop.create_connection(seen.watcher(), to).await?;
        assert_eq!(connection.id(), connection.handle().id());
        assert!(connection.write(b"hello").is_taken());
        let transport: &dyn Transport = &connection;
        assert!(transport.write(b" again").is_taken());
        until(&event_loop, "the answers", || *seen.received.borrow() == b"hello again").await;
        connection.close();
        assert!(connection.is_closing() && connection.handle().is_closing());
        assert!(!connection.write(b"too late").is_taken());
        until(&event_loop, "the end", || seen.lost() == 1).await;
        Ok(())
    });
}

#[test]
fn an_endpoint_is_used_like_its_handle() {
    run_in_memory(async |event_loop| {
        let endpoint = || event_loop.create_datagram_endpoint(|| Silent);
        let receiver = endpoint().local_address("10.0.0.1:7").await?;
        let to = receiver.local_address()?;
        let sender = endpoint().local_address("10.0.0.2:7").peer_address(to).await?;
        assert!(sender.send(b"hello")?.is_taken());
        until(&event_loop, "the datagram", || receiver.statistics().received == 1).await;
        receiver.close();
        let is_closed = || receiver.local_address().is_err_and(|error| error.is_closed());
        until(&event_loop, "the end", is_closed).await;
        Ok(())
    });
}

#[test]
fn a_process_is_used_like_its_handle() {
    run(async |event_loop| {
        let process = event_loop.subprocess_exec(|| Silent, "cat").await?;
        assert_eq!(process.pid(), process.handle().pid());
        assert!(process.write(b"hello").is_taken());
        process.write_eof();
        assert!(process.wait().await?.success());
        assert!(process.exit_status().is_some());
        Ok(())
    });
}

#[test]
fn try_with_gives_one_result() {
    run_in_memory(async |event_loop| {
        let _server = event_loop.create_server(|| Echo, "10.0.0.1:7").await?;
        let connection = event_loop.create_connection(|| Echo, "10.0.0.1:7").await?;
        assert_eq!(connection.try_with(|_, transport| Ok(transport.write_buffer_size()))?, 0);
        let refused = connection.try_with(|_, _| Err::<(), _>("not now".into())).unwrap_err();
        assert!(refused.is_application() && refused.to_string().contains("not now"), "{refused}");
        assert!(!connection.is_closing(), "the error is the caller's");
        connection.abort();
        let is_closed = || connection.try_with(|_, _| Ok(())).is_err_and(|error| error.is_closed());
        until(&event_loop, "the end", is_closed).await;
        Ok(())
    });
}

#[test]
fn a_factory_is_told_who_connects_to_a_listener_from_elsewhere() {
    run(async |event_loop| {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let to = listener.local_addr()?;
        let peers = Rc::new(RefCell::new(Vec::new()));
        let list = Rc::clone(&peers);
        let factory = with_info(move |info| {
            list.borrow_mut().extend(info.peer_address().cloned());
            Ok(Echo)
        });
        let server = event_loop.create_server_on(factory, [listener]).await?;
        let client = TcpStream::connect(to)?;
        until(&event_loop, "the connection", || server.connections() == 1).await;
        assert_eq!(*peers.borrow(), [client.local_addr()?]);
        Ok(())
    });
}

/// Its first callback fails.
struct Fails;

impl DatagramProtocol for Fails {
    fn connection_made(&mut self, _: &dyn DatagramTransport) -> Result {
        Err("no luck".into())
    }

    fn datagram_received(&mut self, _: &dyn DatagramTransport, _: &[u8], _: &Address) -> Result {
        Ok(())
    }
}

impl ProcessProtocol for Fails {
    fn connection_made(&mut self, _: &dyn ProcessTransport) -> Result {
        Err("no luck".into())
    }
}

#[test]
fn what_ended_an_endpoint_or_a_process_is_the_cause_of_what_is_refused_afterwards() {
    let reason = |error: Error| {
        assert!(error.is_closed());
        format!("{error:#}")
    };
    run_in_memory(async |event_loop| {
        event_loop.set_exception_handler(|_, _| {});
        let failed =
            event_loop.create_datagram_endpoint(|| Fails).local_address("10.0.0.1:7").await?;
        let handle = failed.handle().clone();
        let expected = "the endpoint was lost: no luck";
        // Before `connection_lost`, and when nothing is left but handles.
        for _ in 0..2 {
            assert_eq!(reason(failed.with(|_, _| ()).unwrap_err()), expected);
            assert_eq!(reason(handle.set_broadcast(true).unwrap_err()), expected);
            event_loop.sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(reason(handle.local_address().unwrap_err()), expected);
        let closed =
            event_loop.create_datagram_endpoint(|| Silent).local_address("10.0.0.1:7").await?;
        closed.close();
        event_loop.sleep(Duration::from_millis(1)).await;
        let error = closed.with(|_, _| ()).unwrap_err();
        assert!(error.is_closed() && error.source().is_none());
        Ok(())
    });
    run(async |event_loop| {
        event_loop.set_exception_handler(|_, _| {});
        let failed = event_loop.subprocess_exec(|| Fails, "true").await?;
        let is_closed = || failed.with(|_, _| ()).is_err_and(|error| error.is_closed());
        until(&event_loop, "the end", is_closed).await;
        let error = failed.with(|_, _| ()).unwrap_err();
        assert_eq!(reason(error), "the process was lost: no luck");
        let ended = event_loop.subprocess_exec(|| Silent, "true").await?;
        let is_closed = || ended.with(|_, _| ()).is_err_and(|error| error.is_closed());
        until(&event_loop, "the end", is_closed).await;
        assert!(ended.with(|_, _| ()).unwrap_err().source().is_none());
        Ok(())
    });
}
