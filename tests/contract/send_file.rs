//! Section N: sending files, where one transport, or time, is what matters.

use std::cell::{Cell, RefCell};
use std::io::Read;
use std::net::TcpStream;
use std::rc::Rc;
use std::thread;
use std::time::Duration;

use wharf::testing::{advance, pair};
use wharf::{EventLoop, Protocol, Result, SendFile, Timeout, Transport};

use crate::files::file_with;
use crate::loops::{memory_loop, system_loop};
use crate::probe::{Log, Probe};
use crate::running::{Reports, run_until};
use crate::serving::{address, run, until};

/// What one direction of the pairs here holds.
const CAPACITY: usize = 16 * 1024;

/// What goes out of a file before others have their turn.
const TURN: u64 = 1024 * 1024;

#[test]
fn sent_files_can_be_awaited() {
    run(async |event_loop| {
        let (near, far) = (Log::new(), Log::new());
        pair(&event_loop, CAPACITY, Probe::new(&near), Probe::new(&far))?;
        let sent = near.handle().send_file(file_with(&[7; 100_000]), 0, None).await?;
        assert_eq!(sent, 100_000);
        until(&event_loop, "all bytes", || far.received_len() == 100_000).await;
        let error = near.handle().send_file(file_with(b""), 1, Some(1)).await.unwrap_err();
        assert!(error.is_invalid());
        Ok(())
    });
}

/// 20 KiB every 20 s, and the linger deadline is 30 s.
#[test]
fn linger_deadline_counts_from_a_files_last_progress() {
    let event_loop = memory_loop();
    let (near, far) = (Log::new(), Log::new());
    let slow = Probe::new(&far).on_data(|transport, _| {
        transport.pause_reading();
        Ok(())
    });
    pair(&event_loop, CAPACITY, Probe::new(&near), slow).unwrap();
    let sending = near.handle().send_file(file_with(&[7; 20 * CAPACITY]), 0, None);
    near.handle().close();
    for _ in 0..25 {
        advance(&event_loop, Duration::from_secs(20)).unwrap();
        far.handle().resume_reading();
    }
    run_until(&event_loop, "the end", || far.is_lost() && near.is_lost());
    assert_eq!(far.received_len(), 20 * CAPACITY);
    assert_eq!(sending.take_result().unwrap().unwrap(), 20 * CAPACITY as u64);
    assert_eq!(near.cause(), None);
}

#[test]
fn linger_and_write_stall_end_a_file_that_makes_no_progress() {
    for kind in [Timeout::Linger, Timeout::WriteStall] {
        let event_loop = memory_loop();
        let (near, far) = (Log::new(), Log::new());
        pair(&event_loop, CAPACITY, Probe::new(&near), Probe::new(&far).not_reading()).unwrap();
        let sending = near.handle().send_file(file_with(&[7; 20 * CAPACITY]), 0, None);
        if kind == Timeout::Linger {
            near.handle().close();
        } else {
            near.handle().set_timeout(kind, Some(Duration::from_secs(30)));
        }
        advance(&event_loop, Duration::from_millis(29_900)).unwrap();
        assert!(!sending.is_done() && !near.is_lost());
        advance(&event_loop, Duration::from_millis(200)).unwrap();
        assert_eq!(near.cause().unwrap().timeout, Some(kind.into()));
        let error = sending.take_result().unwrap().unwrap_err();
        assert_eq!(error.timeout_kind(), Some(kind.into()), "{error}");
    }
}

/// Asks each round how far the file is.
fn watch(
    event_loop: &EventLoop,
    place: Rc<RefCell<Option<SendFile>>>,
    longest: Rc<Cell<u64>>,
    last: u64,
) {
    let own = event_loop.clone();
    event_loop.call_soon(move || {
        let progress = place.borrow().as_ref().map_or(0, SendFile::progress);
        longest.set(longest.get().max(progress - last));
        let done = place.borrow().as_ref().is_some_and(SendFile::is_done);
        if !done {
            watch(&own.clone(), place, longest, progress);
        }
    });
}

