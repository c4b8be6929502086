//! Pipes whose writer asks for packets, and descriptors of events.
#![cfg(target_os = "linux")]

use std::fs::File;
use std::io::{PipeReader, PipeWriter, Read, Write};
use std::os::fd::OwnedFd;

use rustix::fs::OFlags;
use rustix::pipe::PipeFlags;
use wharf::{Buffered, EventLoop, RateLimit, Splicing, relay};

use crate::pipes::{read_with, write_with};
use crate::probe::{Call, Log, Probe};
use crate::running::run_until;

/// A pipe each of whose writes is a packet.
fn packets() -> (OwnedFd, File) {
    let (reader, writer) = rustix::pipe::pipe_with(PipeFlags::DIRECT | PipeFlags::CLOEXEC).unwrap();
    (reader, writer.into())
}

#[test]
fn all_packets_of_a_pipe_are_read() {
    let event_loop = EventLoop::new().unwrap();
    let (reader, mut writer) = packets();
    let log = Log::new();
    read_with(&event_loop, reader, Probe::new(&log));
    for round in 1..=20 {
        writer.write_all(b"abc").unwrap();
        writer.write_all(b"def").unwrap();
        run_until(&event_loop, "both packets", || log.received_len() == 6 * round);
    }
    assert_eq!(log.received(), b"abcdef".repeat(20));
}

#[test]
fn a_pipe_may_become_one_of_packets_at_any_time() {
    let event_loop = EventLoop::new().unwrap();
    let (reader, mut writer) = std::io::pipe().unwrap();
    let log = Log::new();
    read_with(&event_loop, reader, Probe::new(&log));
    writer.write_all(b"stream").unwrap();
    run_until(&event_loop, "a stream", || log.received() == b"stream");
    let flags = rustix::fs::fcntl_getfl(&writer).unwrap();
    rustix::fs::fcntl_setfl(&writer, flags | OFlags::DIRECT).unwrap();
    writer.write_all(b"abc").unwrap();
    writer.write_all(b"def").unwrap();
    run_until(&event_loop, "both packets", || log.received() == b"streamabcdef");
}

#[test]
fn a_packet_is_whole_however_little_is_read_at_once() {
    let packet: Vec<u8> = (0..4000_u32).map(|index| (index / 7) as u8).collect();
    for limited in [false, true] {
        let event_loop = EventLoop::new().unwrap();
        let (reader, mut writer) = packets();
        let log = Log::new();
        let probe = Probe::new(&log).buffer_of(10);
        if limited {
            read_with(
                &event_loop,
                reader,
                probe.on_made(|transport| {
                    transport.set_read_limit(Some(RateLimit::bytes_per_second(100_000).burst(100)));
                    Ok(())
                }),
            );
        } else {
            read_with(&event_loop, reader, Buffered(probe));
        }
        writer.write_all(&packet).unwrap();
        writer.write_all(&packet).unwrap();
        drop(writer);
        run_until(&event_loop, "the end", || log.is_lost());
        assert!(log.received() == packet.repeat(2), "{} bytes", log.received_len());
        assert_eq!(log.count(Call::Eof), 1);
    }
}

#[test]
fn a_relay_makes_a_stream_of_packets() {
    for splicing in [Splicing::Never, Splicing::Automatic, Splicing::Always] {
        let event_loop = EventLoop::new().unwrap();
        let (from, mut writer) = packets();
        let (mut reader, to): (PipeReader, PipeWriter) = std::io::pipe().unwrap();
        let (near, far) = (Log::new(), Log::new());
        read_with(&event_loop, from, Probe::new(&near).not_reading());
        write_with(&event_loop, to, Probe::new(&far));
        let relay = relay(near.handle(), far.handle()).splicing(splicing).start();
        for _ in 0..2 {
            writer.write_all(&[b'a'; 100]).unwrap();
            writer.write_all(&[b'b'; 100]).unwrap();
        }
        drop(writer);
        event_loop.run_until_complete(relay).unwrap().unwrap();
        // Of a packet whoever reads less loses the rest.
        let mut received = Vec::new();
        let mut buffer = [0; 10];
        while let Ok(count @ 1..) = reader.read(&mut buffer) {
            received.extend_from_slice(&buffer[..count]);
        }
        let expected = [[b'a'; 100], [b'b'; 100]].concat().repeat(2);
        assert!(received == expected, "{splicing:?}: {} bytes", received.len());
    }
}
