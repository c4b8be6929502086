//! Connections that are reset, at each point of their lives.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::rc::Rc;
use std::time::Duration;

use socket2::SockRef;
use wharf::{Eof, Error, EventLoop, Protocol, Result, Server, Transport};

use crate::process::{alone, open_descriptors};
use crate::serving::{Seen, address, run, until};

/// More than any socket holds.
const MUCH: usize = 32 * 1024 * 1024;

/// What the protocol does, to bring its connection to a certain point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Does {
    /// Receives, and keeps its side open when the peer ends its own.
    Receive,
    Pause,
    Write,
    EndWriting,
    Echo,
    /// Closes with more to send than the peer takes.
    WriteAndClose,
    /// Closes when asked to, with input that it did not read.
    PauseAndCloseLater,
}

struct Doing {
    does: Does,
    seen: Rc<Seen>,
}

impl Protocol for Doing {
    fn connection_made(&mut self, transport: &dyn Transport) -> Result {
        self.seen.made.set(self.seen.made.get() + 1);
        self.seen.handles.borrow_mut().push(transport.handle());
        match self.does {
            Does::Receive | Does::Echo => {}
            Does::Pause | Does::PauseAndCloseLater => transport.pause_reading(),
            Does::Write => drop(transport.write(&vec![7; MUCH])),
            Does::EndWriting => transport.write_eof(),
            Does::WriteAndClose => {
                transport.write(&vec![7; MUCH]);
                transport.close();
            }
        }
        Ok(())
    }

    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
        self.seen.received.borrow_mut().extend_from_slice(data);
        if self.does == Does::Echo {
            transport.write(data);
        }
        Ok(())
    }

    fn eof_received(&mut self, _: &dyn Transport) -> Result<Eof> {
        self.seen.eofs.set(self.seen.eofs.get() + 1);
        Ok(Eof::KeepOpen)
    }

    fn connection_lost(&mut self, _: &dyn Transport, error: Option<&Error>) -> Result {
        let kind = error.map(|error| format!("{:?}", error.io_kind()));
        self.seen.lost.borrow_mut().push(kind);
        Ok(())
    }
}

fn reset(peer: TcpStream) {
    SockRef::from(&peer).set_linger(Some(Duration::ZERO)).expect("an option");
}

/// Has one connection whose protocol does `does` and whose peer acts as `peer`, which ends in a
/// reset, and checks that it is lost once, with one of these errors, and leaves nothing.
async fn check(
    event_loop: &EventLoop,
    does: Does,
    expected: &[Option<ErrorKind>],
    peer: impl AsyncFnOnce(TcpStream, &Seen, &Server),
) -> Result<Rc<Seen>> {
    let before = open_descriptors();
    let seen = Seen::new();
    let own = Rc::clone(&seen);
    let server = event_loop
        .create_server(move || Doing { does, seen: Rc::clone(&own) }, "127.0.0.1:0")
        .start_serving(false)
        .write_buffer_cap(None)
        .await?;
    peer(TcpStream::connect(address(&server))?, &seen, &server).await;
    server.start_serving()?;
    until(event_loop, &format!("{does:?}: the end"), || seen.lost() > 0).await;
    event_loop.sleep(Duration::from_millis(5)).await;
    assert_eq!((seen.made.get(), seen.lost()), (1, 1), "{does:?}");
    let lost = seen.lost.borrow()[0].clone();
    let allowed: Vec<Option<String>> =
        expected.iter().map(|kind| kind.map(|kind| format!("{:?}", Some(kind)))).collect();
    assert!(allowed.contains(&lost), "{does:?}: {lost:?}");
    assert_eq!(server.connections(), 0, "{does:?}");
    server.close();
    until(event_loop, "nothing to linger", || event_loop.statistics().lingering == 0).await;
    assert_eq!(event_loop.statistics().sources, 0, "{does:?}");
    assert_eq!(event_loop.statistics().connections_open, 0, "{does:?}");
    assert_eq!(open_descriptors(), before, "{does:?}");
    Ok(seen)
}

/// Lets the server accept, and waits until it has.
async fn accepted(event_loop: &EventLoop, seen: &Seen, server: &Server) {
    server.start_serving().expect("it is open");
    until(event_loop, "a connection", || seen.made.get() == 1).await;
}

const RESET: Option<ErrorKind> = Some(ErrorKind::ConnectionReset);
const BROKEN: Option<ErrorKind> = Some(ErrorKind::BrokenPipe);

