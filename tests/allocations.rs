//! Allocation budgets: what a message and a connection may cost once a loop is warm.
//!
//! Counted are the allocations of the loop's own thread (a reallocation is one too), so that
//! clients on other threads cost nothing here.
#![forbid(unsafe_code)]

use std::cell::Cell;
use std::future::poll_fn;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use allocation_counter::{AllocationInfo, measure};
use wharf::{
    Buffered, BufferedProtocol, Connection, Error, EventLoop, Protocol, Result, Server,
    ServerBuilder, StreamReader, StreamWriter, Transport,
};
use wharf_test_support::encryption;

/// The budget of a connection that is accepted, used and closed.
const MOST_PER_CONNECTION: u64 = 6;

/// After this long a test has failed that waits.
const LIMIT: Duration = Duration::from_secs(10);

#[test]
fn an_echoed_message_allocates_nothing_once_the_loop_is_warm() {
    for connections in [1, 50] {
        for size in [64, 4096] {
            let info = echo(|| Echo, connections, size);
            assert_eq!(info.count_total, 0, "{connections} connections, {size} bytes: {info:?}");
        }
    }
}

#[test]
fn an_echoed_message_allocates_nothing_with_a_buffered_protocol() {
    let info = echo(|| Buffered(BufferedEcho { buffer: [0; 256] }), 50, 64);
    assert_eq!(info.count_total, 0, "{info:?}");
}

#[test]
fn a_message_echoed_on_a_stream_allocates_nothing_once_the_loop_is_warm() {
    let copied = async |mut reader: StreamReader, writer: StreamWriter| {
        let mut buffer = [0; 512];
        loop {
            let count = reader.read(&mut buffer).await?;
            if count == 0 {
                return Ok(());
            }
            writer.write_all(&buffer[..count]).await?;
        }
    };
    let lent = async |mut reader: StreamReader, writer: StreamWriter| {
        loop {
            let data = reader.read_chunk().await?;
            if data.is_empty() {
                return Ok(());
            }
            writer.write_all(data).await?;
        }
    };
    for (connections, size) in [(1, 64), (50, 64), (50, 4096)] {
        let serve = |event_loop: &EventLoop| event_loop.start_server(copied, "127.0.0.1:0");
        let (_, info) = exchange_with(serve, connections, size, None);
        assert_eq!(info.count_total, 0, "copied: {connections}, {size} bytes: {info:?}");
    }
    for (connections, size) in [(1, 64), (50, 64), (50, 4096), (1, 20_000)] {
        let serve = |event_loop: &EventLoop| event_loop.start_server(lent, "127.0.0.1:0");
        let (_, info) = exchange_with(serve, connections, size, None);
        assert_eq!(info.count_total, 0, "lent: {connections}, {size} bytes: {info:?}");
    }
}

#[test]
fn a_timeout_allocates_nothing() {
    let event_loop = a_loop();
    // The wheel's own memory.
    let timers: Vec<_> = (0..8).map(|_| event_loop.call_later(LIMIT, || {})).collect();
    timers.iter().for_each(wharf::TimerHandle::cancel);
    let ready = measure(|| {
        let timeout = event_loop.timeout(LIMIT, std::future::ready(7));
        let mut timeout = std::pin::pin!(timeout);
        let context = &mut Context::from_waker(Waker::noop());
        assert!(timeout.as_mut().poll(context).is_ready());
    });
    assert_eq!(ready.count_total, 0, "{ready:?}");
    let pending = measure(|| {
        let timeout = event_loop.timeout(LIMIT, std::future::pending::<()>());
        let mut timeout = std::pin::pin!(timeout);
        let context = &mut Context::from_waker(Waker::noop());
        for _ in 0..10 {
            assert!(timeout.as_mut().poll(context).is_pending());
        }
    });
    assert_eq!(pending.count_total, 0, "{pending:?}");
}

