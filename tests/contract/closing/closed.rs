//! When a loop can be closed, and what a closed one is.

use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use wharf::testing::{self, step};
use wharf::{LoopFuture, ProcessProtocol};

use super::Idle;
use crate::datagram_probe::Probe;
use crate::loops::{memory_loop, system_loop};
use crate::probes::{Log, Noting, holding, run_forever};

// 24.
#[test]
fn a_running_loop_cannot_be_closed() {
    let event_loop = memory_loop();
    event_loop
        .run(async |event_loop| {
            assert!(event_loop.close().unwrap_err().is_invalid());
            event_loop.sleep(Duration::from_secs(1)).await;
            Ok(())
        })
        .unwrap();
    assert!(!event_loop.is_closed());
}

// 24.
#[test]
fn closing_twice_changes_nothing() {
    let event_loop = memory_loop();
    event_loop.close().unwrap();
    assert!(event_loop.is_closed());
    event_loop.close().unwrap();
    drop(event_loop.clone());
    drop(event_loop);
}

// 24.
#[test]
fn a_protocols_callback_cannot_close_the_loop() {
    let event_loop = memory_loop();
    let log = Log::default();
    let (first, second) = (Noting::new("first", &log), Noting::new("second", &log));
    let (first, _) = testing::pair(&event_loop, 64, first, second).unwrap();
    let refused = first.with(|_, _| event_loop.close().unwrap_err()).unwrap();
    assert!(refused.is_invalid());
    event_loop.close().unwrap();
    assert_eq!(log.entries(), ["first made", "second made", "first lost", "second lost"]);
}

// 25.
#[test]
fn a_closed_loop_drops_callbacks_and_says_that_they_are_cancelled() {
    let event_loop = system_loop();
    event_loop.close().unwrap();
    let log = Log::default();
    let soon = event_loop.call_soon(holding(log.adds_on_drop("soon")));
    let later = event_loop.call_later(Duration::from_secs(1), holding(log.adds_on_drop("later")));
    let at = event_loop.call_at(event_loop.time(), holding(log.adds_on_drop("at")));
    assert!(soon.is_cancelled() && later.is_cancelled() && at.is_cancelled());
    assert_eq!(log.entries(), ["soon", "later", "at"]);
    assert_eq!((event_loop.statistics().timers, event_loop.statistics().ready), (0, 0));
}

// 25.
#[test]
fn a_closed_loop_refuses_everything_with_is_closed() {
    let event_loop = system_loop();
    let (watched, _peer) = UnixStream::pair().unwrap();
    let watched = Rc::new(watched);
    event_loop.close().unwrap();
    let event_loop = &event_loop;

    assert!(event_loop.run_forever().unwrap_err().is_closed());
    assert!(event_loop.run_until_complete(async {}).unwrap_err().is_closed());
    assert!(step(event_loop).unwrap_err().is_closed());
    let error = event_loop.run(async |_| Ok(())).unwrap_err();
    assert!(error.downcast_ref::<wharf::Error>().unwrap().is_closed());

    assert!(event_loop.add_reader(Rc::clone(&watched), || {}).unwrap_err().is_closed());
    assert!(event_loop.add_writer(Rc::clone(&watched), || {}).unwrap_err().is_closed());
    assert!(!event_loop.remove_reader(&watched));
    assert!(!event_loop.remove_writer(&watched));
    assert!(event_loop.add_signal_handler(10, || {}).unwrap_err().is_closed());
    assert!(!event_loop.remove_signal_handler(10));
    assert_eq!(Rc::strong_count(&watched), 1);

    let task = event_loop.create_task(async {});
    assert!(task.take_result().unwrap().unwrap_err().is_closed());
    let job = event_loop.run_in_executor(|| ());
    assert!(job.take_result().unwrap().unwrap_err().is_closed());

    let log = Log::default();
    let server = event_loop.create_server(|| Idle, "127.0.0.1:0").start();
    assert!(server.take_result().unwrap().unwrap_err().is_closed());
    let connection = event_loop.create_connection(|| Idle, "127.0.0.1:9").start();
    assert!(connection.take_result().unwrap().unwrap_err().is_closed());
    let (first, second) = (Noting::new("first", &log), Noting::new("second", &log));
    assert!(testing::pair(event_loop, 64, first, second).unwrap_err().is_closed());
    assert_eq!(log.len(), 0);
    event_loop.stop();
}

/// What a future gives that is done when it is polled for the first time.
#[track_caller]
fn at_once<T>(future: impl Future<Output = T>) -> T {
    let mut context = Context::from_waker(Waker::noop());
    match pin!(future).poll(&mut context) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it waits for a loop that is closed"),
    }
}

