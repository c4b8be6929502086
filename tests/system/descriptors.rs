//! A process that runs out of descriptors.

use std::cell::RefCell;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::rc::Rc;
use std::time::Duration;

use wharf::{Error, Protocol, Result, Transport};

use crate::process::{alone, cpu_time, limit_descriptors_to, raise_descriptor_limit};
use crate::serving::{Echo, Seen, address, run, until};

/// `EMFILE`.
const TOO_MANY_OPEN_FILES: i32 = 24;

/// Whether the server has closed this connection, asked without waiting.
fn is_turned_away(mut client: &TcpStream) -> bool {
    client.set_nonblocking(true).expect("a mode");
    match client.read(&mut [0; 1]) {
        Ok(count) => count == 0,
        Err(error) => error.kind() != ErrorKind::WouldBlock,
    }
}

// 191, 192.
#[test]
fn out_of_descriptors_a_server_turns_away_reports_once_rests_and_serves_again() {
    let name = "descriptors::\
                out_of_descriptors_a_server_turns_away_reports_once_rests_and_serves_again";
    alone(name, || {
        run(async |event_loop| {
            raise_descriptor_limit();
            let errors = Rc::new(RefCell::new(Vec::new()));
            let list = Rc::clone(&errors);
            let server = event_loop
                .create_server(|| Echo, "127.0.0.1:0")
                .start_serving(false)
                .on_accept_error(move |error| {
                    let code = error.io_error().and_then(std::io::Error::raw_os_error);
                    list.borrow_mut().push((code, format!("{error:#}")));
                })
                .await?;
            let to = address(&server);
            let mut clients: Vec<TcpStream> =
                (0..30).map(|_| TcpStream::connect(to)).collect::<Result<_, _>>()?;
            limit_descriptors_to(10);
            server.start_serving()?;
            let away = || clients.iter().filter(|client| is_turned_away(client)).count();
            until(&event_loop, "twenty turned away", || away() == 20).await;
            assert_eq!(server.connections(), 10);
            assert_eq!(errors.borrow().len(), 1, "{errors:?}");
            assert_eq!(errors.borrow()[0].0, Some(TOO_MANY_OPEN_FILES));

            // It does not spin, for longer than one rest.
            let before = (event_loop.statistics(), cpu_time());
            event_loop.sleep(Duration::from_millis(1500)).await;
            let ticks = event_loop.statistics().ticks - before.0.ticks;
            assert!(ticks < 20, "{ticks} ticks");
            let cpu = cpu_time() - before.1;
            assert!(cpu < Duration::from_millis(50), "{cpu:?} of CPU time");

            // Who comes now is turned away too, and not left hanging.
            raise_descriptor_limit();
            let late = TcpStream::connect(to)?;
            limit_descriptors_to(0);
            until(&event_loop, "the late one turned away", || is_turned_away(&late)).await;
            assert_eq!(errors.borrow().len(), 1, "once: {errors:?}");

            // Those that were accepted are served all the while.
            let mut served: Vec<TcpStream> =
                clients.drain(..).filter(|client| !is_turned_away(client)).collect();
            assert_eq!(served.len(), 10);
            served[0].write_all(b"x")?;
            let echoed = || (&served[0]).read(&mut [0; 1]).is_ok_and(|count| count == 1);
            until(&event_loop, "the echo", echoed).await;

            // With descriptors free, new clients are served.
            served.truncate(5);
            until(&event_loop, "five ends", || server.connections() == 5).await;
            let seen = Seen::new();
            let client = event_loop.create_connection(seen.watcher(), to).await?;
            client.with(|_, transport| transport.write(b"hello"))?;
            until(&event_loop, "the echo", || *seen.received.borrow() == b"hello").await;
            assert_eq!(errors.borrow().len(), 1, "once: {errors:?}");
            Ok(())
        });
    });
}

// 191.
#[test]
fn a_second_shortage_is_reported_again() {
    alone("descriptors::a_second_shortage_is_reported_again", || {
        run(async |event_loop| {
            raise_descriptor_limit();
            let errors = Rc::new(RefCell::new(0));
            let count = Rc::clone(&errors);
            let server = event_loop
                .create_server(|| Echo, "127.0.0.1:0")
                .on_accept_error(move |_| *count.borrow_mut() += 1)
                .await?;
            for round in 1..=2 {
                let short = TcpStream::connect(address(&server))?;
                limit_descriptors_to(0);
                until(&event_loop, "a report", || *errors.borrow() == round).await;
                assert!(is_turned_away(&short));
                raise_descriptor_limit();
                let served = TcpStream::connect(address(&server))?;
                until(&event_loop, "a connection", || server.connections() == 1).await;
                drop(served);
                until(&event_loop, "its end", || server.connections() == 0).await;
            }
            Ok(())
        });
    });
}

#[test]
fn a_connect_without_a_descriptor_fails_and_the_loop_goes_on() {
    alone("descriptors::a_connect_without_a_descriptor_fails_and_the_loop_goes_on", || {
        run(async |event_loop| {
            let server = event_loop.create_server(|| Echo, "127.0.0.1:0").await?;
            limit_descriptors_to(0);
            let error = event_loop.create_connection(|| Echo, address(&server)).await.unwrap_err();
            assert!(error.is_connect());
            let cause = error.attempts()[0].error.raw_os_error();
            assert_eq!(cause, Some(TOO_MANY_OPEN_FILES));
            let refused = event_loop.create_server(|| Echo, "127.0.0.1:0").await.unwrap_err();
            let cause = refused.io_error().and_then(std::io::Error::raw_os_error);
            assert_eq!(cause, Some(TOO_MANY_OPEN_FILES));
            raise_descriptor_limit();
            event_loop.create_connection(|| Echo, address(&server)).await?;
            Ok(())
        });
    });
}

