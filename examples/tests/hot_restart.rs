//! Hot restarts of the example, under load and with deaths at the worst moments.
#![allow(clippy::print_stdout, reason = "the test's child processes report on it")]

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::process::Signal;
use wharf::{EventLoop, Protocol, Transport};

use crate::process::{Guard, command, role};
use crate::program::{PATIENCE, Program};
use crate::serving::{Directory, run};

const LOADERS: usize = 4;

/// Threads that connect, have bytes echoed, check them and close, one connection after the other.
struct Load {
    stop: Arc<AtomicBool>,
    connections: Arc<AtomicU64>,
    threads: Vec<JoinHandle<Result<(), String>>>,
}

impl Load {
    fn start(address: &str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let connections = Arc::new(AtomicU64::new(0));
        let thread = |seed: usize| {
            let (address, stop) = (address.to_owned(), Arc::clone(&stop));
            let connections = Arc::clone(&connections);
            thread::spawn(move || {
                let mut number = seed;
                while !stop.load(Ordering::Relaxed) {
                    number += LOADERS;
                    use_once(&address, number).map_err(|error| format!("{number}: {error}"))?;
                    connections.fetch_add(1, Ordering::Relaxed);
                    // Not to use up the ports of this machine.
                    thread::sleep(Duration::from_millis(1));
                }
                Ok(())
            })
        };
        let threads = (0..LOADERS).map(thread).collect();
        Self { stop, connections, threads }
    }

    /// Waits until so many more connections were made.
    #[track_caller]
    fn more(&self, count: u64) {
        let until = self.connections.load(Ordering::Relaxed) + count;
        let deadline = std::time::Instant::now() + PATIENCE;
        while self.connections.load(Ordering::Relaxed) < until {
            assert!(std::time::Instant::now() < deadline, "nobody is served any more");
            assert!(!self.threads.iter().all(JoinHandle::is_finished), "all have failed");
            thread::sleep(Duration::from_millis(1));
        }
    }

    fn finish(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().unwrap().expect("no connection failed");
        }
        self.connections.load(Ordering::Relaxed)
    }
}

/// Some connections say nothing for a while, some say several things.
fn use_once(address: &str, number: usize) -> std::io::Result<()> {
    let mut client = TcpStream::connect(address)?;
    client.set_read_timeout(Some(PATIENCE))?;
    if number.is_multiple_of(3) {
        thread::sleep(Duration::from_millis(3));
    }
    for part in 0..1 + number % 4 {
        let message = [(number + part) as u8; 64];
        client.write_all(&message)?;
        let mut echoed = [0; 64];
        client.read_exact(&mut echoed)?;
        assert_eq!(echoed, message);
    }
    Ok(())
}

fn server(control: &Path) -> Program {
    let control = control.to_str().unwrap();
    Program::example("hot_restart", &["--listen", "127.0.0.1:0", "--control", control])
}

/// One that has taken over; it says so before where it listens.
fn successor(control: &Path, address: &str) -> Program {
    let successor = server(control);
    assert_eq!(successor.line(), "taken over");
    assert_eq!(successor.address(), address);
    successor
}

#[test]
fn restarts_under_load_fail_no_connection() {
    let directory = Directory::new();
    let control = directory.join("control");
    let mut current = server(&control);
    let address = current.address();
    let load = Load::start(&address);
    load.more(50);
    for _ in 0..8 {
        let next = successor(&control, &address);
        let ending = std::mem::replace(&mut current, next).end();
        assert_eq!(ending.code, Some(0));
        let is_expected = |line: &str| line.starts_with("hot_restart: replaced; ");
        assert!(ending.errors.lines().all(is_expected), "{}", ending.errors);
        load.more(100);
    }
    assert!(load.finish() > 800);
    current.signal(Signal::TERM);
    assert_eq!(current.end().code, Some(0));
    assert!(!control.exists());
}

/// A connection that was used: it stays with the process that accepted it.
fn established(address: &str) -> TcpStream {
    let mut client = TcpStream::connect(address).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    echo_once(&mut client);
    client
}

fn echo_once(client: &mut TcpStream) {
    client.write_all(b"x").unwrap();
    client.read_exact(&mut [0]).unwrap();
}

