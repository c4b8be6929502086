//! TLS over what is no socket.

use std::io;
use std::os::unix::net::UnixStream;

use wharf::bytes::Bytes;
use wharf::{EventLoop, Protocol, TlsUpgrade, TlsVersion, Transport};

use super::{VERSIONS, logs};
use crate::encryption::Tls;
use crate::probe::{Call, Log, Probe};
use crate::running::run_until;

fn upgrading(log: &Log, upgrade: TlsUpgrade) -> Probe {
    Probe::new(log).on_made(move |transport| {
        transport.start_tls(upgrade.clone(), Bytes::new());
        Ok(())
    })
}

fn sides(version: TlsVersion) -> (TlsUpgrade, TlsUpgrade) {
    let Tls { client, server } = Tls::new(version);
    (client.server_name("server.test").into(), server.into())
}

/// Has the near end say much, which the far one says again, and then close.
fn converse(event_loop: &EventLoop, near: &Log, far: &Log, version: TlsVersion) {
    run_until(event_loop, "both handshakes", || {
        near.count(Call::TlsEstablished) == 1 && far.count(Call::TlsEstablished) == 1
    });
    assert_eq!(near.handle().info().tls().unwrap().version(), Some(version));
    let much: Vec<u8> = (0..500_000_u32).map(|at| (at % 251) as u8).collect();
    near.handle().write(&much);
    run_until(event_loop, "the echo", || near.received_len() == much.len());
    assert!(near.received() == much, "the bytes differ");
    assert_eq!(near.handle().can_write_eof(), version == TlsVersion::Tls13);
    near.handle().close();
    run_until(event_loop, "both ends", || near.is_lost() && far.is_lost());
    assert_eq!((near.cause(), far.cause()), (None, None));
}

#[test]
fn tls_goes_over_two_pipes() {
    for version in VERSIONS {
        let event_loop = EventLoop::new().unwrap();
        let ((near, far), (client, server)) = (logs(), sides(version));
        let (forward, back) = (io::pipe().unwrap(), io::pipe().unwrap());
        let client = upgrading(&near, client);
        let server = upgrading(&far, server).echoing();
        let near_end = event_loop.connect_pipes(|| client, back.0, forward.1).start();
        let far_end = event_loop.connect_pipes(|| server, forward.0, back.1).start();
        event_loop.run_until_complete(near_end).unwrap().unwrap();
        event_loop.run_until_complete(far_end).unwrap().unwrap();
        converse(&event_loop, &near, &far, version);
    }
}

/// Its line is raw: what a terminal makes of some bytes would be no TLS any more.
#[test]
fn tls_goes_over_a_device_that_is_read_and_written() {
    use rustix::fs::{Mode, OFlags};
    use rustix::pty::OpenptFlags;
    use rustix::termios::OptionalActions;

    let event_loop = EventLoop::new().unwrap();
    let ((near, far), (client, server)) = (logs(), sides(TlsVersion::Tls13));
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let master = rustix::pty::openpt(flags).expect("a pseudoterminal");
    rustix::pty::grantpt(&master).expect("access to it");
    rustix::pty::unlockpt(&master).expect("a terminal");
    let name = rustix::pty::ptsname(&master, Vec::new()).expect("its name");
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let terminal = rustix::fs::open(name, flags, Mode::empty()).expect("the terminal");
    let mut settings = rustix::termios::tcgetattr(&terminal).unwrap();
    settings.make_raw();
    rustix::termios::tcsetattr(&terminal, OptionalActions::Now, &settings).unwrap();

    let (client, server) = (upgrading(&near, client), upgrading(&far, server).echoing());
    let near_end = event_loop.connect_device(|| client, master).start();
    let far_end = event_loop.connect_device(|| server, terminal).start();
    event_loop.run_until_complete(near_end).unwrap().unwrap();
    event_loop.run_until_complete(far_end).unwrap().unwrap();
    near.handle().write(b"over a line");
    run_until(&event_loop, "the echo", || near.received() == b"over a line");
    near.handle().close();
    run_until(&event_loop, "both ends", || near.is_lost() && far.is_lost());
    assert_eq!(near.cause(), None);
}

#[test]
fn a_pipe_of_one_way_says_that_it_cannot_have_tls() {
    fn refused(event_loop: &EventLoop, log: &Log, protocol: impl Protocol, reads: bool) {
        let (reader, writer) = io::pipe().unwrap();
        let connecting = match reads {
            true => event_loop.connect_read_pipe(|| protocol, reader).start(),
            false => event_loop.connect_write_pipe(|| protocol, writer).start(),
        };
        event_loop.run_until_complete(connecting).unwrap().unwrap();
        run_until(event_loop, "connection_lost", || log.is_lost());
        let cause = log.cause().unwrap();
        assert!(cause.text.contains("this pipe goes one way"), "{cause:?}");
        assert!(cause.text.contains("connect_pipes"), "{cause:?}");
    }
    let event_loop = EventLoop::new().unwrap();
    for reads in [true, false] {
        let ((log, _), (client, _)) = (logs(), sides(TlsVersion::Tls13));
        let probe = upgrading(&log, client);
        refused(&event_loop, &log, probe, reads);
    }
    // One end of a pair of sockets that is taken as a pipe is none but in name.
    let ((log, _), (client, _)) = (logs(), sides(TlsVersion::Tls13));
    let (socket, _peer) = UnixStream::pair().unwrap();
    let probe = upgrading(&log, client);
    let connecting = event_loop.connect_read_pipe(|| probe, socket).start();
    event_loop.run_until_complete(connecting).unwrap().unwrap();
    run_until(&event_loop, "connection_lost", || log.is_lost());
}