/// More than a peer that reads nothing has room for, and less than the system takes.
const UNREAD: usize = 500_000;

/// Writes, and closes at once.
struct Leaving(Rc<Seen>);

impl Protocol for Leaving {
    fn connection_made(&mut self, transport: &dyn Transport) -> Result {
        transport.write(&[7; UNREAD]);
        transport.close();
        Ok(())
    }

    fn data_received(&mut self, _: &dyn Transport, _: &[u8]) -> Result {
        Ok(())
    }

    fn connection_lost(&mut self, _: &dyn Transport, _: Option<&Error>) -> Result {
        self.0.lost.borrow_mut().push(None);
        Ok(())
    }
}

// 62: what only lingers makes room.
#[test]
fn sockets_that_linger_give_their_descriptors_up_when_there_are_no_others() {
    let name =
        "descriptors::sockets_that_linger_give_their_descriptors_up_when_there_are_no_others";
    alone(name, || {
        run(async |event_loop| {
            raise_descriptor_limit();
            let seen = Seen::new();
            let own = Rc::clone(&seen);
            let leaving = move || Leaving(Rc::clone(&own));
            let leaving = event_loop.create_server(leaving, "127.0.0.1:0").await?;
            let errors = Rc::new(RefCell::new(Vec::new()));
            let list = Rc::clone(&errors);
            let server = event_loop
                .create_server(|| Echo, "127.0.0.1:0")
                .start_serving(false)
                .on_accept_error(move |error| list.borrow_mut().push(format!("{error:#}")))
                .await?;
            let waiting = TcpStream::connect(address(&server))?;
            let left: Vec<TcpStream> = (0..40)
                .map(|_| TcpStream::connect(address(&leaving)))
                .collect::<std::io::Result<_>>()?;
            until(&event_loop, "the ends", || seen.lost() == left.len()).await;
            let before = event_loop.statistics().lingering;
            assert!(before > 30, "{before} sockets linger");
            // Their peers take nothing: that is known after a few looks, one a second.
            event_loop.sleep(Duration::from_secs(4)).await;
            let before = event_loop.statistics().lingering;
            assert!(before > 30, "{before} sockets linger");
            limit_descriptors_to(0);
            // For who is accepted, and for who connects.
            server.start_serving()?;
            until(&event_loop, "who waits", || server.connections() == 1).await;
            let client = event_loop.create_connection(|| Echo, address(&server)).await?;
            until(&event_loop, "who connects", || server.connections() == 2).await;
            assert!(errors.borrow().is_empty(), "{errors:?}");
            // Each of the three that were opened has taken the place of one. One more may have gone, as
            // `accept` asks for a descriptor before it looks whether anybody waits.
            let gone = before - event_loop.statistics().lingering;
            assert!((3..=4).contains(&gone), "{gone} have gone");
            // The oldest have gone, which shows in a reset, and the newest has not.
            let is_reset = |mut peer: &TcpStream| {
                (0..2).any(|_| peer.write_all(b"x").is_err())
                    || peer.take_error().is_ok_and(|error| error.is_some())
            };
            assert!(is_reset(&left[0]) && !is_reset(&left[left.len() - 1]));
            client.handle().close();
            drop((waiting, left));
            Ok(())
        });
    });
}

// 62: whoever comes costs nobody a reply.
#[test]
fn without_descriptors_a_slow_reader_gets_its_reply_and_who_comes_is_turned_away() {
    let name = "descriptors::\
                without_descriptors_a_slow_reader_gets_its_reply_and_who_comes_is_turned_away";
    alone(name, || {
        run(async |event_loop| {
            raise_descriptor_limit();
            let seen = Seen::new();
            let own = Rc::clone(&seen);
            let leaving = move || Leaving(Rc::clone(&own));
            let leaving = event_loop.create_server(leaving, "127.0.0.1:0").await?;
            let server =
                event_loop.create_server(|| Echo, "127.0.0.1:0").start_serving(false).await?;
            let flood: Vec<TcpStream> = (0..100)
                .map(|_| TcpStream::connect(address(&server)))
                .collect::<std::io::Result<_>>()?;
            let mut reader = TcpStream::connect(address(&leaving))?;
            reader.set_nonblocking(true)?;
            until(&event_loop, "the end", || seen.lost() == 1).await;
            limit_descriptors_to(0);
            server.start_serving()?;
            // It reads a part at a time, over more than four looks, and talks all the while.
            let mut received = 0;
            for _ in 0..23 {
                let mut part = [0; 20_000];
                received += reader.read(&mut part)?;
                let _ = reader.write(b"a word");
                event_loop.sleep(Duration::from_millis(200)).await;
            }
            let away = || flood.iter().filter(|client| is_turned_away(client)).count();
            until(&event_loop, "all turned away", || away() == flood.len()).await;
            assert_eq!((server.connections(), event_loop.statistics().lingering), (0, 1));
            reader.set_nonblocking(false)?;
            reader.set_read_timeout(Some(Duration::from_secs(60)))?;
            let mut rest = Vec::new();
            reader.read_to_end(&mut rest)?;
            assert_eq!(received + rest.len(), UNREAD);
            Ok(())
        });
    });
}