#[test]
fn a_reset_ends_a_connection_once_at_each_point_of_its_life() {
    alone("resets::a_reset_ends_a_connection_once_at_each_point_of_its_life", || {
        run(async |event_loop| {
            let event_loop = &event_loop;

            // Before it is accepted.
            check(event_loop, Does::Receive, &[RESET], async |peer, _, _| reset(peer)).await?;

            // Before any data.
            check(event_loop, Does::Receive, &[RESET], async |peer, seen, server| {
                accepted(event_loop, seen, server).await;
                reset(peer);
            })
            .await?;

            // After data: all of it is delivered before the error.
            let received =
                check(event_loop, Does::Receive, &[RESET], async |mut peer, seen, server| {
                    accepted(event_loop, seen, server).await;
                    peer.write_all(&[7; 20_000]).expect("room");
                    reset(peer);
                })
                .await?;
            assert_eq!(received.received.borrow().len(), 20_000);

            // While reading is paused: at once, and what was not read is not delivered.
            let paused =
                check(event_loop, Does::Pause, &[RESET], async |mut peer, seen, server| {
                    accepted(event_loop, seen, server).await;
                    peer.write_all(b"unread").expect("room");
                    reset(peer);
                })
                .await?;
            assert_eq!(*paused.received.borrow(), b"");

            // While we write more than it takes.
            check(event_loop, Does::Write, &[RESET, BROKEN], async |peer, seen, server| {
                accepted(event_loop, seen, server).await;
                until(event_loop, "a queue", || seen.handles.borrow()[0].write_buffer_size() > 0)
                    .await;
                reset(peer);
            })
            .await?;

            // While reading is held, because it does not read its echo.
            check(event_loop, Does::Echo, &[RESET, BROKEN], async |peer, seen, server| {
                accepted(event_loop, seen, server).await;
                peer.set_nonblocking(true).expect("a mode");
                until(event_loop, "a hold", || {
                    while (&peer).write(&[7; 65_536]).is_ok() {}
                    !seen.handles.borrow()[0].is_reading()
                })
                .await;
                reset(peer);
            })
            .await?;

            // After our end, which it has seen.
            check(event_loop, Does::EndWriting, &[RESET], async |mut peer, seen, server| {
                accepted(event_loop, seen, server).await;
                event_loop.sleep(Duration::from_millis(1)).await;
                assert_eq!(peer.read(&mut [0; 1]).expect("the end"), 0);
                reset(peer);
            })
            .await?;

            // After its own end, with our side kept open.
            let ended =
                check(event_loop, Does::Receive, &[RESET, BROKEN], async |peer, seen, server| {
                    accepted(event_loop, seen, server).await;
                    peer.shutdown(Shutdown::Write).expect("a connection");
                    until(event_loop, "the end", || seen.eofs.get() == 1).await;
                    reset(peer);
                })
                .await?;
            assert_eq!(ended.eofs.get(), 1);

            // While we close, with a queue that is being flushed.
            check(event_loop, Does::WriteAndClose, &[RESET, BROKEN], async |peer, seen, server| {
                accepted(event_loop, seen, server).await;
                event_loop.sleep(Duration::from_millis(1)).await;
                assert_eq!(seen.lost(), 0, "it flushes");
                reset(peer);
            })
            .await?;

            // While we close, waiting for the peer's end: that is the end we wanted.
            check(event_loop, Does::PauseAndCloseLater, &[None], async |mut peer, seen, server| {
                accepted(event_loop, seen, server).await;
                peer.write_all(&[7; 10_000]).expect("room");
                let handle = seen.handles.borrow()[0].clone();
                handle.close();
                until(event_loop, "the end", || seen.lost() == 1).await;
                assert_eq!(event_loop.statistics().lingering, 1, "it waits for the peer's end");
                reset(peer);
            })
            .await?;
            Ok(())
        });
    });
}

#[test]
fn a_reset_of_a_clients_connection_is_the_same() {
    alone("resets::a_reset_of_a_clients_connection_is_the_same", || {
        run(async |event_loop| {
            let before = open_descriptors();
            let listener = TcpListener::bind("127.0.0.1:0")?;
            for does in [Does::Receive, Does::Pause, Does::Write, Does::WriteAndClose] {
                let seen = Seen::new();
                let own = Rc::clone(&seen);
                let factory = move || Doing { does, seen: own };
                event_loop.create_connection(factory, listener.local_addr()?).await?;
                let (mut peer, _) = listener.accept()?;
                peer.write_all(b"hello")?;
                event_loop.sleep(Duration::from_millis(1)).await;
                assert_eq!(seen.lost(), 0);
                reset(peer);
                until(&event_loop, "the end", || seen.lost() == 1).await;
                let error = seen.lost.borrow()[0].clone();
                assert!(error.is_some(), "{does:?}");
                let expected: &[u8] =
                    if does == Does::Receive || does == Does::Write { b"hello" } else { b"" };
                assert_eq!(*seen.received.borrow(), expected, "{does:?}");
            }
            drop(listener);
            assert_eq!(event_loop.statistics().sources, 0);
            assert_eq!(open_descriptors(), before);
            Ok(())
        });
    });
}
