//! Protocols of pipes and devices, and what makes them.

use std::io::{Read, Write, pipe};
use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use wharf::bytes::Bytes;
use wharf::{Buffered, Protocol, Transport, TransportHandle, WaterMarks};

use super::actor::{Actor, At, By};
use crate::bomb::Owner;
use crate::stage::{Point, Stage, blow_up, elsewhere, reported};

/// Reads `hello` and the end from a pipe.
fn reads<P: Protocol>(stage: &Stage, factory: impl FnOnce() -> P + 'static) {
    let before = stage.bomb.count();
    let (reader, mut writer) = pipe().expect("a pipe");
    let opening = stage.event_loop.connect_read_pipe(factory, reader).start();
    let connection = stage.complete(opening);
    // The read end may be gone already.
    let _ = writer.write_all(b"hello");
    drop(writer);
    drop(connection);
    ends(stage);
    stage.until_reached(before);
}

fn read_at(stage: &Stage, at: At, by: By) {
    reads(stage, Actor::new(stage, at, by));
}

/// Writes more into a pipe than it holds, which is read to its end.
fn writes(stage: &Stage, at: At, by: By) {
    let before = stage.bomb.count();
    let (mut reader, writer) = pipe().expect("a pipe");
    let opening = stage.event_loop.connect_write_pipe(Actor::new(stage, at, by), writer).start();
    let connection = stage.complete(opening).expect("a pipe");
    let handle = connection.handle();
    let _ = handle.set_write_buffer_limits(WaterMarks::from_high(0));
    handle.write(&vec![7; 1 << 20]);
    let reading = std::thread::spawn(move || {
        let mut rest = Vec::new();
        let _ = reader.read_to_end(&mut rest);
    });
    // A connection that closes is not told of its marks any more.
    if at != At::Lost {
        stage.until_reached(before);
    }
    handle.close();
    ends(stage);
    stage.until_reached(before);
    reading.join().expect("a thread");
}

/// A terminal whose other end says something and goes.
fn device_at(stage: &Stage, at: At, by: By) {
    let before = stage.bomb.count();
    let (master, terminal) = terminal();
    let opening = stage.event_loop.connect_device(Actor::new(stage, at, by), terminal).start();
    let connection = stage.complete(opening).expect("a device");
    rustix::io::write(&master, b"hello\n").expect("to write");
    if matches!(by, By::DroppedError) {
        // Handles keep the error that ended their connection.
        drop(connection);
        ends(stage);
        return stage.until_reached(before);
    }
    if at != At::Lost {
        stage.until_reached(before);
    }
    drop(master);
    connection.handle().close();
    ends(stage);
    stage.until_reached(before);
}

fn terminal() -> (OwnedFd, OwnedFd) {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let master = openpt(flags).expect("a pseudoterminal");
    grantpt(&master).expect("access to it");
    unlockpt(&master).expect("a terminal");
    let name = ptsname(&master, Vec::new()).expect("its name");
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let terminal = rustix::fs::open(name, flags, Mode::empty()).expect("the terminal");
    (master, terminal)
}

fn ends(stage: &Stage) {
    stage.until("the end", || stage.event_loop.statistics().connections_open == 0);
}

/// Two pipes, one each way, and the ends of the other side.
fn joined(stage: &Stage, at: At) -> (TransportHandle, std::io::PipeWriter, std::io::PipeReader) {
    let (their_reader, our_writer) = pipe().expect("a pipe");
    let (our_reader, their_writer) = pipe().expect("a pipe");
    let make = Actor::new(stage, at, By::Panic);
    let opening = stage.event_loop.connect_pipes(make, our_reader, our_writer).start();
    let connection = stage.complete(opening).expect("two pipes");
    (connection.handle().clone(), their_writer, their_reader)
}

const PIPES: &[Point] = &[
    reported("a read pipe's connection_made", |stage| read_at(stage, At::Made, By::Panic)),
    reported("a read pipe's data_received", |stage| read_at(stage, At::Data, By::Panic)),
    reported("a read pipe's eof_received", |stage| read_at(stage, At::Eof, By::Panic)),
    reported("a read pipe's connection_lost", |stage| read_at(stage, At::Lost, By::Panic)),
    reported("the drop of a read pipe's data_received's error", |stage| {
        read_at(stage, At::Data, By::DroppedError);
    }),
    reported("the drop of a read pipe's protocol", |stage| reads(stage, Actor::dropped(stage))),
    reported("a read pipe's get_buffer", |stage| {
        let mut make = Actor::new(stage, At::GetBuffer, By::Panic);
        reads(stage, move || Buffered(make()));
    }),
    reported("a read pipe's buffer_updated", |stage| {
        let mut make = Actor::new(stage, At::BufferUpdated, By::Panic);
        reads(stage, move || Buffered(make()));
    }),
    reported("a write pipe's pause_writing", |stage| writes(stage, At::Pause, By::Panic)),
    reported("a write pipe's resume_writing", |stage| writes(stage, At::Resume, By::Panic)),
    reported("a write pipe's connection_lost", |stage| writes(stage, At::Lost, By::Panic)),
    reported("the drop of bytes written to a pipe", |stage| {
        let before = stage.bomb.count();
        let (mut reader, writer) = pipe().expect("a pipe");
        let make = Actor::new(stage, At::Nowhere, By::Panic);
        let opening = stage.event_loop.connect_write_pipe(make, writer).start();
        let connection = stage.complete(opening).expect("a pipe");
        let owner = Owner(vec![7; 300_000], stage.bomb.on_drop());
        connection.handle().write_bytes(Bytes::from_owner(owner));
        let reading = std::thread::spawn(move || reader.read_to_end(&mut Vec::new()));
        stage.until_reached(before);
        connection.handle().close();
        ends(stage);
        assert_eq!(reading.join().expect("a thread").expect("to read"), 300_000);
    }),
    reported("data_received of two pipes", |stage| {
        let before = stage.bomb.count();
        let (handle, mut writer, _reader) = joined(stage, At::Data);
        writer.write_all(b"hello").expect("to write");
        stage.until_reached(before);
        handle.abort();
        ends(stage);
    }),
    reported("a device's connection_made", |stage| device_at(stage, At::Made, By::Panic)),
    reported("a device's data_received", |stage| device_at(stage, At::Data, By::Panic)),
    reported("a device's connection_lost", |stage| device_at(stage, At::Lost, By::Panic)),
    reported("the drop of a device's data_received's error", |stage| {
        device_at(stage, At::Data, By::DroppedError);
    }),
    elsewhere("a pipe's factory", |stage| {
        let (bomb, mut make) = (stage.bomb.clone(), Actor::new(stage, At::Nowhere, By::Panic));
        let factory = move || {
            bomb.tick();
            make()
        };
        let (reader, _writer) = pipe().expect("a pipe");
        let opening = stage.event_loop.connect_read_pipe(factory, reader).start();
        if let Ok(connection) = stage.complete(opening) {
            connection.handle().abort();
        }
        ends(stage);
    }),
];

#[test]
fn protocols_of_pipes_and_devices_may_panic_and_their_errors_too() {
    blow_up(PIPES);
}
