//! Peers that are killed, at each stage of a connection and of TLS on it: they say no more, and their
//! kernel says the rest.
#![allow(clippy::print_stdout, reason = "the test's child processes report on it")]

use std::cell::Cell;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::rc::Rc;
use std::time::Duration;

use wharf::{Eof, Error, Protocol, Result, Transport};

use crate::process::{command, role};
use crate::program::Program;
use crate::serving::{address, run, until};

/// More than the network holds.
const MUCH: usize = 32 * 1024 * 1024;

const PLAIN: &str = "killed::a_peer_that_is_killed_at_any_stage_leaves_nothing";

/// What a peer has said and done when it is killed, and how much the server has heard of it by then.
const STAGES: [(&str, usize); 7] = [
    ("silent", 0),
    ("in the middle of a message", 7),
    ("that takes nothing", 5),
    ("that takes a part", 5),
    ("that has ended its side", 4),
    ("that is left", 6),
    ("that is left and talks", 6),
];

/// Answers as it is asked to, and counts what it sees.
struct Answers(Rc<Seen>);

#[derive(Default)]
struct Seen {
    received: Cell<usize>,
    ended: Cell<bool>,
    lost: Cell<usize>,
    /// Whether the last one was lost with an error.
    with_error: Cell<bool>,
    waiting: Cell<bool>,
}

impl Protocol for Answers {
    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
        self.0.received.set(self.0.received.get() + data.len());
        match data {
            b"much!" => drop(transport.write(&vec![7; MUCH])),
            b"leave!" => {
                transport.write(&vec![7; MUCH]);
                transport.close();
            }
            _ => {}
        }
        self.0.waiting.set(transport.write_buffer_size() > 0);
        Ok(())
    }

    fn eof_received(&mut self, transport: &dyn Transport) -> Result<Eof> {
        self.0.ended.set(true);
        // The rest of the conversation is this side's alone.
        transport.write(&vec![7; MUCH]);
        Ok(Eof::KeepOpen)
    }

    /// Output that waits holds nothing up: what the peer says is read on.
    fn pause_writing(&mut self, _: &dyn Transport) -> Result {
        Ok(())
    }

    fn connection_lost(&mut self, _: &dyn Transport, error: Option<&Error>) -> Result {
        self.0.lost.set(self.0.lost.get() + 1);
        self.0.with_error.set(error.is_some());
        Ok(())
    }
}

/// The peer, which gets as far as `stage` and stays there.
fn be_killed(stage: &str) {
    let mut stream = TcpStream::connect(std::env::var("ADDRESS").expect("an address")).unwrap();
    match stage {
        "in the middle of a message" => stream.write_all(b"half a ").unwrap(),
        "that takes nothing" => stream.write_all(b"much!").unwrap(),
        "that takes a part" => {
            stream.write_all(b"much!").unwrap();
            stream.read_exact(&mut vec![0; 1_000_000]).unwrap();
        }
        "that has ended its side" => {
            stream.write_all(b"end!").unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            stream.read_exact(&mut vec![0; 1_000_000]).unwrap();
        }
        "that is left" => stream.write_all(b"leave!").unwrap(),
        "that is left and talks" => {
            stream.write_all(b"leave!").unwrap();
            stream.read_exact(&mut vec![0; 100_000]).unwrap();
            stream.write_all(b"but I was not done").unwrap();
        }
        _ => {}
    }
    println!("\nready");
    loop {
        std::thread::sleep(Duration::from_secs(60));
    }
}

#[test]
fn a_peer_that_is_killed_at_any_stage_leaves_nothing() {
    if let Some(stage) = role() {
        return be_killed(&stage);
    }
    run(async |event_loop| {
        let seen = Rc::new(Seen::default());
        let own = Rc::clone(&seen);
        let server =
            event_loop.create_server(move || Answers(Rc::clone(&own)), "127.0.0.1:0").await?;
        let before = event_loop.statistics();
        for (stage, heard) in STAGES {
            seen.received.set(0);
            let lost = seen.lost.get();
            let address = address(&server).to_string();
            let peer = Program::start(command(PLAIN, stage).env("ADDRESS", address))?;
            peer.line_with(&event_loop, "ready").await;
            let is_there = || server.connections() == 1 && seen.received.get() >= heard;
            until(&event_loop, stage, is_there).await;
            if stage == "that has ended its side" {
                until(&event_loop, "the end", || seen.ended.get()).await;
            }
            assert_eq!(seen.lost.get(), lost, "a peer {stage}");
            // SIGKILL.
            drop(peer);
            until(&event_loop, "connection_lost", || seen.lost.get() > lost).await;
            let gone = || event_loop.statistics().connections_open == before.connections_open;
            until(&event_loop, "the end of it", gone).await;
            assert_eq!(seen.lost.get(), lost + 1, "a peer {stage}: once");
            assert_eq!(server.connections(), 0);
            // What was not delivered is an error.
            if seen.waiting.take() || seen.ended.take() {
                assert!(seen.with_error.get(), "a peer {stage}");
            }
        }
        let after = event_loop.statistics();
        assert_eq!((after.sources, after.tasks), (before.sources, before.tasks));
        Ok(())
    });
}