struct Download(Rc<RefCell<Option<SendFile>>>);

impl Protocol for Download {
    fn connection_made(&mut self, transport: &dyn Transport) -> Result {
        let file = file_with(&vec![7; 32 << 20]);
        *self.0.borrow_mut() = Some(transport.send_file(file, 0, None));
        transport.close();
        Ok(())
    }

    fn data_received(&mut self, _: &dyn Transport, _: &[u8]) -> Result {
        Ok(())
    }
}

/// The peer reads as fast as it can, on a thread of its own: only the engine ends a turn.
#[test]
fn one_turn_sends_no_more_than_a_mebibyte_of_a_file() {
    run(async |event_loop| {
        let place = Rc::new(RefCell::new(None));
        let own = Rc::clone(&place);
        let server =
            event_loop.create_server(move || Download(Rc::clone(&own)), "127.0.0.1:0").await?;
        let to = address(&server);
        let reader = thread::spawn(move || {
            let mut received = Vec::new();
            TcpStream::connect(to).unwrap().read_to_end(&mut received).unwrap();
            received.len()
        });
        let longest = Rc::new(Cell::new(0));
        watch(&event_loop, Rc::clone(&place), Rc::clone(&longest), 0);
        let sent = || place.borrow().as_ref().is_some_and(SendFile::is_done);
        until(&event_loop, "the whole file", sent).await;
        assert_eq!(reader.join().unwrap(), 32 << 20);
        assert!(longest.get() > 0 && longest.get() <= TURN, "{}", longest.get());
        Ok(())
    });
}

#[test]
fn closing_the_loop_ends_the_sending() {
    let event_loop = system_loop();
    let (near, far) = (Log::new(), Log::new());
    pair(&event_loop, CAPACITY, Probe::new(&near), Probe::new(&far).not_reading()).unwrap();
    let sending = near.handle().send_file(file_with(&[7; 20 * CAPACITY]), 0, None);
    run_until(&event_loop, "some of it", || sending.progress() > 0);
    drop(event_loop);
    assert!(sending.take_result().unwrap().unwrap_err().is_closed());
    let late = near.handle().send_file(file_with(b"late"), 0, None);
    assert!(late.take_result().unwrap().unwrap_err().is_closed());
}

#[test]
fn failure_that_ends_the_connection_is_not_reported_again_for_its_files() {
    let event_loop = memory_loop();
    let reports = Reports::of(&event_loop);
    let (near, far) = (Log::new(), Log::new());
    let fails = Probe::new(&near).on_made(|transport| {
        transport.send_file(file_with(b"not sent"), 0, None).detach();
        Err("on purpose".into())
    });
    pair(&event_loop, CAPACITY, fails, Probe::new(&far)).unwrap();
    run_until(&event_loop, "the end", || near.is_lost() && far.is_lost());
    let reports = reports.take();
    assert_eq!(reports.len(), 1, "{reports:?}");
    assert!(reports[0].contains("connection_made"), "{reports:?}");
}

#[test]
fn header_of_a_file_is_received_together_with_its_beginning() {
    run(async |event_loop| {
        let far = Log::new();
        let mut receiver = Some(Probe::new(&far));
        let receiver = move || receiver.take().expect("one connection");
        let server = event_loop.create_server(receiver, "127.0.0.1:0").await?;
        let near = Log::new();
        let client = Probe::new(&near).on_made(|transport| {
            transport.write(b"header: ");
            transport.send_file(file_with(b"the file"), 0, None).detach();
            Ok(())
        });
        event_loop.create_connection(|| client, address(&server)).await?;
        until(&event_loop, "all of it", || far.received() == b"header: the file").await;
        assert_eq!(far.chunks(), [16], "in one packet");
        near.handle().abort();
        until(&event_loop, "the end", || near.is_lost() && far.is_lost()).await;
        Ok(())
    });
}
