//! Relays of pipes, which go one way.

use std::io::ErrorKind;

use wharf::bytes::Bytes;
use wharf::{EventLoop, Protocol, RateLimit, RelayEnd, RelaySide, Splicing, TransportHandle};
use wharf::{Transport, relay};

use super::stage::{Link, Stage, Waiting, connected, pattern};
use crate::probe::{Call, Log, Probe};
use crate::running::run_until;

const MUCH: usize = 1_000_000;

/// What one side of the relay is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Pipe,
    Connection(Link),
}

const CONNECTIONS: [End; 3] =
    [End::Connection(Link::Memory), End::Connection(Link::Unix), End::Connection(Link::Tcp)];

/// From a pipe to everything, and from everything to a pipe, each way of moving bytes.
pub(super) fn every_way() -> impl Iterator<Item = (End, End, Splicing)> {
    let out = CONNECTIONS.map(|end| (End::Pipe, end));
    let back = CONNECTIONS.map(|end| (end, End::Pipe));
    let ends = out.into_iter().chain(back).chain([(End::Pipe, End::Pipe)]);
    ends.flat_map(|(from, to)| {
        [Splicing::Automatic, Splicing::Always, Splicing::Never].map(|how| (from, to, how))
    })
}

/// A client that writes into the relay, and a server that reads what comes out of it.
pub(super) fn stage(from: End, to: End, splicing: Splicing) -> Stage {
    stage_with(from, to, splicing, |probe| probe)
}

fn stage_with(
    from: End,
    to: End,
    splicing: Splicing,
    server: impl FnOnce(Probe) -> Probe,
) -> Stage {
    Stage::joined(
        EventLoop::new().unwrap(),
        |event_loop, probe| source(event_loop, from, probe),
        |event_loop, probe| sink(event_loop, to, server(probe)),
        |relay| relay.splicing(splicing),
    )
}

/// What the relay reads, with `peer` at the other end.
fn source(event_loop: &EventLoop, end: End, peer: impl Protocol) -> TransportHandle {
    match end {
        End::Connection(link) => connected(event_loop, link, peer),
        End::Pipe => pipe(event_loop, Waiting, peer).0,
    }
}

/// What the relay writes to, with `peer` at the other end.
fn sink(event_loop: &EventLoop, end: End, peer: impl Protocol) -> TransportHandle {
    match end {
        End::Connection(link) => connected(event_loop, link, peer),
        End::Pipe => pipe(event_loop, peer, Waiting).1,
    }
}

/// Both ends of a pipe.
fn pipe(
    event_loop: &EventLoop,
    reading: impl Protocol,
    writing: impl Protocol,
) -> (TransportHandle, TransportHandle) {
    let (reader, writer) = std::io::pipe().unwrap();
    let reader = event_loop.connect_read_pipe(|| reading, reader).start();
    let writer = event_loop.connect_write_pipe(|| writing, writer).start();
    let reader = event_loop.run_until_complete(reader).unwrap().unwrap();
    let writer = event_loop.run_until_complete(writer).unwrap().unwrap();
    (reader.handle().clone(), writer.handle().clone())
}

/// Whether the kernel moves bytes from one to the other. Not from pipe to pipe: packets would stay packets.
fn can_splice(from: End, to: End) -> bool {
    cfg!(linux_kernel)
        && from != CONNECTIONS[0]
        && to != CONNECTIONS[0]
        && (from, to) != (End::Pipe, End::Pipe)
}

#[test]
fn what_goes_into_a_pipe_comes_out_at_the_other_end_of_its_relay() {
    for (from, to, splicing) in every_way() {
        let what = format!("{from:?} to {to:?} {splicing:?}");
        let stage = stage(from, to, splicing);
        stage.client.handle().write(b"a little");
        stage.until(&what, || stage.server.received() == b"a little");
        stage.client.handle().write(&pattern(MUCH));
        stage.client.handle().write_eof();
        let outcome = stage.outcome().unwrap();
        assert!(matches!(outcome.end, RelayEnd::Finished), "{what} {outcome:?}");
        assert_eq!((outcome.a_to_b, outcome.b_to_a), (MUCH as u64 + 8, 0), "{what}");
        stage.until(&what, || stage.server.calls().contains(&Call::Eof));
        assert!(stage.server.received()[8..] == pattern(MUCH), "{what}");
        match splicing {
            Splicing::Always if can_splice(from, to) => {
                assert_eq!(stage.statistics.spliced(), MUCH as u64 + 8, "{what}");
            }
            Splicing::Automatic if can_splice(from, to) => {
                assert!(stage.statistics.spliced() > 0, "{what}");
            }
            _ => assert_eq!(stage.statistics.spliced(), 0, "{what}"),
        }
        stage.end();
    }
}

