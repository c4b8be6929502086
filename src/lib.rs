//! asyncio's Transport/Protocol model for Rust.
//!
//! You implement [`Protocol`]. The [`EventLoop`] opens transports (TCP, UDP, Unix sockets, pipes, terminals, memory), waits
//! for them with mio, and calls the protocol, which answers through the [`Transport`] it is lent.
//! Futures, tasks and `async` run on the same loop and the same thread.
//!
//! ```
//! use wharf::{EventLoop, Protocol, Result, Transport};
//!
//! /// Sends back whatever it receives.
//! struct Echo;
//!
//! impl Protocol for Echo {
//!     fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
//!         transport.write(data);
//!         Ok(())
//!     }
//! }
//!
//! /// Says hello, and closes when it has come back.
//! struct Greeter {
//!     returned: Vec<u8>,
//! }
//!
//! impl Protocol for Greeter {
//!     fn connection_made(&mut self, transport: &dyn Transport) -> Result {
//!         transport.write(b"hello");
//!         Ok(())
//!     }
//!
//!     fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
//!         self.returned.extend_from_slice(data);
//!         if self.returned == b"hello" {
//!             transport.close();
//!         }
//!         Ok(())
//!     }
//! }
//!
//! fn main() -> Result {
//!     let event_loop = EventLoop::new()?;
//!     event_loop.run(async |event_loop| {
//!         let server = event_loop.create_server(|| Echo, "127.0.0.1:0").await?;
//!         let address = server.local_address()?;
//!         let greeter = Greeter { returned: Vec::new() };
//!         let connection = event_loop.create_connection(|| greeter, address).await?;
//!         connection.wait_closed().await?;
//!         Ok(())
//!     })
//! }
//! ```
//!
//! A server that runs until it is told to stop awaits [`Server::serve_until`] instead; `README.md`
//! has that one. `docs/from-asyncio.md` has a table from asyncio's names to these.
//!
//! # What is where
//!
//! - **What you implement:** [`Protocol`], or [`BufferedProtocol`] to receive into memory of your
//!   own; [`DatagramProtocol`] for UDP and Unix datagrams.
//! - **What you talk to:** [`Transport`], lent to each callback; [`TransportHandle`], the same to
//!   keep; [`Connection`], which also reaches the protocol of a client; [`Info`] on the peer.
//! - **Datagrams:** [`EventLoop::create_datagram_endpoint`] gives an [`Endpoint`];
//!   [`DatagramTransport`] is lent to its callbacks, and [`DatagramHandle`] kept.
//! - **A program:** [`run`] makes a loop, runs an async function on it, and closes it in good order.
//! - **The loop:** [`EventLoop`] runs callbacks, timers, signals and watched descriptors; [`LoopStatistics`] are what it
//!   has done; [`Exception`] is what its exception handler is told.
//! - **Connecting and serving:** [`EventLoop::create_connection`] and [`EventLoop::create_server`],
//!   with their options as methods of [`ConnectionBuilder`] and [`ServerBuilder`]; the [`Server`];
//!   [`with_info`] for a server that is told who connects;
//!   [`Targets`] and [`Address`].
//! - **Relays:** [`relay`] joins two connections, as proxies do; [`PausedProtocol`] is what they have until then.
//! - **Limits:** [`RateLimit`] and [`RateGroup`] for bytes in a second, of one connection or of many together;
//!   [`ServerBuilder::max_connections`]; deadlines by [`Transport::set_timeout`]; memory by the write cap
//!   ("Back-pressure", below).
//! - **Pipes and standard streams:** [`EventLoop::connect_stdin`], [`EventLoop::connect_read_pipe`]
//!   and their kin, for pipes, FIFOs, terminals and files, with the options of [`PipeBuilder`].
//! - **TLS:** [`TlsClient`] and [`TlsServer`], for the `tls` method of both builders and for
//!   [`Transport::start_tls`] on a connection that is there; [`TlsInfo`] is what was agreed on. With the
//!   feature `tls` (on by default).
//! - **Files and descriptors:** [`Transport::send_file`], whose [`SendFile`] can be awaited and
//!   cancelled; [`Transport::write_with_descriptors`] and [`Protocol::descriptors_received`].
//! - **Inherited sockets:** [`inherited_listeners`] and [`inherited_sockets`], for systemd's socket activation.
//! - **Hot restart:** [`EventLoop::take_over`] and [`EventLoop::offer_handover`].
//! - **Child processes:** [`EventLoop::subprocess_exec`] and [`EventLoop::subprocess_shell`] run a
//!   [`ProcessProtocol`] on a child's pipes and its exit, with the options of [`SubprocessBuilder`];
//!   a [`Process`] is who wants the child to run. [`EventLoop::run_process`] and
//!   [`EventLoop::run_shell`] run a program to its end for what it writes.
//! - **Streams, for `async` code:** [`EventLoop::open_connection`] gives a [`StreamReader`] and a [`StreamWriter`],
//!   [`EventLoop::start_server`] runs an async function for each connection, and [`EventLoop::open_stdin`] and its
//!   kin are for pipes; [`ByteStream`] is both halves as one, and [`Lines`] are a reader's lines. A [`Listener`] accepts
//!   one by one, a [`ChildProcess`] has streams for pipes, a [`DatagramStream`] receives and sends datagrams. With
//!   [`EventLoop::items`] a protocol puts an [`ItemSender`]'s items into a queue, and a task takes them as [`Items`].
//! - **Futures and tasks:** [`LoopFuture`] with its [`Promise`], [`Task`], [`Sleep`], and
//!   [`EventLoop::run_in_executor`] for work that blocks. Whatever completes can be awaited, and
//!   takes a done callback. [`spawn`], [`sleep`] and [`yield_now`] are for code that was not given the loop.
//! - **Structured concurrency:** [`task_group`] for tasks that end together, [`scope`] for tasks that borrow from who
//!   waits for them; [`timeout`], [`move_on_after`] and [`CancelScope`] for what has to end in time or can be cancelled;
//!   [`shield`] for what must not be cut off; [`interval`] and [`EventLoop::call_every`] for what happens again and
//!   again.
//!   A [`TaskLocal`] is a value of the running task and of those that it spawns.
//! - **Threads:** [`EventLoop::create_job`] and [`EventLoop::run_in`] for work that blocks, with an [`Executor`] of one's
//!   own, a [`CapacityLimiter`], and a [`CancelFlag`] for the work to ask. [`Remote`] is the way in from other threads:
//!   [`Remote::spawn`] has the loop run a future and brings its output back; [`EventLoop::create_channel`] carries
//!   messages, with back-pressure.
//! - **Signals:** [`EventLoop::signals`] is a stream of them, [`EventLoop::add_signal_handler`] calls back;
//!   [`Server::serve_until`] ends a server in good order; [`EventLoop::run`] says what `SIGINT` does else.
//! - **Requests and answers:** [`Requests`] and [`RequestsById`] match a connection's answers with who waits for them.
//! - **Introspection:** [`EventLoop::dump`] has tasks, connections, listeners and timers; [`EventLoop::statistics`] counts.
//! - **Errors:** [`Error`] is what wharf reports; [`Failure`] and [`Result`] are what your code
//!   returns.
//! - **Tests:** [`testing`] runs protocols, servers and clients in memory and in virtual time, and records their
//!   callbacks.
//!
//! # Features
//!
//! Features only add: one that another crate of your program turns on takes nothing away and changes no
//! default. So ring is the only provider of TLS that is used without being chosen, and the operating
//! system's roots are the only ones that are trusted without being chosen.
//!
//! | feature | default | what it adds |
//! |---|---|---|
//! | `tls` | yes | TLS, with ring |
//! | `tls-platform-roots` | yes | clients trust what the operating system trusts, unless told otherwise |
//! | `udp-batch` | yes | datagrams are sent and received many at a time, with UDP's segmentation offload ([`DatagramEndpointBuilder::offload`]) |
//! | `tls-aws-lc-rs` | | TLS with aws-lc-rs, where `provider` chooses `TlsProvider::AwsLcRs` |
//! | `tls-webpki-roots` | | clients can trust Mozilla's list, by `TlsClientBuilder::webpki_roots` |
//! | `tls-core` | | TLS without a provider, for one of your own; every feature of TLS turns it on |
//! | `extra-fds` | | child processes get descriptors besides the standard three |
//! | `log` | | reports can go to the `log` crate |
//! | `hyper` | | [hyper] runs on the loop, for HTTP/1 and HTTP/2: the module `hyper` |
//! | `serde` | | [`LoopDump`] and statistics can be serialised |
//! | `sim` | | simulated networks of many hosts with faults, for tests: the module `sim` |
//!
//! Without features wharf is streams, datagrams, pipes, children, timers and tasks.
//!
//! [hyper]: https://docs.rs/hyper
//!
//! What names types of rustls follows rustls's SemVer, and is in a module of its own, `interop`.
//!
//! # Where to go
//!
//! - `examples/` in the repository: an echo, a chat, a proxy, a supervisor and more, each a program to run.
//! - `docs/async.md`: tasks, groups, timeouts and streams, for who knows asyncio or tokio.
//! - `docs/simulation.md`: how to simulate a protocol of one's own, under faults.
//! - `docs/guarantees.md`: each promise with its tests, and where it differs from asyncio.
//! - [`ecosystem`]: which crates do what asyncio's `Queue`, `Lock`, `Semaphore`, `gather` and `wait` do, and how
//!   libraries for tokio run here.
//! - `wharf-protocols`: codecs and protocols ready to use; lines, so far.
//! - `CHANGELOG.md`: what changed, and how to move.
//!
//! # Re-entrancy
//!
//! No callback ever runs inside another. A method of a transport hands bytes to the operating system
//! or records what was asked for; `pause_writing`, `connection_lost` and all that follows from it is
//! called by the loop, after the running callback has returned. So a callback may write to its own
//! connection or to any other, close it, or replace its protocol, even while it holds a borrow of
//! state that the other one's callbacks need.
//!
//! # What dropping does
//!
//! | Type | Dropping it |
//! |---|---|
//! | [`EventLoop`] from [`EventLoop::new`], [`EventLoopBuilder::build`] or `testing` | closes the loop, which may take up to five seconds ([`EventLoop::close`]); dropping a clone changes nothing |
//! | a builder: [`EventLoopBuilder`], [`ConnectionBuilder`], [`ServerBuilder`], [`DatagramEndpointBuilder`], [`PipeBuilder`], [`SubprocessBuilder`], [`RunBuilder`], [`RelayBuilder`], [`JobBuilder`], [`ExecutorBuilder`], `TlsClientBuilder`, `TlsServerBuilder` | begins nothing; sockets and descriptors that it was given are closed |
//! | [`LoopFuture`], [`Task`] while pending | cancels what it stands for, unless it has a done callback or was detached |
//! | [`LoopFuture`], [`Task`] when done, and its result not taken | closes what is in the result (below); reports an error of the operation, or a panic. An `Err` that the task's own future returned is its output, and is reported only if the task was detached |
//! | [`Promise`] | completes its future as cancelled |
//! | [`Requests`], [`RequestsById`] | the last clone fails whoever still waits |
//! | [`Sleep`], [`Interval`] | takes its timer back; a tick that was waited for is not lost |
//! | what [`timeout`], [`move_on_after`], [`CancelScope::run`] give | drops the future in it, and takes the timer back |
//! | [`CancelScope`] | nothing: what runs in it goes on, and its deadline counts |
//! | [`Shield`] while pending | the future goes on for as long as its bound says |
//! | what [`task_group`] and [`scope`] give | cancels the tasks: those of a group are dropped in the loop's next round, those of a scope at once |
//! | [`TaskGroup`], [`Scope`], [`Child`] | nothing: the group waits for its tasks all the same |
//! | [`Ready`] | the task that has it is cancelled |
//! | [`RemoteTask`] | cancels the task, unless it is done or was detached; a result that is there is dropped |
//! | [`RemoteSender`] | the last one ends the channel: the receiver gets what is there, and then is told |
//! | [`RemoteSend`] | drops the message; it is not sent, unless there was room since the last poll |
//! | [`RemoteReceiver`] | closes the channel: what was not received is dropped, and senders get back what they wait with |
//! | [`Executor`] | the last clone lets work that was handed in be done; then the threads end |
//! | [`CapacityLimiter`] | nothing: those who have a token or wait for one go on |
//! | [`CapacityToken`] | gives the token back, to the first of those who wait |
//! | [`SignalStream`] | takes it back; signals that nothing handles any more do what they do by default |
//! | [`SockRecv`] | stops waiting; nothing was received |
//! | [`WriteAll`], [`Drain`] | stops waiting; what was taken is sent. Nothing is written by one that was never polled |
//! | [`SendFile`] while pending | sends no more of the file, unless it has a done callback or was detached |
//! | [`Connection`], [`Server`], [`Endpoint`], [`Handover`] | nothing: the loop keeps what they lead to |
//! | [`StreamReader`], [`Lines`] | stops reading; what it holds is lost. If the writer is gone, too, closes the connection |
//! | [`StreamWriter`] | ends the write side; what was written is sent. If the reader is gone, too, closes the connection |
//! | [`Listener`] | stops listening; closes connections that nobody has taken |
//! | [`Items`] | drops the items that nobody has taken; the connection goes on |
//! | [`ItemSender`] | ends the queue; what is in it can still be taken |
//! | [`DatagramStream`] | closes the endpoint: what was sent goes out, what nobody has taken is lost |
//! | [`ChildProcess`] | closes its pipes and kills the child, unless it was detached or started with `kill_on_drop(false)` |
//! | `HyperStream` | drops its `ByteStream` |
//! | `HyperSleep` | takes its timer back |
//! | [`ByteStream`] | drops both halves, which closes the connection; what was written is sent |
//! | [`Process`] | the last clone closes the child and kills it, unless it was detached or started with `kill_on_drop(false)` |
//! | [`Inherited`] | declines: the predecessor goes on. Listeners that were not taken are closed |
//! | [`InheritedSockets`], [`InheritedSocket`], [`Stdio`] | closes the sockets or descriptors that are still in it |
//! | [`TransportHandle`], [`DatagramHandle`], [`ProcessHandle`], [`TransportId`] | nothing |
//! | [`CallbackHandle`], [`TimerHandle`], [`PeriodicHandle`], [`RemoteHandle`] | nothing: the callback is called all the same |
//! | [`Remote`], [`RateGroup`] | nothing |
//! | `TlsClient`, `TlsServer`, `TlsIdentity`, `TlsUpgrade` | nothing: connections and servers that use them keep what they need |
//! | [`Datagrams`] | what was not taken from it is dropped, unless the transport was paused |
//! | a protocol: [`Buffered`], [`PausedProtocol`], [`StreamProtocol`], [`DatagramQueue`], [`ChildProtocol`] and your own | is dropped by the loop after its last callback, or when another one takes its place |
//! | [`testing::Recorder`], [`testing::MemoryNetwork`] | the recorder closes its loop; a network is there as long as a loop of it |
//! | `sim::Simulation` | the one from `new` turns its hosts off; clones and `sim::Host` change nothing |
//!
//! Values without anything behind them, whose drop frees memory: [`Address`], [`UnixAddress`], [`Target`],
//! [`Targets`], [`Info`], [`CancelFlag`], [`ExecutorStatistics`], [`RemoteSendError`], [`PeerCredentials`], [`LoopStatistics`], [`Exception`], [`ProtocolCallback`], [`CloseReason`],
//! [`Error`], [`Failure`], [`Result`], [`MissedTickBehavior`], [`testing::Record`], [`testing::Call`], [`ConnectAttempt`],
//! [`InheritedKind`], [`ChildFd`], [`PartialOutput`], [`Eof`], [`Timeout`], [`TimeoutKind`],
//! [`Datagram`], [`DatagramStatistics`], [`DropPolicy`], [`Ecn`], [`Keepalive`], [`MulticastInterface`],
//! [`RateLimit`], [`RelayEnd`], [`RelayOutcome`], [`RelaySide`], [`RelayStatistics`], [`SendStatus`],
//! [`LoopDump`], [`TaskDump`], [`ConnectionDump`], [`ListenerDump`], [`Splicing`], [`TaskLocal`], [`WaterMarks`], [`WithInfo`], [`WriteStatus`], `HyperTimer`, `HyperExecutor`, `TlsFingerprint`, `TlsProvider`, `TlsVersion`, `TlsEarlyData`, `TlsInfo`.
//!
//! **A result that nobody took.** A future that is given up when it is done already, by a timeout or
//! because the task that awaits it is cancelled, still has its result. Whatever in it leads to something
//! open is then closed: a [`Connection`] and an [`Endpoint`] as by their `close`, a [`Server`] with its
//! connections, a [`Handover`] as by [`Handover::close`], wherever they are in the result (in a tuple, a
//! list, a type of your own). The same goes for the output of a task, and for the result of an operation
//! that is cancelled from inside its own `connection_made`. What has a clone elsewhere stays open. The limit
//! of this: while such a result is dropped, its parts are not told from what their `Drop` drops besides, so a
//! `Drop` of yours in it that drops the last of another [`Connection`] closes that one, too.
//!
//! A result is taken once it is awaited, or [`LoopFuture::take_result`] has given it. A result passed
//! to a done callback, or of a detached future, also counts as taken. From then on it is
//! yours, and dropping it closes nothing. So an `async` block that has awaited a connection and is then
//! cancelled while it awaits something else drops a connection that it has: it stays open. Where that
//! can happen, close it yourself, as you would a value that was returned to you.
//!
//! # Durations
//!
//! A builder refuses a duration of zero with [`Error::is_invalid`]: to some it means "at once", to others
//! "never". `None` means never. Everywhere else zero means at once, as in
//! [`sleep`](EventLoop::sleep), [`Transport::set_timeout`] and [`Server::shutdown`].
//!
//! # Back-pressure
//!
//! [`Transport::write`] never waits: what the peer does not take is queued. When more than the
//! high-water mark (64 KiB) is waiting, `pause_writing` is called, and `resume_writing` once no more
//! than the low-water mark (16 KiB) is. By default, a connection whose own input has produced that
//! output is not read meanwhile ([`Transport::hold_reading`]), so that request and response stay
//! bounded without a line of code. What others write to it, as in a broadcast, is bounded by the
//! write cap ([`Transport::set_write_buffer_cap`]; 16 MiB on servers). A protocol that produces data
//! without being asked overrides both callbacks and stops in between.
//!
#![cfg_attr(not(feature = "tls-core"), doc = "[`TlsClient`]: crate#features")]
#![cfg_attr(not(feature = "tls-core"), doc = "[`TlsServer`]: crate#features")]
#![cfg_attr(not(feature = "tls-core"), doc = "[`Transport::start_tls`]: crate#features")]
#![cfg_attr(not(feature = "tls-core"), doc = "[`TlsInfo`]: crate#features")]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod address;
mod cell;
mod driver;
mod error;
mod event_loop;
mod fence;
#[cfg(test)]
mod layers;
// Before others with methods of `EventLoop`: its page has them in the order of the modules.
mod task;