#[test]
fn a_task_takes_one_allocation_and_waking_sleeping_and_waiting_none() {
    const COUNT: u64 = 200;
    let event_loop = a_loop();
    let counted = |action: &mut dyn FnMut()| {
        // Lists grow to their sizes; two take turns.
        (0..3).for_each(|_| action());
        measure(action).count_total
    };
    let mut tasks = Vec::with_capacity(COUNT as usize);
    let spawned = counted(&mut || {
        let running = event_loop.run(async |event_loop| {
            tasks.extend((0..COUNT).map(|number| event_loop.create_task(async move { number })));
            for task in tasks.drain(..) {
                task.await?;
            }
            Ok(())
        });
        running.unwrap();
    });
    // One more, and the waker of the future that is run.
    assert!(spawned <= COUNT + 2, "{spawned}");

    let yielded = counted(&mut || {
        let task = event_loop.create_task(async {
            for _ in 0..COUNT {
                wharf::yield_now().await;
            }
        });
        event_loop.run_until_complete(task).unwrap().unwrap();
    });
    assert!(yielded <= 3, "{yielded}");

    let slept = counted(&mut || {
        let task = event_loop.create_task(async {
            for _ in 0..COUNT {
                wharf::sleep(Duration::ZERO).await;
            }
        });
        event_loop.run_until_complete(task).unwrap().unwrap();
    });
    assert!(slept <= 3, "{slept}");
}

#[test]
fn tasks_that_sleep_and_finish_leave_no_memory() {
    let count = std::env::var("WHARF_TASKS").map_or(50_000, |count| count.parse().unwrap());
    let event_loop = wharf::testing::MemoryNetwork::new().event_loop();
    let run = |count: u64| {
        for number in 0..count {
            let sleep = event_loop.sleep(Duration::from_micros(number % 1000));
            event_loop.create_task(sleep).detach();
        }
        wharf::testing::advance(&event_loop, Duration::from_secs(1)).unwrap();
        assert_eq!(event_loop.statistics().tasks, 0);
    };
    run(100);
    let info = measure(|| {
        run(count);
        // The lists of the loop shrink when they are used again.
        run(100);
    });
    assert!(info.bytes_current.abs() < 1024 * 1024, "{info:?}");
}

/// A task of a group: what every task allocates, and where its result waits. One of a scope: its future, its waker,
/// and the same. Lists of many tasks have room for several in each piece of memory.
#[test]
fn a_task_of_a_group_allocates_once_more_than_any_and_one_of_a_scope_three_times() {
    const TASKS: u64 = 1000;
    let event_loop = a_loop();
    let count = |body: &dyn Fn()| {
        body();
        measure(body).count_total
    };
    let plain = count(&|| {
        for _ in 0..TASKS {
            event_loop.create_task(async {}).detach();
        }
        wharf::testing::settle(&event_loop).expect("it runs");
    });
    let grouped = count(&|| {
        let group = event_loop.task_group(async |group| {
            for _ in 0..TASKS {
                group.spawn(async { Ok(()) });
            }
            Ok(())
        });
        event_loop.run_until_complete(group).expect("it runs").expect("no error");
    });
    let scoped = count(&|| {
        let scope = event_loop.scope(async |scope| {
            for _ in 0..TASKS {
                scope.spawn(async { Ok(()) });
            }
            Ok(())
        });
        event_loop.run_until_complete(scope).expect("it runs").expect("no error");
    });
    let lists = TASKS / 4;
    assert!(grouped <= plain + TASKS + lists, "{grouped} and {plain}");
    assert!(scoped <= 3 * TASKS + lists, "{scoped}");
}

/// Of ours it allocates nothing; rustls allocates the ciphertext of each record that it makes, and the
/// plaintext of each that it opens.
#[cfg(feature = "tls")]
#[test]
fn a_message_under_tls_allocates_only_what_rustls_does() {
    const RUSTLS: u64 = 4;
    for version in [wharf::TlsVersion::Tls12, wharf::TlsVersion::Tls13] {
        let tls = encryption::Tls::new(version);
        let (counted, info) = exchange(|| Echo, 20, 64, Some(&tls));
        assert_eq!(info.count_total, RUSTLS * u64::from(counted), "{version}: {info:?}");
    }
}