#[test]
fn bytes_go_from_pipe_to_socket_to_pipe_through_two_relays() {
    for splicing in [Splicing::Automatic, Splicing::Always, Splicing::Never] {
        let event_loop = EventLoop::new().unwrap();
        let (client, server) = (Log::new(), Log::new());
        let read = source(&event_loop, End::Pipe, Probe::new(&client));
        let written = sink(&event_loop, End::Pipe, Probe::new(&server));
        let (near, far) = std::os::unix::net::UnixStream::pair().unwrap();
        let near = event_loop.create_connection_on(|| Waiting, near).start();
        let near = event_loop.run_until_complete(near).unwrap().unwrap();
        let far = event_loop.create_connection_on(|| Waiting, far).start();
        let far = event_loop.run_until_complete(far).unwrap().unwrap();
        let first = relay(read, &near).splicing(splicing).start();
        // The order of the two says only which way is called which.
        let second = relay(written, &far).splicing(splicing).start();
        client.handle().write(&pattern(MUCH));
        client.handle().write_eof();
        run_until(&event_loop, "the end", || first.is_done() && second.is_done());
        let [first, second] = [first, second].map(|relay| relay.take_result().unwrap().unwrap());
        assert!(matches!(first.end, RelayEnd::Finished), "{first:?}");
        assert!(matches!(second.end, RelayEnd::Finished), "{second:?}");
        assert_eq!((first.a_to_b, second.b_to_a), (MUCH as u64, MUCH as u64));
        run_until(&event_loop, "all", || server.is_lost());
        assert!(server.received() == pattern(MUCH));
    }
}

#[test]
fn what_has_no_way_through_a_relay_is_not_read_and_does_not_end_it() {
    for (from, to, splicing) in every_way().filter(|(_, to, _)| *to != End::Pipe) {
        let what = format!("{from:?} to {to:?} {splicing:?}");
        // It closes at the end of what it receives.
        let closes = |probe: Probe| probe.on_eof(|_| Ok(wharf::Eof::Close));
        let stage = stage_with(from, to, splicing, closes);
        stage.server.handle().write(&pattern(5 * MUCH));
        stage.client.handle().write(&pattern(MUCH));
        stage.until(&what, || stage.server.received_len() == MUCH);
        assert!(stage.server.handle().write_buffer_size() > 0, "{what}: it was read");
        assert!(!stage.a.is_closing() && !stage.b.is_closing());
        stage.client.handle().write_eof();
        let outcome = stage.outcome().unwrap();
        assert!(matches!(outcome.end, RelayEnd::Finished), "{what} {outcome:?}");
        assert_eq!((outcome.a_to_b, outcome.b_to_a), (MUCH as u64, 0), "{what}");
        assert!(stage.server.received() == pattern(MUCH), "{what}");
        stage.end();
    }
}

#[test]
fn a_pipe_is_not_read_while_the_other_side_takes_nothing() {
    for (from, to, splicing) in every_way() {
        let what = format!("{from:?} to {to:?} {splicing:?}");
        let stage = stage(from, to, splicing);
        stage.server.handle().pause_reading();
        stage.client.handle().write(&pattern(5 * MUCH));
        stage.until(&what, || !stage.a.is_reading());
        for _ in 0..20 {
            stage.settle();
        }
        assert!(stage.b.write_buffer_size() <= 600_000, "{what}");
        assert!(stage.client.handle().write_buffer_size() > 0, "{what}");
        stage.server.handle().resume_reading();
        stage.until(&what, || stage.server.received_len() == 5 * MUCH);
        assert!(stage.server.received() == pattern(5 * MUCH), "{what}");
        stage.end();
    }
}

#[test]
fn a_reader_that_leaves_ends_the_relay_and_its_other_side() {
    for (from, to, splicing) in every_way().filter(|(_, to, _)| *to == End::Pipe) {
        let what = format!("{from:?} to {to:?} {splicing:?}");
        let full = stage(from, to, splicing);
        full.server.handle().pause_reading();
        full.client.handle().write(&pattern(5 * MUCH));
        full.until(&what, || !full.a.is_reading());
        full.server.handle().abort();
        full.until(&what, || full.client.is_lost() || full.client.calls().contains(&Call::Eof));
        full.client.handle().abort();
        match full.outcome().unwrap().end {
            RelayEnd::Failed(RelaySide::B, error) => {
                assert_eq!(error.io_kind(), Some(ErrorKind::BrokenPipe), "{what}");
            }
            end => panic!("{what} {end:?}"),
        }
        full.end();

        let idle = stage(from, to, splicing);
        idle.client.handle().write(b"all");
        idle.until(&what, || idle.server.received() == b"all");
        idle.server.handle().abort();
        idle.until(&what, || idle.client.is_lost() || idle.client.calls().contains(&Call::Eof));
        idle.client.handle().abort();
        let outcome = idle.outcome().unwrap();
        assert!(matches!(outcome.end, RelayEnd::Closed(RelaySide::B)), "{what} {outcome:?}");
        idle.end();
    }
}

