//! `add_reader` and `add_writer`.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::Duration;

use wharf::EventLoop;
use wharf::testing::{settle, step};

use crate::loops::memory_loop;
use crate::probes::{Log, complete, run_forever, step_until};

/// A watched end, and its peer; neither blocks.
fn stream_pair() -> (Rc<UnixStream>, UnixStream) {
    let (watched, peer) = UnixStream::pair().unwrap();
    watched.set_nonblocking(true).unwrap();
    peer.set_nonblocking(true).unwrap();
    (Rc::new(watched), peer)
}

fn read_all(mut stream: &UnixStream) -> usize {
    let mut total = 0;
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        total += count;
    }
    total
}

/// Lets whatever is known to be ready be served, and a little more time pass.
fn let_time_pass(event_loop: &EventLoop) {
    complete(event_loop, event_loop.sleep(Duration::from_millis(5)));
}

#[test]
fn a_reader_is_called_as_long_as_something_is_left_to_read() {
    let event_loop = EventLoop::new().unwrap();
    let (watched, mut peer) = stream_pair();
    let read = Rc::new(Cell::new(0));
    event_loop
        .add_reader(Rc::clone(&watched), {
            let (read, watched) = (Rc::clone(&read), Rc::clone(&watched));
            move || {
                // One byte a call: the rest has to be told of again.
                let mut byte = [0];
                (&*watched).read_exact(&mut byte).unwrap();
                read.set(read.get() + 1);
            }
        })
        .unwrap();
    for round in 1..=3 {
        peer.write_all(&[0; 100]).unwrap();
        step_until(&event_loop, || read.get() == round * 100);
    }
    let_time_pass(&event_loop);
    assert_eq!((read.get(), event_loop.statistics().exceptions), (300, 0));
}

#[test]
fn a_writer_is_called_as_long_as_there_is_room() {
    let event_loop = EventLoop::new().unwrap();
    let (watched, peer) = stream_pair();
    let written = Rc::new(Cell::new(0));
    event_loop
        .add_writer(Rc::clone(&watched), {
            let (written, watched) = (Rc::clone(&written), Rc::clone(&watched));
            move || {
                if let Ok(count) = (&*watched).write(&[0; 4096]) {
                    written.set(written.get() + count);
                }
            }
        })
        .unwrap();
    let full = |written: &Rc<Cell<usize>>| {
        let mut before = 0;
        step_until(&event_loop, || std::mem::replace(&mut before, written.get()) == written.get());
    };
    step_until(&event_loop, || written.get() > 4096);
    full(&written);
    let first = written.get();
    assert_eq!(read_all(&peer), first);
    step_until(&event_loop, || written.get() > first);
}

// 34.
#[test]
fn a_second_reader_replaces_the_first_and_leaves_the_writer_alone() {
    let event_loop = EventLoop::new().unwrap();
    let (watched, mut peer) = stream_pair();
    let log = Log::default();
    let note = |name: &'static str| {
        let (log, guard) = (log.clone(), log.adds_on_drop(&format!("{name} dropped")));
        let watched = Rc::clone(&watched);
        move || {
            let _ = &guard;
            read_all(&watched);
            log.add(name);
        }
    };
    event_loop.add_writer(Rc::clone(&watched), note("writer")).unwrap();
    event_loop.add_reader(Rc::clone(&watched), note("first")).unwrap();
    event_loop.add_reader(Rc::clone(&watched), note("second")).unwrap();
    assert_eq!(log.take(), ["first dropped"]);
    peer.write_all(b"x").unwrap();
    step_until(&event_loop, || {
        let entries = log.entries();
        entries.iter().any(|entry| entry == "second") && entries.iter().any(|e| e == "writer")
    });
    assert!(!log.take().contains(&"first".to_owned()));

    event_loop.add_writer(Rc::clone(&watched), note("another writer")).unwrap();
    assert_eq!(log.take(), ["writer dropped"]);
    peer.write_all(b"x").unwrap();
    step_until(&event_loop, || log.entries().contains(&"second".to_owned()));
    assert_eq!(event_loop.statistics().sources, 1, "one descriptor");
}

