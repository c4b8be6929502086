//! What the tests of servers and connects have in common.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use wharf::testing::unfenced_panics;
use wharf::{
    Error, EventLoop, Protocol, Result, Server, StreamReader, StreamWriter, Transport,
    TransportHandle,
};

use crate::loops::{memory_loop, system_loop};

/// After this long a test that waits has failed. A machine with much else to do takes seconds to start
/// a foreign program.
pub const LIMIT: Duration = Duration::from_secs(30);

/// Runs `main` on a loop of the operating system, for as long as `LIMIT` at most.
pub fn run<T>(main: impl AsyncFnOnce(EventLoop) -> Result<T>) -> T {
    let event_loop = system_loop();
    run_on(&event_loop, main)
}

/// As [`run`], on a loop that is there.
pub fn run_on<T>(event_loop: &EventLoop, main: impl AsyncFnOnce(EventLoop) -> Result<T>) -> T {
    let given = event_loop
        .run(async |event_loop| within(&event_loop, main(event_loop.clone())).await)
        .expect("no error");
    assert_no_panic_passed();
    given
}

/// Runs `main` on a loop in memory, in virtual time; waiting for nothing is an error there.
pub fn run_in_memory<T>(main: impl AsyncFnOnce(EventLoop) -> Result<T>) -> T {
    let given = memory_loop().run(main).expect("no error");
    assert_no_panic_passed();
    given
}

/// Every panic was caught where the loop called what panicked.
#[track_caller]
fn assert_no_panic_passed() {
    assert_eq!(unfenced_panics(), 0, "panics passed through the event loop");
}

/// What `future` gives, if it does so in time.
pub async fn within<F: Future>(event_loop: &EventLoop, future: F) -> F::Output {
    let mut future = pin!(future);
    let mut limit = pin!(event_loop.sleep(LIMIT));
    poll_fn(|context| {
        if let Poll::Ready(output) = future.as_mut().poll(context) {
            return Poll::Ready(output);
        }
        assert!(limit.as_mut().poll(context).is_pending(), "it took longer than {LIMIT:?}");
        Poll::Pending
    })
    .await
}

/// Waits until `condition` holds.
pub async fn until(event_loop: &EventLoop, what: &str, condition: impl Fn() -> bool) {
    let limit = event_loop.time() + LIMIT;
    while !condition() {
        assert!(event_loop.time() < limit, "waited for {LIMIT:?}: {what}");
        event_loop.sleep(Duration::from_millis(1)).await;
    }
}

/// A loopback address that no other test binds: a port that is closed there stays closed, and one that
/// is free stays free, whatever tests on other threads do.
pub fn own_host() -> Ipv4Addr {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let process = std::process::id();
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    Ipv4Addr::new(127, 64 + (process >> 8) as u8 % 128, process as u8, next)
}

/// An address that refuses connects as long as the socket lives, which is bound and does not listen.
pub fn refusing_address() -> std::io::Result<(socket2::Socket, SocketAddr)> {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    let address = socket.local_addr()?.as_socket().expect("an IP address");
    Ok((socket, address))
}

/// The first address of a server.
pub fn address(server: &Server) -> SocketAddr {
    server.local_address().unwrap().as_ip().expect("an IP address")
}

/// What the protocols of one side have seen.
#[derive(Default)]
pub struct Seen {
    pub made: Cell<usize>,
    pub received: RefCell<Vec<u8>>,
    pub eofs: Cell<usize>,
    pub told_to_shut_down: Cell<usize>,
    /// The errors of every `connection_lost`, as text.
    pub lost: RefCell<Vec<Option<String>>>,
    pub handles: RefCell<Vec<TransportHandle>>,
}

impl Seen {
    pub fn new() -> Rc<Self> {
        Rc::default()
    }

    /// A factory of protocols that note what they see here.
    pub fn watcher(self: &Rc<Self>) -> impl FnMut() -> Watcher + use<> {
        let seen = Rc::clone(self);
        move || Watcher(Rc::clone(&seen))
    }

    pub fn lost(&self) -> usize {
        self.lost.borrow().len()
    }

    /// Whether every `connection_lost` came without an error.
    pub fn lost_cleanly(&self) -> bool {
        self.lost.borrow().iter().all(Option::is_none)
    }
}

/// Notes what it sees, and answers nothing.
pub struct Watcher(pub Rc<Seen>);

impl Protocol for Watcher {
    fn connection_made(&mut self, transport: &dyn Transport) -> Result {
        self.0.made.set(self.0.made.get() + 1);
        self.0.handles.borrow_mut().push(transport.handle());
        Ok(())
    }

    fn data_received(&mut self, _: &dyn Transport, data: &[u8]) -> Result {
        self.0.received.borrow_mut().extend_from_slice(data);
        Ok(())
    }

    fn eof_received(&mut self, _: &dyn Transport) -> Result<wharf::Eof> {
        self.0.eofs.set(self.0.eofs.get() + 1);
        Ok(wharf::Eof::Close)
    }

    fn shutting_down(&mut self, transport: &dyn Transport) -> Result {
        self.0.told_to_shut_down.set(self.0.told_to_shut_down.get() + 1);
        transport.close();
        Ok(())
    }

    fn connection_lost(&mut self, _: &dyn Transport, error: Option<&Error>) -> Result {
        self.0.lost.borrow_mut().push(error.map(ToString::to_string));
        Ok(())
    }
}

/// Sends everything back.
pub struct Echo;

impl Protocol for Echo {
    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
        transport.write(data);
        Ok(())
    }
}

/// Collects what goes to the exception handler.
pub fn collect_reports(event_loop: &EventLoop) -> Rc<RefCell<Vec<String>>> {
    let reports = Rc::new(RefCell::new(Vec::new()));
    let list = Rc::clone(&reports);
    event_loop.set_exception_handler(move |_, exception| {
        list.borrow_mut().push(exception.to_string());
    });
    reports
}

/// A directory of its own, removed with this.
pub struct Directory(PathBuf);

impl Directory {
    pub fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("wharf-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).expect("a directory of its own");
        Self(path)
    }

    pub fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Sends back what it receives.
pub async fn echo(mut reader: StreamReader, writer: StreamWriter) -> Result {
    loop {
        let data = reader.read_chunk().await?;
        if data.is_empty() {
            return Ok(());
        }
        writer.write_all(data).await?;
    }
}