/// The server's side; the clients have a thread of their own.
#[cfg(feature = "tls")]
#[test]
fn an_idle_connection_under_tls_holds_at_most_1536_bytes_more_than_rustls_does() {
    /// What rustls holds for a connection with TLS 1.3 after one message (`tls-state` in
    /// docs/numbers.md).
    const RUSTLS: i64 = 3_292;
    const WARM_UP: u32 = 20;
    const COUNTED: u32 = 200;
    let event_loop = a_loop();
    let tls = || encryption::Tls::new(wharf::TlsVersion::Tls13);
    let left = Rc::new(Cell::new(0));
    let (protocol, when_echoed) = (Rc::clone(&left), event_loop.clone());
    let server = move || Last { left: Rc::clone(&protocol), event_loop: when_echoed.clone() };
    let server = encryption::serve(Some(&tls()), event_loop.create_server(server, "127.0.0.1:0"));
    let server = event_loop.run_until_complete(server.start()).and_then(|server| server);
    let address = address_of(&server.expect("a server"));
    let in_step = Arc::new(Barrier::new(2));
    let other = Arc::clone(&in_step);
    let clients = std::thread::spawn(move || {
        let (event_loop, tls) = (a_loop(), tls());
        let messages = Rc::new(Messages::default());
        let mut held = Vec::new();
        for count in [WARM_UP, COUNTED] {
            other.wait();
            for _ in 0..count {
                held.push(connected(&event_loop, address, 64, &messages, Some(&tls)));
                exchange_messages(&event_loop, &held[held.len() - 1..], &messages, 1);
            }
        }
        other.wait();
        messages.echoed.get()
    });

    let serve = |count| {
        left.set(count);
        in_step.wait();
        event_loop.run_forever().expect("connections are made and used");
    };
    serve(WARM_UP);
    let info = measure(|| serve(COUNTED));
    in_step.wait();

    assert_eq!(clients.join().expect("clients"), WARM_UP + COUNTED);
    let held = info.bytes_current / i64::from(COUNTED);
    assert!(held > 0 && held <= RUSTLS + 1_536, "{held} bytes for each: {info:?}");
}

/// The list that a wake-up is appended to is memory of the loop's, but the thread that wakes allocates it.
#[test]
fn waking_a_task_from_another_thread_allocates_nothing() {
    const WARM_UP: u64 = 10;
    const COUNTED: u64 = 100;
    let (sender, receiver) = std::sync::mpsc::channel::<Waker>();
    let polls = Arc::new(AtomicU64::new(0));
    let seen = Arc::clone(&polls);
    let waking = std::thread::spawn(move || {
        let waker = receiver.recv().expect("a waker");
        let wake = |times| {
            for _ in 0..times {
                let before = seen.load(Ordering::Acquire);
                waker.wake_by_ref();
                while seen.load(Ordering::Acquire) == before {
                    std::thread::yield_now();
                }
            }
        };
        wake(WARM_UP);
        measure(|| wake(COUNTED))
    });
    let counting = poll_fn(move |context| {
        // As many polls as the thread waits for, and the first.
        match polls.fetch_add(1, Ordering::AcqRel) {
            0 => sender.send(context.waker().clone()).expect("the thread is there"),
            number if number == WARM_UP + COUNTED => return Poll::Ready(()),
            _ => {}
        }
        Poll::Pending
    });
    let event_loop = a_loop();
    let task = event_loop.create_task(counting);
    event_loop.run_until_complete(task).expect("it runs").expect("it ends");
    let info = waking.join().expect("the thread ends well");
    assert_eq!(info.count_total, 0, "{info:?}");
}

