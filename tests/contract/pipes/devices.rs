//! Terminals: both sides of a pseudoterminal.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::pty::OpenptFlags;
use rustix::termios::OptionalActions;
use wharf::{EventLoop, Transport, WriteStatus};

use super::{done, read_with, write_with};
use crate::probe::{Call, Log, Probe};
use crate::running::{Reports, rest, run_until};

/// The master's side of a new pseudoterminal, and the terminal.
pub(crate) fn pseudoterminal() -> (OwnedFd, OwnedFd) {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let master = rustix::pty::openpt(flags).expect("a pseudoterminal");
    rustix::pty::grantpt(&master).expect("access to it");
    rustix::pty::unlockpt(&master).expect("a terminal");
    let name = rustix::pty::ptsname(&master, Vec::new()).expect("its name");
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let terminal = rustix::fs::open(name, flags, Mode::empty()).expect("the terminal");
    (master, terminal)
}

/// Has a terminal pass bytes on as they are.
pub(crate) fn make_raw(terminal: impl AsFd) {
    let mut settings = rustix::termios::tcgetattr(&terminal).unwrap();
    settings.make_raw();
    rustix::termios::tcsetattr(&terminal, OptionalActions::Now, &settings).unwrap();
}

// 162.
#[test]
fn all_lines_of_a_terminal_are_read_though_it_gives_one_at_a_time() {
    let event_loop = EventLoop::new().unwrap();
    let (master, terminal) = pseudoterminal();
    let mut master = File::from(master);
    master.write_all(b"one\ntwo\nthree\n").unwrap();
    let log = Log::new();
    read_with(&event_loop, terminal, Probe::new(&log));
    run_until(&event_loop, "all lines", || log.received() == b"one\ntwo\nthree\n");
    assert_eq!(log.chunks(), [4, 4, 6]);
    master.write_all(b"four\nfive\n").unwrap();
    run_until(&event_loop, "the other lines", || log.received().ends_with(b"four\nfive\n"));
    master.write_all(&[4]).unwrap();
    run_until(&event_loop, "connection_lost", || log.is_lost());
    assert_eq!(log.order(), [Call::Made, Call::Data, Call::Eof, Call::Lost], "control-D");
}

// 164: differs.
#[test]
fn the_hang_up_of_a_terminal_is_its_end_and_no_error() {
    let event_loop = EventLoop::new().unwrap();
    let reports = Reports::of(&event_loop);
    let (master, terminal) = pseudoterminal();
    let log = Log::new();
    read_with(&event_loop, master, Probe::new(&log));
    let mut terminal = File::from(terminal);
    terminal.write_all(b"last words").unwrap();
    drop(terminal);
    run_until(&event_loop, "connection_lost", || log.is_lost());
    assert_eq!(log.calls(), [Call::Made, Call::Data, Call::Eof, Call::Lost]);
    assert_eq!((log.received(), log.cause()), (b"last words".to_vec(), None));
    assert!(reports.take().is_empty());
}

// 164: differs.
#[test]
fn a_read_error_is_connection_losts_and_not_reported() {
    let event_loop = EventLoop::new().unwrap();
    let reports = Reports::of(&event_loop);
    let log = Log::new();
    // What a process may read of its own memory begins far from zero.
    read_with(&event_loop, File::open("/proc/self/mem").unwrap(), Probe::new(&log));
    run_until(&event_loop, "connection_lost", || log.is_lost());
    assert_eq!(log.calls(), [Call::Made, Call::Lost]);
    assert!(log.cause().unwrap().io_kind.is_some());
    assert!(reports.take().is_empty());
}

// 167.
#[test]
fn a_terminal_is_written_and_its_hang_up_ends_the_transport() {
    let event_loop = EventLoop::new().unwrap();
    let (master, terminal) = pseudoterminal();
    make_raw(&terminal);
    let log = Log::new();
    write_with(&event_loop, terminal, Probe::new(&log));
    log.handle().write(b"shown");
    rest(&event_loop);
    let mut master = File::from(master);
    let mut shown = [0; 5];
    master.read_exact(&mut shown).unwrap();
    assert_eq!(&shown, b"shown");
    master.write_all(b"typed, and not read").unwrap();
    rest(&event_loop);
    assert_eq!(log.calls(), [Call::Made]);
    drop(master);
    run_until(&event_loop, "connection_lost", || log.is_lost());
}

#[test]
fn a_device_is_read_and_written_by_one_transport() {
    let event_loop = EventLoop::new().unwrap();
    let (master, terminal) = pseudoterminal();
    make_raw(&terminal);
    let (near, far) = (Log::new(), Log::new());
    for (device, probe) in [(master, Probe::new(&near)), (terminal, Probe::new(&far).echoing())] {
        done(&event_loop, event_loop.connect_device(|| probe, device).start()).unwrap();
    }
    // More than a terminal takes at once.
    let data: Vec<u8> = (0..200_000_u32).map(|index| (index / 11) as u8).collect();
    assert_eq!(near.handle().write(&data), WriteStatus::AboveHighWater);
    run_until(&event_loop, "everything, back again", || near.received_len() == data.len());
    assert!(near.received() == data);

    assert!(!near.handle().can_write_eof());
    near.handle().write_eof();
    assert_eq!(near.handle().write(b"too late"), WriteStatus::Closed);
    far.handle().write(b"still read");
    run_until(&event_loop, "what is still read", || near.received().ends_with(b"still read"));
    far.handle().close();
    run_until(&event_loop, "both ends", || near.is_lost() && far.is_lost());
    assert_eq!((near.cause(), far.cause()), (None, None));
    assert_eq!(near.count(Call::Eof), 1);
}

#[test]
fn a_device_that_is_closed_with_input_waiting_closes_at_once() {
    let event_loop = EventLoop::new().unwrap();
    let (master, terminal) = pseudoterminal();
    let log = Log::new();
    let probe = Probe::new(&log).not_reading();
    done(&event_loop, event_loop.connect_device(|| probe, terminal).start()).unwrap();
    let mut master = File::from(master);
    master.write_all(b"typed\n").unwrap();
    rest(&event_loop);
    log.handle().close();
    run_until(&event_loop, "connection_lost", || log.is_lost());
    assert_eq!((log.calls(), log.cause()), (vec![Call::Made, Call::Lost], None));
    let error = loop {
        // The echo of what was typed comes before the end.
        match master.read(&mut [0; 64]) {
            Ok(count) if count > 0 => {}
            other => break other.unwrap_err(),
        }
    };
    assert_eq!(error.raw_os_error(), Some(rustix::io::Errno::IO.raw_os_error()));
    assert_ne!(error.kind(), io::ErrorKind::WouldBlock);
}
