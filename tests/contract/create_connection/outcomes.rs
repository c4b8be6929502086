//! What a connect ends with: a connection that was made, or an error that says what was tried.

use std::cell::RefCell;
use std::io::{ErrorKind, Read};
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;

use wharf::{Protocol, Result, Transport};

use crate::loops::system_loop;
use crate::serving::{Echo, LIMIT, Seen, own_host, refusing_address, run, run_in_memory, until};
use crate::sockets::uninterrupted;

use super::socket_address;

// 216.
#[test]
fn a_factory_that_panics_fails_the_connect_and_closes_the_socket() {
    run(async |event_loop| {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let list = [listener.local_addr()?, socket_address("127.0.0.1:1")];
        let factory = || -> Echo { panic!("no protocol today") };
        let error = event_loop.create_connection(factory, list).await.unwrap_err();
        assert!(error.is_panic());
        assert_eq!(format!("{error:#}"), "no protocol today");
        let (mut accepted, _) = listener.accept()?;
        accepted.set_read_timeout(Some(LIMIT))?;
        assert_eq!(uninterrupted(|| accepted.read(&mut [0; 1]))?, 0);
        assert_eq!(event_loop.statistics().sources, 0);
        Ok(())
    });
}

// 217, 218.
#[test]
fn a_failed_connect_lists_every_address_with_its_error() {
    run(async |event_loop| {
        let (_bound, refusing) = refusing_address()?;
        let error = event_loop.create_connection(|| Echo, refusing).await.unwrap_err();
        assert!(error.is_connect());
        assert_eq!(error.attempts().len(), 1);
        assert_eq!(error.attempts()[0].address, refusing);
        assert_eq!(error.attempts()[0].error.kind(), ErrorKind::ConnectionRefused);
        assert_eq!(error.attempts()[0].error.raw_os_error(), Some(111));

        // The same list also when the errors differ, and when they are alike.
        let broadcast = socket_address("255.255.255.255:7");
        let also = SocketAddr::from((own_host(), refusing.port()));
        let list = [refusing, broadcast, also];
        let error = event_loop.create_connection(|| Echo, list).await.unwrap_err();
        let tried: Vec<SocketAddr> = error.attempts().iter().map(|tried| tried.address).collect();
        assert_eq!(tried, list);
        assert_ne!(error.attempts()[1].error.kind(), ErrorKind::ConnectionRefused);
        let text = format!("{error:#}");
        assert!(list.iter().all(|address| text.contains(&address.to_string())), "{text}");
        assert!(!text.contains('\n'));
        Ok(())
    });
}

// Beyond asyncio.
#[test]
fn a_connect_is_done_after_connection_made() {
    run_in_memory(async |event_loop| {
        let seen = Seen::new();
        let _server = event_loop.create_server(|| Echo, "10.0.0.1:7").await?;
        let connecting = event_loop.create_connection(seen.watcher(), "10.0.0.1:7").start();
        let made = Rc::new(RefCell::new(None));
        let (own, place) = (Rc::clone(&seen), Rc::clone(&made));
        connecting.add_done_callback(move |connected| {
            assert!(connected.is_ok());
            *place.borrow_mut() = Some(own.made.get());
        });
        let connection = connecting.await?;
        assert_eq!(*made.borrow(), Some(1));
        assert_eq!(connection.with(|watcher, _| watcher.0.made.get())?, 1);
        Ok(())
    });
}

// Beyond asyncio.
#[test]
fn a_protocol_that_fails_in_connection_made_is_a_connection_that_ended() {
    struct Failing(Rc<Seen>);

    impl Protocol for Failing {
        fn connection_made(&mut self, _: &dyn Transport) -> Result {
            Err(std::io::Error::from(ErrorKind::PermissionDenied).into())
        }

        fn data_received(&mut self, _: &dyn Transport, _: &[u8]) -> Result {
            Ok(())
        }

        fn connection_lost(&mut self, _: &dyn Transport, error: Option<&wharf::Error>) -> Result {
            self.0.lost.borrow_mut().push(error.map(ToString::to_string));
            Ok(())
        }
    }

    run_in_memory(async |event_loop| {
        let seen = Seen::new();
        let own = Rc::clone(&seen);
        let _server = event_loop.create_server(|| Echo, "10.0.0.1:7").await?;
        let connection = event_loop.create_connection(move || Failing(own), "10.0.0.1:7").await?;
        until(&event_loop, "the end", || seen.lost() == 1).await;
        assert_eq!(*seen.lost.borrow(), [Some("permission denied".to_owned())]);
        assert!(connection.with(|_, _| ()).unwrap_err().is_closed());
        Ok(())
    });
}

// Beyond asyncio.
#[test]
fn on_a_closed_loop_nothing_is_connected() {
    let event_loop = system_loop();
    event_loop.close().unwrap();
    let connecting = event_loop.create_connection(|| Echo, "127.0.0.1:7").start();
    assert!(connecting.take_result().expect("done").unwrap_err().is_closed());
}