#[test]
fn an_accepted_used_and_closed_connection_allocates_at_most_six_times() {
    const WARM_UP: u32 = 50;
    const COUNTED: u32 = 500;
    let event_loop = a_loop();
    let ends = Rc::new(Ends::default());
    let (protocol, when_lost) = (Rc::clone(&ends), event_loop.clone());
    let server = serve(&event_loop, move || Counted {
        ends: Rc::clone(&protocol),
        event_loop: when_lost.clone(),
    });
    let address = address_of(&server);
    let client = std::thread::spawn(move || {
        for _ in 0..WARM_UP + COUNTED {
            connect_use_and_close(address);
        }
    });

    ends.left.set(WARM_UP);
    event_loop.run_forever().expect("the warm-up");
    ends.left.set(COUNTED);
    let info = measure(|| event_loop.run_forever().expect("the counted connections"));
    client.join().expect("a client");

    assert_eq!(ends.left.get(), 0, "the loop was stopped too early");
    let most = MOST_PER_CONNECTION * u64::from(COUNTED);
    assert!(info.count_total <= most, "{COUNTED} connections: {info:?}");
    assert!(info.count_current <= 8, "memory is kept after connections are gone: {info:?}");
}

/// What is counted has to be seen.
#[test]
fn the_counter_counts_the_allocations_of_its_thread() {
    let allocate = || drop(std::hint::black_box(vec![1_u8; 100]));
    let info = measure(allocate);
    assert_eq!((info.count_total, info.count_current, info.bytes_total), (1, 0, 100));

    let in_step = Arc::new(Barrier::new(2));
    let other = Arc::clone(&in_step);
    let elsewhere = std::thread::spawn(move || {
        other.wait();
        allocate();
        other.wait();
    });
    let info = measure(|| {
        in_step.wait();
        in_step.wait();
    });
    assert_eq!(info.count_total, 0);
    elsewhere.join().expect("a thread");
}

/// Echoes messages of `size` bytes over `connections` connections of TCP, both ends of each on one
/// loop, and counts after a warm-up.
fn echo<P: Protocol + 'static>(
    server: impl FnMut() -> P + 'static,
    connections: u32,
    size: usize,
) -> AllocationInfo {
    exchange(server, connections, size, None).1
}

/// As [`echo`], under TLS if there is any; how many messages were counted, too.
fn exchange<P: Protocol + 'static>(
    server: impl FnMut() -> P + 'static,
    connections: u32,
    size: usize,
    tls: Option<&encryption::Tls>,
) -> (u32, AllocationInfo) {
    exchange_with(
        |event_loop| event_loop.create_server(server, "127.0.0.1:0"),
        connections,
        size,
        tls,
    )
}

/// As [`exchange`], with a server of any kind.
fn exchange_with(
    server: impl FnOnce(&EventLoop) -> ServerBuilder,
    connections: u32,
    size: usize,
    tls: Option<&encryption::Tls>,
) -> (u32, AllocationInfo) {
    const WARM_UP: u32 = 2000;
    const COUNTED: u32 = 5000;
    let event_loop = a_loop();
    let server = encryption::serve(tls, server(&event_loop));
    let server = event_loop.run_until_complete(server.start());
    let server = server.and_then(|server| server).expect("a server");
    let messages = Rc::new(Messages::default());
    let connect = || connected(&event_loop, address_of(&server), size, &messages, tls);
    let clients: Vec<_> = (0..connections).map(|_| connect()).collect();
    exchange_messages(&event_loop, &clients, &messages, WARM_UP);
    let info = measure(|| exchange_messages(&event_loop, &clients, &messages, COUNTED));
    assert_eq!(messages.echoed.get(), WARM_UP + COUNTED, "the loop was stopped too early");
    (COUNTED, info)
}

/// A client that sends messages of `size` bytes.
fn connected(
    event_loop: &EventLoop,
    address: SocketAddr,
    size: usize,
    messages: &Rc<Messages>,
    tls: Option<&encryption::Tls>,
) -> Connection<Client> {
    let client = Client { message: vec![7; size], echoed: 0, messages: Rc::clone(messages) };
    let connecting = event_loop.create_connection(move || client, address);
    let connecting = encryption::connect(tls, connecting);
    event_loop.run_until_complete(connecting.start()).and_then(|made| made).expect("connected")
}

/// Runs the loop until so many messages have gone to and fro.
fn exchange_messages(
    event_loop: &EventLoop,
    clients: &[Connection<Client>],
    messages: &Messages,
    count: u32,
) {
    messages.left.set(count);
    for client in clients {
        client.with(|client, transport| client.send(transport)).expect("an open connection");
    }
    event_loop.run_forever().expect("messages go to and fro");
}

