//! What was there before a deadline went off, and descriptors of other programs that read early ends.

use std::cell::{Cell, RefCell};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::rc::Rc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use wharf::{Protocol, Result, Timeout, Transport};

use crate::needs::missing;
use crate::process::{Guard, alone, command, raise_descriptor_limit, role, stop};
use crate::serving::{address, run, until};

/// No connection of these tests is silent for so long while its process runs.
const IDLE: Duration = Duration::from_secs(2);

/// Sends everything back, and has an idle deadline.
struct ImpatientEcho;

impl Protocol for ImpatientEcho {
    fn connection_made(&mut self, transport: &dyn Transport) -> Result {
        transport.set_timeout(Timeout::Idle, Some(IDLE));
        Ok(())
    }

    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
        transport.write(data);
        Ok(())
    }
}

#[test]
fn input_that_came_while_the_process_was_stopped_is_before_its_deadlines() {
    let name = "readiness::input_that_came_while_the_process_was_stopped_is_before_its_deadlines";
    if role().is_some() {
        return run(async |event_loop| {
            let server = event_loop.create_server(|| ImpatientEcho, "127.0.0.1:0").await?;
            eprintln!("{}", address(&server));
            server.serve_forever().await?;
            Ok(())
        });
    }
    let mut child = command(name, "server");
    let child = child.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = Guard(child.spawn().expect("a process"));
    let mut line = String::new();
    BufReader::new(child.0.stderr.take().unwrap()).read_line(&mut line).unwrap();
    let mut client = TcpStream::connect(line.trim()).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut buffer = [0; 4];
    let process = Pid::from_child(&child.0);
    for round in 0..2 {
        client.write_all(b"ping").unwrap();
        client.read_exact(&mut buffer).expect("an answer");
        stop(process);
        client.write_all(b"late").unwrap();
        // Longer than the deadline: that is the subject.
        std::thread::sleep(IDLE + Duration::from_millis(500));
        kill_process(process, Signal::CONT).unwrap();
        client.read_exact(&mut buffer).unwrap_or_else(|error| panic!("round {round}: {error}"));
        assert_eq!(&buffer, b"late");
    }
}

/// Counts what comes, and whether its deadline went off before.
struct Counting {
    received: Rc<Cell<usize>>,
    timed_out: Rc<Cell<usize>>,
}

impl Protocol for Counting {
    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
        self.received.set(self.received.get() + data.len());
        transport.set_timeout(Timeout::Idle, None);
        Ok(())
    }

    fn timed_out(&mut self, _: &dyn Transport, _: Timeout) -> Result {
        self.timed_out.set(self.timed_out.get() + 1);
        Ok(())
    }
}

#[test]
fn input_of_more_connections_than_one_poll_tells_of_is_before_their_deadlines() {
    const COUNT: usize = 3000;
    alone(
        "readiness::input_of_more_connections_than_one_poll_tells_of_is_before_their_deadlines",
        || {
            if raise_descriptor_limit() < 2 * COUNT as u64 + 100 {
                return missing("more descriptors (ulimit -Hn)");
            }
            run(async |event_loop| {
                let received = Rc::new(Cell::new(0));
                let timed_out = Rc::new(Cell::new(0));
                let (mut connections, mut peers) = (Vec::new(), Vec::new());
                for _ in 0..COUNT {
                    let (near, peer) = UnixStream::pair()?;
                    let (received, timed_out) = (Rc::clone(&received), Rc::clone(&timed_out));
                    let protocol = || Counting { received, timed_out };
                    connections.push(event_loop.create_connection_on(protocol, near).await?);
                    peers.push(peer);
                }
                // Not before all are there: that can take longer than the deadline.
                for connection in &connections {
                    connection.handle().set_timeout(Timeout::Idle, Some(IDLE));
                }
                for mut peer in &peers {
                    peer.write_all(b"x")?;
                }
                // The loop is kept for longer than the deadline: that is the subject.
                std::thread::sleep(IDLE + Duration::from_millis(100));
                until(&event_loop, "all bytes", || received.get() == COUNT).await;
                assert_eq!(timed_out.get(), 0);
                Ok(())
            });
        },
    );
}

#[test]
fn output_in_packets_is_collected_and_delivered_whole() {
    // `dd` has its standard output go in packets of what it writes at once.
    let line = "head -c 40000 /dev/zero | tr '\\0' 'x' \
                | dd bs=4000 iflag=fullblock oflag=direct status=none";
    run(async |event_loop| {
        let output = event_loop.run_shell(line).await?;
        if !output.status.success() || !output.stderr.is_empty() {
            missing("GNU dd");
            return Ok(());
        }
        assert_eq!(output.stdout.len(), 40_000);

        struct Pieces(Rc<RefCell<Vec<u8>>>, Rc<Cell<bool>>);

        impl wharf::ProcessProtocol for Pieces {
            fn pipe_data_received(
                &mut self,
                _: &dyn wharf::ProcessTransport,
                _: wharf::ChildFd,
                data: &[u8],
            ) -> Result {
                self.0.borrow_mut().extend_from_slice(data);
                Ok(())
            }

            fn connection_lost(
                &mut self,
                _: &dyn wharf::ProcessTransport,
                _: Option<&wharf::Error>,
            ) -> Result {
                self.1.set(true);
                Ok(())
            }
        }

        let (received, over) = (Rc::<RefCell<Vec<u8>>>::default(), Rc::new(Cell::new(false)));
        let pieces = Pieces(Rc::clone(&received), Rc::clone(&over));
        let process = event_loop.subprocess_shell(|| pieces, line).await?;
        until(&event_loop, "its end", || over.get()).await;
        assert_eq!(received.borrow().len(), 40_000);
        drop(process);
        Ok(())
    });
}
