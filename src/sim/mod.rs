//! Whole programs on a simulated network, in virtual time, from one seed.
//!
//! A [`Simulation`] has [`Host`]s. Each has a name, addresses and an event loop of its own, and runs the same functions
//! that run for real: servers, connects, streams, datagrams, Unix sockets, timers, tasks and TLS. What they send passes
//! over links that take time, lose, cut and join again; hosts crash, restart and stand still. Time is virtual, and jumps
//! to what happens next: an hour of silence takes no time.
//!
//! Everything follows from the seed. A run that fails is run again with its seed, and fails in the same way.
//!
//! ```
//! use std::time::Duration;
//! use wharf::sim::Simulation;
//!
//! # fn main() -> wharf::Result {
//! let simulation = Simulation::new(7);
//! let server = simulation.host("server");
//! server.serve(async |event_loop| {
//!     let listener = event_loop.listen("0.0.0.0:7").await?;
//!     loop {
//!         let (mut reader, writer) = listener.accept().await?;
//!         let line = reader.read_line().await?.unwrap_or_default();
//!         writer.write_all(format!("you said {line}\n").as_bytes()).await?;
//!     }
//! });
//! let answer = simulation.host("client").run(async |event_loop| {
//!     // Names are those of the hosts.
//!     let (mut reader, writer) = event_loop.open_connection("server:7").await?;
//!     writer.write_all(b"hello\n").await?;
//!     Ok(reader.read_line().await?.map(str::to_owned))
//! })?;
//! assert_eq!(answer.as_deref(), Some("you said hello"));
//! // There and back twice, at 1 ms each way.
//! assert_eq!(simulation.elapsed(), Duration::from_millis(4));
//! # Ok(())
//! # }
//! ```
//!
//! # What is simulated
//!
//! - **TCP:** handshakes, bounded buffers, the order of bytes, half-close, resets, refused connects, backlogs. What a
//!   link loses is sent again with TCP's timeouts: a connection survives a partition of some minutes, and fails with
//!   "timed out" after some 15.
//! - **Resets** are told once, as by a kernel, and then the end. One that is lost is not sent again: the other side hears of
//!   it when it sends something, which is answered by another, or never.
//! - **Keep-alive** ([`Keepalive`](crate::Keepalive)): a peer whose machine has crashed, or to which nothing passes, is
//!   noticed after the time of silence and the probes, with "timed out". Without it who only listens hears nothing. Who has
//!   sent something hears by the timeouts of that.
//! - **Ports:** each host has its own, [some of them](KernelOptions::ephemeral_ports) for its kernel to choose from: none is
//!   left for a connect once each has a connection to the same address. Who ends a connection first keeps its addresses for
//!   a minute (`TIME_WAIT`): no server without [`reuse_address`](crate::ServerBuilder::reuse_address) gets the port until
//!   then, and the kernel does not choose it again for the same address. A crash ends that, a kill does not. A host that
//!   connects again from a port that it had before a crash resets the former connection.
//! - **UDP:** datagrams are late, lost, doubled, and overtake each other.
//! - **Unix sockets and loopback addresses** stay within a host; nothing happens to what passes over them.
//! - **TLS** is as real as everywhere; its keys, and so its bytes, differ from run to run, unless both sides use
//!   `tls_provider` (feature `tls`).
//! - **Kernels:** calls move less than they could, say "it would block" though they need not, and find no buffers and no
//!   descriptors, with some [probability](KernelOptions::fault). What happens at one instant happens in an order that
//!   follows from the seed.
//! - **Hosts:** [`Host::crash`] is a cable pulled out of the machine: nothing is sent any more, and who is connected
//!   learns of it when what it sends is answered by the restarted host, or never. [`Host::kill`] is `kill -9`: the kernel
//!   closes the connections. Both end the host's programs where they are; [`Host::restart`] begins them anew.
//! - **Disks:** [`Host::disk`] has files that outlive programs. What was not synced is lost or torn in a crash; a disk may
//!   be full, fail, or lose its power in the middle of a sync.
//! - **Clocks:** [`Host::date`] is a wall clock, which can be [set](Host::set_clock); timers do not follow it.
//! - **Signals:** [`Host::signal`] calls what a program has for a signal, or does what that does by default.
//!
//! Child processes and descriptors of the operating system do not exist here, and fail with
//! [`is_unsupported`](crate::Error::is_unsupported). Work handed to an executor runs on the loop's thread, at once, and
//! has taken as long as [`Host::set_job_time`] says when its outcome comes.
//!
//! # How like the real thing it is
//!
//! The checks that every stream transport has to pass run over the loopback interface and between two simulated hosts, in
//! the clear, with TLS 1.2 and with TLS 1.3, and each protocol gets the same callbacks, with the same bytes and the same
//! end, but for:
//!
//! - *How much has arrived when a connection is cut*, and how often `pause_writing` and `resume_writing` alternate: it
//!   depends on buffers, which grow and shrink in a kernel and hold 64 KiB here.
//! - *Which of two is first* that are ready at the same moment.
//! - *An abort right after a TLS 1.3 handshake* is a reset while the server's tickets are unread, and `is_truncated` later.
//! - *The texts of errors of the operating system.* Their kinds are the same.
//! - *Urgent data* cannot be sent in a simulation.
//!
//! # What has happened
//!
//! [`Simulation::trace`] is what was sent, when, and what became of it, with faults and notes: as text, as a
//! [`Diagram`], and, if [packets are recorded](Simulation::record_packets), as a [file](Trace::write_packets) that
//! Wireshark reads. [`Trace::save`] writes all of them, and `WHARF_SIM_TRACE=directory` lets a [`Check`] that fails do so.
//!
//! # What a crash cannot do
//!
//! The programs of a host that crashes are dropped, and `connection_lost` is called as when a loop is closed: a process
//! that is killed for real runs nothing any more. Nothing that they send then leaves the host, but what they do to things
//! that they share with the test is done. One that panics when it is dropped is no failure.
//!
//! # What else differs from the real thing
//!
//! - *What is on its way when a link is cut* arrives. What is sent from then on does not.
//! - *Names* are known at once, whatever links do, and mean IPv4 addresses.
//! - *A link of limited bandwidth* keeps what waits for it, however much: datagrams come late and are not lost.
//! - *A program that reads the real clock*, or waits for another thread, is no longer the same for equal seeds. One that
//!   waits for time to pass without a pause waits for ever, which is an [error](Simulation::patience).

mod addresses;
mod check;
mod disk;
mod fault;
mod faults;
mod host;
mod kernel;
#[cfg(test)]
mod mistakes;
#[cfg(test)]
mod misuse;
mod network;
mod program;
mod random;
mod script;
mod simulation;
#[cfg(test)]
mod tests;
#[cfg(feature = "tls")]
mod tls;
mod trace;

pub use self::check::{Check, SimulationFailure, check};
pub use self::disk::{Disk, DiskFault, DiskFile};
pub use self::fault::Fault;
pub use self::faults::Faults;
pub use self::host::{ClockOffset, Host};
pub use self::kernel::{KernelFault, KernelOptions};
pub use self::network::LinkOptions;
pub use self::random::Random;
pub use self::script::{InvalidScript, Script};
pub use self::simulation::Simulation;
#[cfg(feature = "tls")]
pub use self::tls::tls_provider;
pub use self::trace::{Delivery, Diagram, Packet, Trace, TraceEvent};