// 35.
#[test]
fn removing_tells_whether_there_was_one_and_lets_go_of_the_descriptor_with_the_last() {
    let event_loop = EventLoop::new().unwrap();
    let (watched, _peer) = stream_pair();
    assert!(!event_loop.remove_reader(&watched));
    assert!(!event_loop.remove_writer(&watched));
    event_loop.add_reader(Rc::clone(&watched), || {}).unwrap();
    assert!(!event_loop.remove_writer(&watched));
    event_loop.add_writer(Rc::clone(&watched), || {}).unwrap();
    assert_eq!(event_loop.statistics().sources, 1);
    assert!(event_loop.remove_reader(&watched));
    assert!(!event_loop.remove_reader(&watched));
    assert_eq!(event_loop.statistics().sources, 1);
    assert!(event_loop.remove_writer(&watched));
    assert_eq!(event_loop.statistics().sources, 0);
    settle(&event_loop).unwrap();
    assert_eq!(Rc::strong_count(&watched), 1, "the loop let go of it");
    assert!(!event_loop.remove_writer(&watched));
}

// 36.
#[test]
fn a_watcher_that_was_removed_by_an_earlier_callback_is_not_called() {
    let event_loop = EventLoop::new().unwrap();
    let pairs = [stream_pair(), stream_pair()];
    let called = Rc::new(RefCell::new(Vec::new()));
    // Whichever comes first removes the other, though both are known to be ready.
    for own in 0..2 {
        let (inner, called) = (event_loop.clone(), Rc::clone(&called));
        let (watched, other) = (Rc::clone(&pairs[own].0), Rc::clone(&pairs[1 - own].0));
        event_loop
            .add_reader(Rc::clone(&pairs[own].0), move || {
                called.borrow_mut().push(own);
                read_all(&watched);
                assert!(inner.remove_reader(&other));
            })
            .unwrap();
    }
    for (_, peer) in &pairs {
        (&mut &*peer).write_all(b"x").unwrap();
    }
    step_until(&event_loop, || !called.borrow().is_empty());
    let_time_pass(&event_loop);
    assert_eq!(called.borrow().len(), 1);
    assert_eq!(event_loop.statistics().exceptions, 0);
}

// 36.
#[test]
fn a_reader_may_remove_or_replace_itself_and_its_writer() {
    let event_loop = EventLoop::new().unwrap();
    let (watched, mut peer) = stream_pair();
    let log = Log::default();
    peer.write_all(b"x").unwrap();
    event_loop.add_writer(Rc::clone(&watched), log.adds("writer")).unwrap();
    event_loop
        .add_reader(Rc::clone(&watched), {
            let (inner, watched, log) = (event_loop.clone(), Rc::clone(&watched), log.clone());
            move || {
                log.add("first");
                // Reading comes before writing, so the writer is never called.
                assert!(inner.remove_writer(&watched));
                let (stopper, log, fd) = (inner.clone(), log.clone(), Rc::clone(&watched));
                inner
                    .add_reader(Rc::clone(&watched), move || {
                        log.add("second");
                        assert!(stopper.remove_reader(&fd));
                        stopper.stop();
                    })
                    .unwrap();
            }
        })
        .unwrap();
    run_forever(&event_loop);
    let_time_pass(&event_loop);
    assert_eq!(log.entries(), ["first", "second"]);
    assert_eq!((event_loop.statistics().sources, event_loop.statistics().exceptions), (0, 0));
    assert_eq!(Rc::strong_count(&watched), 1);
}

// 20.
#[test]
fn stopping_does_not_call_a_watcher_twice_for_one_readiness() {
    let event_loop = EventLoop::new().unwrap();
    let (watched, mut peer) = stream_pair();
    let calls = Rc::new(Cell::new(0));
    event_loop
        .add_reader(Rc::clone(&watched), {
            let (inner, calls, watched) =
                (event_loop.clone(), Rc::clone(&calls), Rc::clone(&watched));
            move || {
                assert_eq!(read_all(&watched), 1);
                calls.set(calls.get() + 1);
                inner.stop();
            }
        })
        .unwrap();
    for expected in 1..=3 {
        peer.write_all(b"x").unwrap();
        run_forever(&event_loop);
        assert_eq!(calls.get(), expected);
        event_loop.stop();
        event_loop.run_forever().unwrap();
        assert_eq!(calls.get(), expected);
    }
    assert_eq!(event_loop.statistics().exceptions, 0);
}

// 38.
#[test]
fn what_cannot_be_watched_is_refused() {
    let event_loop = EventLoop::new().unwrap();
    let file = Rc::new(File::open(std::env::current_exe().unwrap()).unwrap());
    let error = event_loop.add_reader(Rc::clone(&file), || {}).unwrap_err();
    assert!(error.io_error().is_some(), "{error}");
    assert_eq!((event_loop.statistics().sources, Rc::strong_count(&file)), (0, 1));

    let memory = memory_loop();
    let (watched, _peer) = stream_pair();
    assert!(memory.add_reader(Rc::clone(&watched), || {}).unwrap_err().is_unsupported());
    assert!(memory.add_writer(Rc::clone(&watched), || {}).unwrap_err().is_unsupported());
    assert!(!memory.remove_reader(&watched));
    assert_eq!((memory.statistics().sources, Rc::strong_count(&watched)), (0, 1));
}

