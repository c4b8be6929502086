//! Section F: the back-pressure cases, over real sockets and with real amounts.

use std::cell::Cell;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use wharf::testing::step;
use wharf::{EventLoop, Protocol, Result, Transport};

use crate::loops::system_loop;
use crate::probe::{Call, Log, Probe};
use crate::running::{PATIENCE, run_until};

const MIB: usize = 1024 * 1024;
const MUCH: usize = 64 * MIB;

/// The high-water mark, and the most that one `data_received` is given.
const BOUND: usize = (64 + 256) * 1024;

/// The ten-line echo, and the most it ever had waiting.
struct Echo(Rc<Cell<usize>>);

impl Protocol for Echo {
    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
        transport.write(data);
        self.0.set(self.0.get().max(transport.write_buffer_size()));
        Ok(())
    }
}

/// Writes everything when it is connected, and checks what comes back.
struct Client {
    received: Rc<Cell<usize>>,
    block: Vec<u8>,
}

impl Client {
    fn new(received: &Rc<Cell<usize>>) -> Self {
        let block = (0..BLOCK).map(|position| (position * 31 + position / 251) as u8).collect();
        Self { received: Rc::clone(received), block }
    }
}

/// What is sent is a block of this length again and again: a prime, so that no buffer fits it.
const BLOCK: usize = 65_521;

impl Protocol for Client {
    fn connection_made(&mut self, transport: &dyn Transport) -> Result {
        let mut data = self.block.repeat(MUCH.div_ceil(BLOCK));
        data.truncate(MUCH);
        transport.write(&data);
        Ok(())
    }

    fn data_received(&mut self, transport: &dyn Transport, mut data: &[u8]) -> Result {
        while !data.is_empty() {
            let seen = self.received.get();
            let expected = &self.block[seen % BLOCK..];
            let (part, rest) = data.split_at(data.len().min(expected.len()));
            if part != &expected[..part.len()] {
                return Err(format!("a wrong byte after {seen}").into());
            }
            self.received.set(seen + part.len());
            data = rest;
        }
        if self.received.get() == MUCH {
            transport.close();
        }
        Ok(())
    }
}

#[test]
fn echo_returns_64_mebibytes_to_a_client_on_the_same_loop() {
    let (tcp, unix) = (tcp_pair(), UnixStream::pair().unwrap());
    let pairs: [(OwnedFd, OwnedFd); 2] =
        [(tcp.0.into(), tcp.1.into()), (unix.0.into(), unix.1.into())];
    for (near, far) in pairs {
        let event_loop = system_loop();
        let (received, most) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
        let (client, echo) = (Client::new(&received), Echo(Rc::clone(&most)));
        event_loop
            .run(async |event_loop| {
                event_loop.connect_accepted_socket(move || echo, far).await?;
                event_loop.create_connection_on(move || client, near).await?;
                Ok(())
            })
            .unwrap();
        run_until(&event_loop, "every byte", || received.get() == MUCH);
        run_until(&event_loop, "the end", || event_loop.statistics().connections_open == 0);
        assert!(most.get() <= BOUND, "{} bytes waited", most.get());
    }
}

#[test]
fn echo_returns_64_mebibytes_to_a_client_on_another_thread() {
    let (near, far) = tcp_pair();
    let client = thread::spawn(move || {
        let event_loop = system_loop();
        let received = Rc::new(Cell::new(0));
        let client = Client::new(&received);
        let connecting = event_loop.create_connection_on(move || client, near).start();
        event_loop.run_until_complete(connecting).unwrap().unwrap();
        run_until(&event_loop, "every byte", || received.get() == MUCH);
    });
    let event_loop = system_loop();
    let most = Rc::new(Cell::new(0));
    let echo = Echo(Rc::clone(&most));
    let connecting = event_loop.connect_accepted_socket(move || echo, far).start();
    event_loop.run_until_complete(connecting).unwrap().unwrap();
    run_until(&event_loop, "the client's end", || client.is_finished());
    client.join().unwrap();
    assert!(most.get() <= BOUND, "{} bytes waited", most.get());
}

#[test]
fn writer_that_never_stops_is_paused_and_resumed_by_a_slow_reader() {
    // The server writes whenever it may, for ever; what waits stays near its marks.
    let (near, far) = tcp_pair();
    let event_loop = system_loop();
    let (log, most) = (Log::new(), Rc::new(Cell::new(0)));
    let waiting = Rc::clone(&most);
    let fill = move |transport: &dyn Transport| -> Result {
        while transport.write(&[7; 8 * 1024]) == wharf::WriteStatus::Accepted {}
        waiting.set(waiting.get().max(transport.write_buffer_size()));
        Ok(())
    };
    let again = fill.clone();
    let writer = Probe::new(&log).on_made(fill).on_resume(again);
    let connecting = event_loop
        .connect_accepted_socket(move || writer, far)
        .send_buffer_size(256 * 1024)
        .start();
    event_loop.run_until_complete(connecting).unwrap().unwrap();
    run_until(&event_loop, "pause_writing", || log.count(Call::Pause) == 1);
    // Nobody reads: nothing more happens.
    crate::running::rest(&event_loop);
    assert_eq!(log.calls(), [Call::Made, Call::Pause]);

    let reader = thread::spawn(move || {
        let mut near = near;
        let mut buffer = vec![0; 100_000];
        let mut left = 16 * MIB;
        while left > 0 {
            let count = near.read(&mut buffer).unwrap();
            assert!(count > 0, "the end came too early");
            left = left.saturating_sub(count);
        }
    });
    let deadline = Instant::now() + PATIENCE;
    while !reader.is_finished() {
        step(&event_loop).unwrap();
        assert!(Instant::now() < deadline, "the writer was not resumed");
    }
    reader.join().unwrap();
    let flow = &log.calls()[1..];
    assert!(flow.len() >= 3, "{flow:?}");
    for pair in flow.chunks(2) {
        match pair {
            [Call::Pause, Call::Resume] | [Call::Pause] => {}
            // The reader's thread closes its socket before it is finished.
            [Call::Lost] | [Call::Pause, Call::Lost] => {}
            _ => panic!("{flow:?}"),
        }
    }
    assert!(most.get() <= 64 * 1024 + 8 * 1024, "{} bytes waited", most.get());
}