#[cfg(feature = "tls")]
mod tls {
    use wharf::{EventLoop, TlsClient, TlsIdentity, TlsServer, TlsVersion};

    use super::*;

    const UNDER_TLS: &str = "killed::tls::a_peer_that_is_killed_at_any_stage_of_tls_leaves_nothing";

    const STAGES: [&str; 8] = [
        "1.3 before its first message",
        "1.3 in its first message",
        "1.2 silent",
        "1.3 silent",
        "1.2 deaf",
        "1.3 deaf",
        "1.2 left",
        "1.3 left",
    ];

    /// Says a word once the handshake is done, and reads nothing.
    struct Says(&'static [u8]);

    impl Protocol for Says {
        fn connection_made(&mut self, transport: &dyn Transport) -> Result {
            transport.pause_reading();
            transport.write(self.0);
            println!("\nready");
            Ok(())
        }

        fn data_received(&mut self, _: &dyn Transport, _: &[u8]) -> Result {
            Ok(())
        }
    }

    fn be_killed(stage: &str) {
        let address = std::env::var("ADDRESS").expect("an address");
        let (version, stage) = stage.split_once(' ').expect("a version");
        if let "before its first message" | "in its first message" = stage {
            let mut stream = TcpStream::connect(&address).unwrap();
            if stage == "in its first message" {
                // The header of a record, and the beginning of a hello.
                stream.write_all(&[22, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]).unwrap();
            }
            println!("\nready");
            std::thread::sleep(Duration::from_secs(600));
        }
        let version = if version == "1.2" { TlsVersion::Tls12 } else { TlsVersion::Tls13 };
        let client = TlsClient::builder()
            .pin_certificate_pem(std::env::var("CERTIFICATE").expect("a certificate"))
            .min_version(version)
            .max_version(version)
            .build()
            .unwrap();
        let word: &[u8] = match stage {
            "deaf" => b"much!",
            "left" => b"leave!",
            _ => b"",
        };
        let event_loop = EventLoop::new().unwrap();
        let connecting = event_loop.create_connection(|| Says(word), address).tls(client).start();
        event_loop.run_until_complete(connecting).unwrap().unwrap();
        event_loop.run_forever().unwrap();
    }

    #[test]
    fn a_peer_that_is_killed_at_any_stage_of_tls_leaves_nothing() {
        if let Some(stage) = role() {
            return be_killed(&stage);
        }
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let (chain, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        let identity = TlsIdentity::from_pem(&chain, &key);
        let tls = TlsServer::builder().identity(identity).build().unwrap();
        run(async |event_loop| {
            let seen = Rc::new(Seen::default());
            let failed = Rc::new(Cell::new(0));
            let (own, failures) = (Rc::clone(&seen), Rc::clone(&failed));
            let server = event_loop
                .create_server(move || Answers(Rc::clone(&own)), "127.0.0.1:0")
                .on_accept_error(move |_| failures.set(failures.get() + 1))
                .tls(&tls)
                .await?;
            let before = event_loop.statistics();
            for stage in STAGES {
                seen.received.set(0);
                let ends = seen.lost.get() + failed.get();
                let address = address(&server).to_string();
                let mut child = command(UNDER_TLS, stage);
                let peer =
                    Program::start(child.env("ADDRESS", address).env("CERTIFICATE", &chain))?;
                peer.line_with(&event_loop, "ready").await;
                until(&event_loop, stage, || server.connections() == 1).await;
                if stage.ends_with("deaf") || stage.ends_with("left") {
                    until(&event_loop, "the question", || seen.received.get() > 0).await;
                }
                assert_eq!(seen.lost.get() + failed.get(), ends, "a peer {stage}");
                drop(peer);
                until(&event_loop, "the end", || seen.lost.get() + failed.get() > ends).await;
                until(&event_loop, "the end of it", || server.connections() == 0).await;
                assert_eq!(seen.lost.get() + failed.get(), ends + 1, "a peer {stage}: once");
                if seen.waiting.take() {
                    assert!(seen.with_error.get(), "a peer {stage}");
                }
            }
            assert_eq!((failed.get(), seen.lost.get()), (2, STAGES.len() - 2));
            let after = event_loop.statistics();
            assert_eq!((after.sources, after.tasks), (before.sources, before.tasks));
            Ok(())
        });
    }
}