fn a_loop() -> EventLoop {
    let event_loop = EventLoop::new().expect("a loop");
    let stopped = event_loop.clone();
    // Stopped too early, the tests find fewer messages than they sent.
    event_loop.call_later(LIMIT, move || stopped.stop());
    event_loop
}

fn serve<P: Protocol + 'static>(
    event_loop: &EventLoop,
    factory: impl FnMut() -> P + 'static,
) -> Server {
    let server = event_loop.create_server(factory, "127.0.0.1:0");
    event_loop.run_until_complete(server.start()).and_then(|server| server).expect("a server")
}

fn address_of(server: &Server) -> SocketAddr {
    server.local_address().unwrap().as_ip().expect("an address of TCP")
}

fn connect_use_and_close(address: SocketAddr) {
    let mut stream = TcpStream::connect(address).expect("connected");
    stream.set_read_timeout(Some(LIMIT)).expect("a timeout");
    let mut echoed = [0; 64];
    stream.write_all(&[7; 64]).expect("sent");
    stream.read_exact(&mut echoed).expect("echoed");
    assert_eq!(echoed, [7; 64]);
}

/// What all clients of a loop share.
#[derive(Default)]
struct Messages {
    /// How many are yet to be sent; the loop stops after the last echo.
    left: Cell<u32>,
    on_the_way: Cell<u32>,
    echoed: Cell<u32>,
}

/// Sends a message, waits for its echo, and so on.
struct Client {
    message: Vec<u8>,
    /// Bytes of the message that have come back.
    echoed: usize,
    messages: Rc<Messages>,
}

impl Client {
    /// Sends another one, if there is one left.
    fn send(&mut self, transport: &dyn Transport) {
        let messages = &self.messages;
        if let Some(left) = messages.left.get().checked_sub(1) {
            messages.left.set(left);
            messages.on_the_way.set(messages.on_the_way.get() + 1);
            self.echoed = 0;
            transport.write(&self.message);
        }
    }
}

impl Protocol for Client {
    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
        self.echoed += data.len();
        if self.echoed < self.message.len() {
            return Ok(());
        }
        let messages = &self.messages;
        messages.echoed.set(messages.echoed.get() + 1);
        messages.on_the_way.set(messages.on_the_way.get() - 1);
        self.send(transport);
        if self.messages.on_the_way.get() == 0 {
            transport.event_loop().stop();
        }
        Ok(())
    }
}

struct Echo;

impl Protocol for Echo {
    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
        transport.write(data);
        Ok(())
    }
}

/// Stops the loop after the last echo.
#[cfg(feature = "tls")]
struct Last {
    left: Rc<Cell<u32>>,
    event_loop: EventLoop,
}

#[cfg(feature = "tls")]
impl Protocol for Last {
    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
        transport.write(data);
        self.left.set(self.left.get() - 1);
        if self.left.get() == 0 {
            self.event_loop.stop();
        }
        Ok(())
    }
}

struct BufferedEcho {
    buffer: [u8; 256],
}

impl BufferedProtocol for BufferedEcho {
    fn get_buffer(&mut self, _: &dyn Transport, _: usize) -> Result<&mut [u8]> {
        Ok(&mut self.buffer)
    }

    fn buffer_updated(&mut self, transport: &dyn Transport, count: usize) -> Result {
        transport.write(&self.buffer[..count]);
        Ok(())
    }
}

/// How many connections are to be lost before the loop stops.
#[derive(Default)]
struct Ends {
    left: Cell<u32>,
}

struct Counted {
    ends: Rc<Ends>,
    event_loop: EventLoop,
}

impl Protocol for Counted {
    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
        transport.write(data);
        Ok(())
    }

    fn connection_lost(&mut self, _: &dyn Transport, _: Option<&Error>) -> Result {
        self.ends.left.set(self.ends.left.get() - 1);
        if self.ends.left.get() == 0 {
            self.event_loop.stop();
        }
        Ok(())
    }
}