#[test]
fn a_reset_is_told_apart_from_an_end_and_ends_the_pipe() {
    let tcp = End::Connection(Link::Tcp);
    for splicing in [Splicing::Automatic, Splicing::Always, Splicing::Never] {
        // Of what is read: unread input makes the end a reset.
        let read = Stage::joined(
            EventLoop::new().unwrap(),
            |event_loop, probe| {
                let handle = source(event_loop, tcp, probe.not_reading());
                handle.write(b"not read");
                handle
            },
            |event_loop, probe| sink(event_loop, End::Pipe, probe),
            |relay| relay.splicing(splicing),
        );
        read.client.handle().write(&pattern(5000));
        read.until("some of it", || read.server.received_len() == 5000);
        read.client.handle().abort();
        match read.outcome().unwrap().end {
            RelayEnd::Failed(RelaySide::A, error) => {
                assert_eq!(error.io_kind(), Some(ErrorKind::ConnectionReset), "{splicing:?}");
            }
            end => panic!("{splicing:?} {end:?}"),
        }
        read.until("the end", || read.server.calls().contains(&Call::Eof));
        assert!(read.server.received() == pattern(5000));
        read.end();

        // Of what is written.
        let written = stage(End::Pipe, tcp, splicing);
        written.server.handle().pause_reading();
        written.client.handle().write(&pattern(5 * MUCH));
        written.until("the relay to stop", || !written.a.is_reading());
        written.server.handle().abort();
        match written.outcome().unwrap().end {
            RelayEnd::Failed(RelaySide::B, error) => {
                let kind = error.io_kind();
                let kinds = [Some(ErrorKind::ConnectionReset), Some(ErrorKind::BrokenPipe)];
                assert!(kinds.contains(&kind), "{splicing:?} {error}");
            }
            end => panic!("{splicing:?} {end:?}"),
        }
        written.until("the pipe's end", || written.client.is_lost());
        written.end();
    }
}

#[test]
fn limits_hold_for_what_is_spliced_from_or_to_a_pipe() {
    let rate = 2_000_000;
    let unix = End::Connection(Link::Unix);
    for (from, to) in [(End::Pipe, unix), (unix, End::Pipe), (End::Pipe, End::Pipe)] {
        for read in [true, false] {
            let stage = stage(from, to, Splicing::Always);
            let limit = RateLimit::bytes_per_second(rate).burst(20_000);
            match read {
                true => stage.a.set_read_limit(Some(limit)),
                false => stage.b.set_write_limit(Some(limit)),
            }
            let began = stage.event_loop.time();
            stage.client.handle().write(&pattern(MUCH));
            stage.until("some of it", || stage.server.received_len() >= 200_000);
            let most = (stage.event_loop.time() - began).as_secs_f64() * rate as f64 + 20_000.0;
            assert!(stage.server.received_len() as f64 <= most, "{from:?} to {to:?}");
            stage.until("the rest", || stage.server.received_len() == MUCH);
            assert!(stage.server.received() == pattern(MUCH));
            stage.end();
        }
    }
}

#[test]
fn a_relay_that_could_pass_on_nothing_is_refused() {
    let event_loop = EventLoop::new().unwrap();
    let logs = [Log::new(), Log::new(), Log::new()];
    let [one, other, socket] = logs.each_ref().map(Probe::new);
    let (reader, writer) = pipe(&event_loop, one, Waiting);
    let (other_reader, other_writer) = pipe(&event_loop, other, Waiting);
    let connection = connected(&event_loop, Link::Unix, socket);
    let refused = |builder: wharf::RelayBuilder| {
        let error = builder.start().take_result().unwrap().unwrap_err();
        assert!(error.is_invalid(), "{error}");
    };
    refused(relay(&reader, &other_reader));
    refused(relay(&writer, &other_writer));
    // Nor is anything dropped that was received.
    let some = || Bytes::from_static(b"some");
    refused(relay(&reader, &connection).leftovers(Bytes::new(), some()));
    refused(relay(&connection, &writer).leftovers(Bytes::new(), some()));
    wharf::testing::settle(&event_loop).unwrap();
    assert!(!reader.is_closing() && !writer.is_closing() && !connection.is_closing());
}
