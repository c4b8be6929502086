//! Callbacks that hold up the loop, and what is said of them.

use std::cell::RefCell;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::Duration;

use wharf::testing::{self, settle};
use wharf::{
    Address, DatagramProtocol, DatagramTransport, EventLoop, ProcessProtocol, ProcessTransport,
    Protocol, Transport,
};

use crate::probes::{Log, Noting, step_until, work_for};

/// Keeps the loop busy in each of its callbacks.
struct Slow;

impl Protocol for Slow {
    fn data_received(&mut self, _: &dyn Transport, _: &[u8]) -> wharf::Result {
        work_for(TOO_LONG);
        Ok(())
    }
}

const LIMIT: Duration = Duration::from_millis(2);
const TOO_LONG: Duration = Duration::from_millis(3);

// 30.
#[test]
fn slow_callbacks_of_every_kind_are_reported() {
    let event_loop = EventLoop::new().unwrap();
    event_loop.set_slow_callback_duration(Some(LIMIT));
    let found: Rc<RefCell<Vec<String>>> = Rc::default();
    event_loop.set_exception_handler({
        let found = Rc::clone(&found);
        move |_, exception| {
            assert!(exception.error.is_none());
            found.borrow_mut().push(exception.message.to_owned());
        }
    });
    let expect_slow = |what: &str| {
        step_until(&event_loop, || {
            found.borrow().iter().any(|message| {
                message.contains(what) && message.ends_with("and held up the event loop")
            })
        });
        found.borrow_mut().clear();
    };

    event_loop.call_soon(|| work_for(TOO_LONG));
    expect_slow("slow_callbacks_of_every_kind_are_reported");
    event_loop.call_later(Duration::ZERO, || work_for(TOO_LONG));
    expect_slow("slow_callbacks_of_every_kind_are_reported");
    event_loop.create_task(async { work_for(TOO_LONG) }).detach();
    expect_slow("a task's step");

    let (promise, future) = event_loop.create_future();
    future.add_done_callback(|_| work_for(TOO_LONG));
    promise.set_result(()).unwrap();
    expect_slow("a done callback");

    let (watched, _peer) = UnixStream::pair().unwrap();
    let watched = Rc::new(watched);
    event_loop.add_writer(Rc::clone(&watched), || work_for(TOO_LONG)).unwrap();
    expect_slow("a descriptor's callback");
    event_loop.remove_writer(&watched);

    let log = Log::default();
    let (_, second) = testing::pair(&event_loop, 64, Slow, Noting::new("peer", &log)).unwrap();
    second.handle().write(b"hello");
    expect_slow("data_received");

    assert!(event_loop.statistics().slow_callbacks >= 6);
    event_loop.run_until_complete(async { work_for(TOO_LONG) }).unwrap();
    expect_slow("the future that is run");
}

// 30.
#[test]
fn slow_callbacks_are_not_measured_unless_asked_for() {
    let event_loop = EventLoop::new().unwrap();
    event_loop.call_soon(|| work_for(TOO_LONG));
    settle(&event_loop).unwrap();
    event_loop.set_slow_callback_duration(Some(Duration::from_secs(60)));
    event_loop.call_soon(|| work_for(TOO_LONG));
    settle(&event_loop).unwrap();
    event_loop.set_slow_callback_duration(Some(LIMIT));
    event_loop.set_slow_callback_duration(None);
    event_loop.call_soon(|| work_for(TOO_LONG));
    settle(&event_loop).unwrap();
    let statistics = event_loop.statistics();
    assert_eq!((statistics.slow_callbacks, statistics.exceptions), (0, 0));
}

impl DatagramProtocol for Slow {
    fn datagram_received(
        &mut self,
        _: &dyn DatagramTransport,
        _: &[u8],
        _: &Address,
    ) -> wharf::Result {
        work_for(TOO_LONG);
        Ok(())
    }
}

impl ProcessProtocol for Slow {
    fn connection_made(&mut self, _: &dyn ProcessTransport) -> wharf::Result {
        work_for(TOO_LONG);
        Ok(())
    }
}

// 30.
#[test]
fn reports_of_slow_callbacks_name_the_protocol_the_peer_and_the_callback() {
    let event_loop = EventLoop::new().unwrap();
    event_loop.set_slow_callback_duration(Some(LIMIT));
    let found: Rc<RefCell<Vec<(String, String)>>> = Rc::default();
    event_loop.set_exception_handler({
        let found = Rc::clone(&found);
        move |_, exception| {
            // On a busy machine anything can be slow.
            let Some(callback) = exception.callback else { return };
            let peer = callback.peer.map_or_else(String::new, ToString::to_string);
            let about = format!("{} {} {peer}", callback.protocol, callback.name);
            found.borrow_mut().push((exception.to_string(), about));
        }
    });
    let expect = |who: &str, callback: &str, peer: &str| {
        let slow = std::any::type_name::<Slow>();
        let begin = format!("{slow} ({who}) took ");
        let end = format!(" in {callback}, and held up the event loop");
        let about = format!("{slow} {callback} {peer}");
        step_until(&event_loop, || {
            found.borrow().iter().any(|(told, callback)| {
                told.starts_with(&begin) && told.ends_with(&end) && *callback == about
            })
        });
    };

    let (stream_address, endpoint, process) = event_loop
        .run_until_complete(async {
            let server = event_loop.create_server(|| Slow, "127.0.0.1:0").await.unwrap();
            let endpoint = event_loop.create_datagram_endpoint(|| Slow);
            let endpoint = endpoint.local_address("127.0.0.1:0").await.unwrap();
            let process = event_loop.subprocess_exec(|| Slow, "true").await.unwrap();
            (server.local_address().unwrap(), endpoint, process)
        })
        .unwrap();
    let pid = wharf::ProcessTransport::pid(&process);
    expect(&format!("process {pid}"), "connection_made", "");

    let mut client = std::net::TcpStream::connect(&stream_address).unwrap();
    let peer = client.local_addr().unwrap().to_string();
    std::io::Write::write_all(&mut client, b"go").unwrap();
    expect(&peer, "data_received", &peer);

    let local = endpoint.info().local_address().cloned().unwrap();
    let sender = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    sender.send_to(b"go", &local).unwrap();
    expect(&format!("at {local}"), "datagram_received", "");
}