// 39.
#[test]
fn a_descriptor_can_be_closed_right_after_its_removal_and_its_number_used_again() {
    let event_loop = EventLoop::new().unwrap();
    let stale = Rc::new(Cell::new(0));
    let mut reused = 0;
    for _ in 0..50 {
        let (watched, mut peer) = stream_pair();
        let number = watched.as_fd().as_raw_fd();
        let (calls, fd) = (Rc::clone(&stale), Rc::clone(&watched));
        event_loop
            .add_reader(Rc::clone(&watched), move || {
                read_all(&fd);
                calls.set(calls.get() + 1);
            })
            .unwrap();
        // An event of the old descriptor is under way when it is closed.
        peer.write_all(b"x").unwrap();
        event_loop.remove_reader(&watched);
        assert_eq!(Rc::strong_count(&watched), 1, "the loop let go of it");
        drop(watched);

        let (next, mut next_peer) = stream_pair();
        reused += u32::from(next.as_fd().as_raw_fd() == number);
        let seen = Rc::new(Cell::new(0));
        let (calls, fd) = (Rc::clone(&seen), Rc::clone(&next));
        event_loop
            .add_reader(Rc::clone(&next), move || {
                assert_eq!(read_all(&fd), 2);
                calls.set(calls.get() + 1);
            })
            .unwrap();
        step(&event_loop).unwrap();
        assert_eq!(seen.get(), 0, "an event of the descriptor before");
        next_peer.write_all(b"xx").unwrap();
        step_until(&event_loop, || seen.get() == 1);
        event_loop.remove_reader(&next);
    }
    assert_eq!((stale.get(), event_loop.statistics().exceptions), (0, 0));
    assert!(reused > 0, "the test tested nothing");
}

// 39.
#[test]
fn the_loop_keeps_a_watched_descriptor_open() {
    let event_loop = EventLoop::new().unwrap();
    let (watched, mut peer) = stream_pair();
    let stopper = event_loop.clone();
    event_loop.add_reader(Rc::try_unwrap(watched).unwrap(), move || stopper.stop()).unwrap();
    peer.write_all(b"x").unwrap();
    run_forever(&event_loop);
    drop(event_loop);
    assert!(peer.write_all(b"x").is_err(), "closing the loop closes it");
}

#[test]
fn a_reader_is_told_of_the_end() {
    let event_loop = EventLoop::new().unwrap();
    let (watched, peer) = stream_pair();
    let (stopper, fd) = (event_loop.clone(), Rc::clone(&watched));
    event_loop
        .add_reader(Rc::clone(&watched), move || {
            assert_eq!((&*fd).read(&mut [0; 8]).unwrap(), 0);
            stopper.stop();
        })
        .unwrap();
    drop(peer);
    run_forever(&event_loop);
    assert_eq!(event_loop.statistics().exceptions, 0);
}

#[test]
fn datagram_sockets_and_pipes_can_be_watched() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    let socket = Rc::new(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
    socket.set_nonblocking(true).unwrap();
    let (fd, received) = (Rc::clone(&socket), log.clone());
    event_loop
        .add_reader(Rc::clone(&socket), move || {
            let mut buffer = [0; 16];
            let count = fd.recv(&mut buffer).unwrap();
            received.add(String::from_utf8_lossy(&buffer[..count]));
        })
        .unwrap();
    let sender = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    for text in ["one", "two"] {
        sender.send_to(text.as_bytes(), socket.local_addr().unwrap()).unwrap();
    }
    step_until(&event_loop, || log.len() == 2);
    assert_eq!(log.take(), ["one", "two"]);

    let (reader, mut writer) = std::io::pipe().unwrap();
    let mut own = reader.try_clone().unwrap();
    let received = log.clone();
    event_loop
        .add_reader(reader, move || {
            let mut buffer = [0; 16];
            let count = own.read(&mut buffer).unwrap();
            received.add(String::from_utf8_lossy(&buffer[..count]));
        })
        .unwrap();
    writer.write_all(b"through a pipe").unwrap();
    step_until(&event_loop, || log.len() == 1);
    assert_eq!(log.entries(), ["through a pipe"]);
    assert_eq!(event_loop.statistics().exceptions, 0);
}