#[test]
fn write_that_says_above_the_mark_is_followed_by_a_pause_and_a_resume() {
    // The peer takes everything between the write and the judging of the marks, again and again.
    let (near, far) = tcp_pair();
    let event_loop = system_loop();
    let log = Log::new();
    let (drain, drains) = mpsc::channel();
    let (drained, has_drained) = mpsc::channel();
    let has_drained = Rc::new(has_drained);
    let reader = thread::spawn(move || {
        near.set_nonblocking(true).unwrap();
        let mut buffer = vec![0; 256 * 1024];
        while drains.recv_timeout(PATIENCE).is_ok() {
            while (&near).read(&mut buffer).is_ok_and(|count| count > 0) {}
            drained.send(()).unwrap();
        }
    });
    let fill = move |transport: &dyn Transport| -> Result {
        while transport.write(&[7; 8 * 1024]) == wharf::WriteStatus::Accepted {}
        drain.send(())?;
        has_drained.recv_timeout(PATIENCE)?;
        // So long that the loop polls next.
        let began = Instant::now();
        while began.elapsed() < Duration::from_millis(1) {
            std::hint::spin_loop();
        }
        Ok(())
    };
    let writer = Probe::new(&log).on_made(fill.clone()).on_resume(fill);
    let connecting = event_loop.connect_accepted_socket(move || writer, far).start();
    let connection = event_loop.run_until_complete(connecting).unwrap().unwrap();
    // The loop never comes to rest here.
    let deadline = Instant::now() + PATIENCE;
    while log.count(Call::Resume) < 20 {
        step(&event_loop).unwrap();
        assert!(Instant::now() < deadline, "the writer was told to stop, and was not resumed");
    }
    connection.handle().abort();
    step(&event_loop).unwrap();
    drop(event_loop);
    reader.join().unwrap();
    for turn in log.calls()[1..].chunks(2) {
        assert!(
            turn == [Call::Pause, Call::Resume]
                || turn == [Call::Pause, Call::Lost]
                || turn == [Call::Lost]
        );
    }
}

#[cfg(target_os = "linux")]
#[test]
fn clients_that_do_not_read_cost_the_echo_less_than_a_mebibyte_each() {
    const CLIENTS: usize = 16;
    // Measured in a process of its own: the other tests allocate, too.
    const ALONE: &str = "WHARF_TEST_ALONE";
    if std::env::var_os(ALONE).is_none() {
        let name = "flow_control::clients_that_do_not_read_cost_the_echo_less_than_a_mebibyte_each";
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name])
            .env(ALONE, "1")
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains("1 passed"), "{text}");
        return;
    }
    let event_loop = system_loop();
    let most = Rc::new(Cell::new(0));
    // Once warm, so that what the loop itself needs is there before.
    let mut clients = vec![stuck_client(&event_loop, &most)];
    settle_echo(&event_loop);
    let before = resident();
    for _ in 0..CLIENTS {
        clients.push(stuck_client(&event_loop, &most));
    }
    settle_echo(&event_loop);
    let each = resident().saturating_sub(before) / CLIENTS;
    assert!(each < MIB, "{each} bytes for each client");
    assert!(most.get() > 0 && most.get() <= BOUND, "{} bytes waited", most.get());
    for client in clients {
        client.0.shutdown(Shutdown::Both).unwrap();
        client.1.join().unwrap();
    }
}

/// A client that writes as long as it can and never reads; it ends when its socket is shut down.
#[cfg(target_os = "linux")]
fn stuck_client(
    event_loop: &EventLoop,
    most: &Rc<Cell<usize>>,
) -> (TcpStream, thread::JoinHandle<()>) {
    let (near, far) = tcp_pair();
    let echo = Echo(Rc::clone(most));
    let connecting = event_loop.connect_accepted_socket(move || echo, far).start();
    event_loop.run_until_complete(connecting).unwrap().unwrap();
    let mut writer = near.try_clone().unwrap();
    let writing = thread::spawn(move || {
        let chunk = [1; 64 * 1024];
        while writer.write_all(&chunk).is_ok() {}
    });
    (near, writing)
}

/// Turns the loop until its echoes have read nothing for a while: all are held.
#[cfg(target_os = "linux")]
fn settle_echo(event_loop: &EventLoop) {
    let mut quiet = 0;
    while quiet < 20 {
        let before = event_loop.statistics().bytes_received;
        crate::running::rest(event_loop);
        quiet = if event_loop.statistics().bytes_received == before { quiet + 1 } else { 0 };
    }
}

#[cfg(target_os = "linux")]
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    let kibibytes: usize = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kibibytes * 1024
}

fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (near, listener.accept().unwrap().0)
}