#[test]
fn replaced_server_serves_its_connections_until_they_end() {
    let directory = Directory::new();
    let control = directory.join("control");
    let first = server(&control);
    let address = first.address();
    let mut client = established(&address);
    let second = successor(&control, &address);
    let third = successor(&control, &address);
    assert_eq!(second.end().code, Some(0));
    for _ in 0..10 {
        echo_once(&mut client);
    }
    drop(client);
    let ending = first.end();
    assert_eq!(ending.code, Some(0));
    let told = "hot_restart: replaced; 1 connections go on here until they end\n";
    assert_eq!(ending.errors, told);
    third.signal(Signal::TERM);
    assert_eq!(third.end().code, Some(0));
}

#[test]
fn replaced_server_cuts_connections_off_after_its_drain_time_or_a_signal() {
    let directory = Directory::new();
    let control = directory.join("control");
    let path = control.to_str().unwrap();
    let arguments = ["--listen", "127.0.0.1:0", "--control", path, "--drain", "0.1"];
    let first = Program::example("hot_restart", &arguments);
    let address = first.address();
    let mut client = established(&address);
    let second = successor(&control, &address);
    assert_eq!(client.read(&mut [0]).unwrap_or(0), 0);
    let ending = first.end();
    assert_eq!(ending.code, Some(1));
    assert!(ending.errors.ends_with("1 connections had to be cut off\n"), "{}", ending.errors);

    let _client = established(&address);
    let third = successor(&control, &address);
    second.signal(Signal::TERM);
    let ending = second.end();
    assert_eq!(ending.code, Some(1));
    assert!(ending.errors.contains("another signal ends them at once"), "{}", ending.errors);
    drop(third);
}

#[test]
fn predecessor_that_is_stopped_is_not_waited_for_for_ever() {
    let directory = Directory::new();
    let control = directory.join("control");
    let path = control.to_str().unwrap();
    let first = server(&control);
    let address = first.address();
    first.stop();
    let arguments = ["--listen", "127.0.0.1:0", "--control", path, "--patience", "1.5"];
    let ending = Program::example("hot_restart", &arguments).end();
    assert_eq!((ending.code, &ending.output[..]), (Some(1), &[][..]));
    assert!(
        ending.errors.contains("hot_restart: waiting for the process at "),
        "{}",
        ending.errors
    );
    assert!(ending.errors.contains("gave no answer in 1.5s"), "{}", ending.errors);
    // Nothing has changed for it.
    first.signal(Signal::CONT);
    use_once(&address, 1).unwrap();
    let second = successor(&control, &address);
    assert_eq!(first.end().code, Some(0));
    second.signal(Signal::TERM);
    assert_eq!(second.end().code, Some(0));
}

const DRAINS: &str = "hot_restart::predecessor_that_drains_answers_nobody_any_more";

/// A generation that drains for as long as somebody is connected.
fn serve_and_drain() {
    let control = PathBuf::from(std::env::var_os("CONTROL").expect("a path"));
    let event_loop = EventLoop::new().expect("a loop");
    let served = event_loop.run(async |event_loop: EventLoop| {
        let server = match event_loop.take_over(&control).await? {
            Some(mut inherited) => {
                let listeners = inherited.take_listeners("echo");
                let server = event_loop.create_server_on(|| Drained, listeners).await?;
                inherited.serving([("echo", &server)]).await?;
                println!("\ntaken over");
                server
            }
            None => {
                let server = event_loop.create_server(|| Drained, "127.0.0.1:0").await?;
                event_loop.offer_handover(&control, [("echo", &server)]).await?;
                server
            }
        };
        println!("\nlistening on {}", server.addresses()[0]);
        server.serve_forever().await?;
        server.shutdown(Duration::from_secs(600)).await?;
        Ok(())
    });
    served.expect("no error");
}

/// Echoes, and leaves it to its peer when to end.
struct Drained;

impl Protocol for Drained {
    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> wharf::Result {
        transport.write(data);
        Ok(())
    }

    fn shutting_down(&mut self, _: &dyn Transport) -> wharf::Result {
        Ok(())
    }
}