mod inspect;
mod net;
mod pipe;
mod process;
mod protocol;
mod streams;
mod thread_bound;
mod time;
mod timeout;
#[cfg(feature = "tls-core")]
mod tls;
mod transport;

#[cfg(feature = "hyper")]
pub mod hyper;
#[cfg(feature = "tls-core")]
pub mod interop;
pub mod signal;
#[cfg(feature = "sim")]
#[cfg_attr(docsrs, doc(cfg(feature = "sim")))]
pub mod sim;
pub mod testing;

pub use bytes;

pub use crate::address::{Address, UnixAddress};
pub use crate::driver::{Ecn, Keepalive, MulticastInterface, PeerCredentials, TransportId};
pub use crate::error::{ConnectAttempt, Error, Failure, Result};
#[cfg(feature = "log")]
pub use crate::event_loop::log_exception;
pub use crate::event_loop::{
    CallbackHandle, EventLoop, EventLoopBuilder, Exception, LoopStatistics, ProtocolCallback,
    Remote, RemoteHandle, SignalStream, TimerHandle, run,
};
pub use crate::inspect::{ConnectionDump, ListenerDump, LoopDump, TaskDump};
pub use crate::net::{
    ConnectionBuilder, DatagramEndpointBuilder, Handover, Inherited, InheritedKind,
    InheritedSocket, InheritedSockets, ProtocolFactory, Server, ServerBuilder, SockRecv, Target,
    Targets, WithInfo, inherited_listeners, inherited_sockets, with_info,
};
pub use crate::pipe::PipeBuilder;
pub use crate::process::{
    ChildFd, PartialOutput, Process, ProcessHandle, ProcessProtocol, ProcessTransport, RunBuilder,
    Stdio, SubprocessBuilder,
};
pub use crate::protocol::{
    Buffered, BufferedProtocol, DatagramProtocol, Eof, PausedProtocol, Protocol,
};
pub use crate::streams::{
    ByteStream, ChildProcess, ChildProtocol, DatagramQueue, DatagramStream, Drain, ItemSender,
    Items, Lines, Listener, StreamProtocol, StreamReader, StreamWriter, WriteAll,
};
pub use crate::task::{
    CancelFlag, CancelScope, CapacityLimiter, CapacityToken, Child, Executor, ExecutorBuilder,
    ExecutorStatistics, Interval, JobBuilder, LoopFuture, MissedTickBehavior, PeriodicHandle,
    Promise, Ready, RemoteReceiver, RemoteSend, RemoteSendError, RemoteSender, RemoteTask,
    Requests, RequestsById, Scope, Shield, Sleep, Task, TaskGroup, TaskLocal, interval,
    interval_at, move_on_after, move_on_at, scope, shield, sleep, sleep_until, spawn, task_group,
    timeout, timeout_at, yield_now,
};
pub use crate::timeout::{Timeout, TimeoutKind};
#[cfg(feature = "tls-core")]
pub use crate::tls::{
    TlsClient, TlsClientBuilder, TlsFingerprint, TlsIdentity, TlsProvider, TlsServer,
    TlsServerBuilder, TlsVersion,
};
pub use crate::transport::{
    CloseReason, Connection, Datagram, DatagramHandle, DatagramStatistics, DatagramTransport,
    Datagrams, DropPolicy, Endpoint, Info, RateGroup, RateLimit, RelayBuilder, RelayEnd,
    RelayOutcome, RelaySide, RelayStatistics, SendFile, SendStatus, Splicing, Transport,
    TransportHandle, WaterMarks, WriteStatus, relay,
};
#[cfg(feature = "tls-core")]
pub use crate::transport::{TlsEarlyData, TlsInfo, TlsUpgrade};

/// The page on other crates, which exists in the documentation only; its code is tested by `wharf-test-support`.
#[cfg(all(doc, not(doctest)))]
#[doc = include_str!("../docs/ecosystem.md")]
#[doc(alias(
    "gather",
    "wait",
    "as_completed",
    "Queue",
    "Lock",
    "Semaphore",
    "Event",
    "Condition",
    "select",
    "join",
    "join_all",
    "channel",
    "mpsc",
    "Mutex",
    "DeferredList",
    "DeferredQueue",
    "tokio"
))]
pub mod ecosystem {}

/// The README's code is compiled as a test.
#[cfg(all(doctest, feature = "tls"))]
#[doc = include_str!("../README.md")]
struct Readme;
