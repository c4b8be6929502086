//! Terminals that are polled, and what is their end.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;

use rustix::termios::{OptionalActions, SpecialCodeIndex};
use wharf::{EventLoop, Transport};

use crate::pipes::devices::{make_raw, pseudoterminal};
use crate::pipes::{done, read_with};
use crate::probe::{Call, Log, Probe};
use crate::running::{rest, run_until};

/// Has reads of the terminal give 0 when there is no input.
fn poll(terminal: impl AsFd) {
    make_raw(&terminal);
    let mut settings = rustix::termios::tcgetattr(&terminal).unwrap();
    settings.special_codes[SpecialCodeIndex::VMIN] = 0;
    settings.special_codes[SpecialCodeIndex::VTIME] = 0;
    rustix::termios::tcsetattr(&terminal, OptionalActions::Now, &settings).unwrap();
}

#[test]
fn a_terminal_that_is_polled_has_not_ended_when_it_has_no_input() {
    for both_ways in [false, true] {
        let event_loop = EventLoop::new().unwrap();
        let (master, terminal) = pseudoterminal();
        poll(&terminal);
        let log = Log::new();
        let probe = Probe::new(&log);
        if both_ways {
            done(&event_loop, event_loop.connect_device(|| probe, terminal).start()).unwrap();
        } else {
            read_with(&event_loop, terminal, probe);
        }
        rest(&event_loop);
        assert_eq!(log.calls(), [Call::Made]);
        let mut master = File::from(master);
        for round in 1..=3 {
            master.write_all(b"typed").unwrap();
            run_until(&event_loop, "what is typed", || log.received_len() == 5 * round);
        }
        if both_ways {
            log.handle().write(b"shown");
            rest(&event_loop);
        }
        assert!(!log.is_lost());
        drop(master);
        run_until(&event_loop, "the hang-up", || log.is_lost());
        assert_eq!((log.count(Call::Eof), log.cause()), (1, None));
    }
}

#[test]
fn the_last_input_of_a_terminal_that_is_polled_comes_before_its_hang_up() {
    let event_loop = EventLoop::new().unwrap();
    let (master, terminal) = pseudoterminal();
    poll(&terminal);
    let log = Log::new();
    read_with(&event_loop, master, Probe::new(&log));
    let mut terminal = File::from(terminal);
    terminal.write_all(b"last words").unwrap();
    drop(terminal);
    run_until(&event_loop, "connection_lost", || log.is_lost());
    assert_eq!(log.received(), b"last words");
    assert_eq!((log.count(Call::Eof), log.cause()), (1, None));
}

#[test]
fn control_d_is_the_end_of_a_terminal_with_lines_alone() {
    let event_loop = EventLoop::new().unwrap();
    let (master, terminal) = pseudoterminal();
    let other = terminal.try_clone().unwrap();
    let log = Log::new();
    read_with(&event_loop, terminal, Probe::new(&log));
    let mut master = File::from(master);
    poll(&other);
    master.write_all(&[4]).unwrap();
    run_until(&event_loop, "the character", || log.received() == [4]);
    assert!(!log.is_lost());
}