/// Whoever asks while a predecessor still drains is answered by its successor, and by nobody else,
/// though both have had the control socket: here the successor is stopped, so that an answer could
/// only be the predecessor's.
#[test]
fn predecessor_that_drains_answers_nobody_any_more() {
    if role().is_some() {
        return serve_and_drain();
    }
    let directory = Directory::new();
    let control = directory.join("control");
    let generation =
        || Program::start(command(DRAINS, "generation").env("CONTROL", &control)).unwrap();
    let said = |program: &Program, text: &str| loop {
        let line = program.line();
        if let Some(rest) = line.strip_prefix(text) {
            return rest.to_owned();
        }
    };
    let first = generation();
    let address = said(&first, "listening on ");
    let mut established = TcpStream::connect(&*address).unwrap();
    established.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut echo = |count: usize| {
        for number in 0..count {
            established.write_all(&[number as u8]).unwrap();
            let mut echoed = [0];
            established.read_exact(&mut echoed).unwrap();
            assert_eq!(echoed, [number as u8]);
        }
    };
    echo(1);
    let second = generation();
    said(&second, "taken over");
    assert_eq!(said(&second, "listening on "), address);
    echo(1);
    second.stop();

    // The kernel takes whoever connects; the first has turns enough to see it.
    let mut asking = UnixStream::connect(&control).unwrap();
    asking.set_nonblocking(true).unwrap();
    echo(50);
    let answer = asking.read(&mut [0; 1]);
    assert_eq!(answer.unwrap_err().kind(), ErrorKind::WouldBlock, "the first has answered");
    drop(asking);

    // A whole successor that asks meanwhile is served once the second can.
    let third = generation();
    echo(50);
    second.signal(Signal::CONT);
    said(&third, "taken over");
    assert_eq!(said(&third, "listening on "), address);
    assert_eq!(second.end().code, Some(0));
    // The first drains still, and ends with its last connection.
    echo(1);
    drop(established);
    assert_eq!(first.end().code, Some(0));
    use_once(&address, 1).unwrap();
}

const KILLED: &str = "hot_restart::successor_killed_midway_changes_nothing";

/// A successor that says when it has everything, and then does nothing.
fn take_over_and_hang(serves: bool) {
    let control = PathBuf::from(std::env::var_os("CONTROL").expect("a path"));
    run(async |event_loop| {
        let mut inherited = event_loop.take_over(&control).await?.ok_or("a predecessor")?;
        let listeners = inherited.take_listeners("echo");
        assert_eq!(listeners.len(), 1);
        let mut output = std::io::stdout();
        if serves {
            // It has said that it serves only when it is dead.
            let server = event_loop.create_server_on(|| crate::serving::Echo, listeners);
            let server = server.start_serving(false).await?;
            output.write_all(b"ready\n")?;
            output.flush()?;
            event_loop.sleep(Duration::from_secs(60)).await;
            drop(server);
        } else {
            output.write_all(b"ready\n")?;
            output.flush()?;
            event_loop.sleep(Duration::from_secs(60)).await;
        }
        Ok(())
    });
}

#[test]
fn successor_killed_midway_changes_nothing() {
    match role().as_deref() {
        Some("hangs") => return take_over_and_hang(false),
        Some("hangs with a server") => return take_over_and_hang(true),
        _ => {}
    }
    let directory = Directory::new();
    let control = directory.join("control");
    let first = server(&control);
    let address = first.address();
    let load = Load::start(&address);
    for role in ["hangs", "hangs with a server", "hangs"] {
        let child = command(KILLED, role)
            .env("CONTROL", &control)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut child = Guard(child);
        wait_for_ready(&mut child);
        load.more(20);
        // SIGKILL.
        child.0.kill().unwrap();
        child.wait();
        load.more(20);
    }
    // The first still serves, and can still hand over.
    let second = successor(&control, &address);
    assert_eq!(first.end().code, Some(0));
    load.more(20);
    load.finish();
    second.signal(Signal::TERM);
    assert_eq!(second.end().code, Some(0));
}

fn wait_for_ready(child: &mut Guard) {
    let mut output = child.0.stdout.take().expect("a pipe");
    let mut text = Vec::new();
    while !text.ends_with(b"ready\n") {
        let mut byte = [0];
        assert_eq!(output.read(&mut byte).unwrap(), 1, "it ended: {}", text.escape_ascii());
        text.extend(byte);
    }
}

#[test]
fn killed_server_leaves_nothing_that_keeps_the_next_from_starting() {
    let directory = Directory::new();
    let control = directory.join("control");
    let first = server(&control);
    let address = first.address();
    use_once(&address, 1).unwrap();
    drop(first);
    // Nobody is there any more, but the path is: the next one is the first again.
    let second = server(&control);
    let address = second.address();
    use_once(&address, 2).unwrap();
    second.signal(Signal::TERM);
    assert_eq!(second.end().code, Some(0));
}