// 25.
#[test]
fn a_closed_loop_refuses_datagrams_pipes_children_sockets_and_names() {
    let event_loop = system_loop();
    event_loop.close().unwrap();
    let event_loop = &event_loop;
    let path = std::env::temp_dir().join(format!("wharf-closed-{}", std::process::id()));
    #[track_caller]
    fn refused<T>(future: &LoopFuture<T>) {
        let result = future.take_result().expect("it is known at once");
        let error = result.err().expect("a closed loop does nothing");
        assert!(error.is_closed(), "{error}");
    }
    fn never() -> Probe {
        panic!("no protocol is made")
    }

    let endpoint = || event_loop.create_datagram_endpoint(never);
    refused(&endpoint().local_address("127.0.0.1:0").start());
    refused(&endpoint().local_address("localhost:0").peer_address("localhost:9").start());
    refused(&endpoint().local_unix_address(&path).start());
    refused(&endpoint().socket(UnixDatagram::unbound().unwrap()).start());

    refused(&event_loop.create_connection(|| Idle, "localhost:9").start());
    refused(&event_loop.create_server(|| Idle, "localhost:0").start());
    refused(&event_loop.create_unix_connection(|| Idle, &path).start());
    refused(&event_loop.create_unix_server(|| Idle, &path).start());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    refused(&event_loop.create_server_on(|| Idle, [listener.try_clone().unwrap()]).start());
    let (near, far) = UnixStream::pair().unwrap();
    refused(&event_loop.create_connection_on(|| Idle, near.try_clone().unwrap()).start());
    refused(&event_loop.connect_accepted_socket(|| Idle, near.try_clone().unwrap()).start());
    refused(&event_loop.take_over(&path));

    let (reader, writer) = std::io::pipe().unwrap();
    let pair = || (reader.try_clone().unwrap(), writer.try_clone().unwrap());
    refused(&event_loop.connect_read_pipe(|| Idle, pair().0).start());
    refused(&event_loop.connect_write_pipe(|| Idle, pair().1).start());
    refused(&event_loop.connect_pipes(|| Idle, pair().0, pair().1).start());
    refused(&event_loop.connect_device(|| Idle, pair().0).start());
    refused(&event_loop.connect_stdin(|| Idle).start());
    refused(&event_loop.connect_stdout(|| Idle).start());
    refused(&event_loop.connect_stderr(|| Idle).start());
    refused(&event_loop.connect_stdio(|| Idle).start());
    refused(&event_loop.connect_read_fifo(|| Idle, &path).start());
    refused(&event_loop.connect_write_fifo(|| Idle, &path).start());

    let touch = format!("touch {}", path.display());
    refused(&event_loop.subprocess_exec(|| Child, "touch").arg(&path).start());
    refused(&event_loop.subprocess_shell(|| Child, &touch).start());
    refused(&event_loop.run_process("touch").arg(&path).start());
    refused(&event_loop.run_shell(&touch).start());

    // Though each could go on without a loop.
    (&far).write_all(b"here").unwrap();
    for socket in [&near, &far] {
        socket.set_nonblocking(true).unwrap();
    }
    assert!(at_once(event_loop.sock_recv(&near, &mut [0; 4])).unwrap_err().is_closed());
    assert!(at_once(event_loop.sock_sendall(&near, b"x")).unwrap_err().is_closed());
    listener.set_nonblocking(true).unwrap();
    let to = listener.local_addr().unwrap();
    let client = TcpStream::connect(to).unwrap();
    assert!(at_once(event_loop.sock_accept(&listener)).unwrap_err().is_closed());
    assert!(at_once(event_loop.sock_connect(&near, to)).unwrap_err().is_closed());
    assert!(at_once(event_loop.wait_readable(&near)).unwrap_err().is_closed());
    assert!(at_once(event_loop.wait_writable(&near)).unwrap_err().is_closed());
    drop(client);
    assert!(!path.exists(), "nothing was done");
    assert_eq!(event_loop.statistics().sources, 0);
}

/// A child's protocol that wants nothing.
struct Child;

impl ProcessProtocol for Child {}

// 26.
#[test]
fn a_closed_loop_holds_nothing_of_the_users() {
    let event_loop = memory_loop();
    let held = Rc::new(());
    let (own, clone) = (Rc::clone(&held), event_loop.clone());
    event_loop.set_exception_handler(move |_, _| drop((Rc::clone(&own), clone.clone())));
    let (own, clone) = (Rc::clone(&held), event_loop.clone());
    event_loop.call_later(Duration::from_secs(1), move || drop((own, clone)));
    let (own, clone) = (Rc::clone(&held), event_loop.clone());
    event_loop
        .create_task(async move {
            clone.sleep(Duration::from_secs(1)).await;
            drop(own);
        })
        .detach();
    let handle = {
        let held = Rc::clone(&held);
        event_loop.call_soon(holding(held))
    };
    event_loop.close().unwrap();
    assert_eq!(Rc::strong_count(&held), 1);
    drop(handle);
}

#[test]
fn a_loop_closes_whether_it_ran_or_not() {
    drop(system_loop());
    drop(memory_loop());
    let event_loop = system_loop();
    let stopper = event_loop.clone();
    event_loop.call_soon(move || stopper.stop());
    run_forever(&event_loop);
    event_loop.close().unwrap();
}
