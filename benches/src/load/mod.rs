//! The load generator: one thread that drives an echo server, or a web server, and checks what comes
//! back.
//!
//! `load MODE --connect ADDRESS …` prints one line of `key=value` pairs. With `--controlled` it
//! first prints `ready` when the warm-up is over and waits for a line on stdin before it starts the
//! measured part, and after its result it waits once more before it lets go of its connections: so
//! the one who measures reads the server's counters around exactly the measured part.

use std::io::ErrorKind;
use std::time::Duration;

use mio::{Events, Poll};

use crate::Result;
use crate::arguments::Arguments;
use crate::measured::{say, wait_for_a_line};
use crate::servers::raise_open_file_limit;

mod churn;
mod connect;
mod echo;
mod http;
mod idle;
mod latency;
mod receive;
mod storm;
#[cfg(test)]
mod tests;
mod tls;
mod udp;
mod websocket;

pub use churn::Churn;
pub use connect::SourceAddresses;
pub use echo::Echo;
pub use http::Http;
pub use idle::{Idle, Speech};
pub use latency::Latency;
pub use receive::Receive;
pub use storm::Storm;
pub use tls::Wire;
pub use udp::Udp;
pub use websocket::WebSocket;

/// A load that does nothing for so long has failed.
const STALL_LIMIT: Duration = Duration::from_secs(20);

/// Waits for events. None for long is an error.
fn wait(poll: &mut Poll, events: &mut Events) -> Result {
    loop {
        match poll.poll(events, Some(STALL_LIMIT)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            outcome => outcome?,
        }
        return if events.is_empty() { Err("stalled".into()) } else { Ok(()) };
    }
}

/// Runs the load that the command line asks for.
///
/// # Errors
/// The command line is wrong, or the server does not echo as it should.
pub fn run(mut arguments: Arguments) -> Result {
    let mode = arguments.word().ok_or(
        "a mode is missing: echo, churn, http, idle, latency, receive, storm, udp or websocket",
    )?;
    let mut control = Control { controlled: arguments.flag("--controlled") };
    raise_open_file_limit();
    let result = match mode.as_str() {
        "echo" => Echo::from_arguments(arguments)?.run(&mut control),
        "churn" => Churn::from_arguments(arguments)?.run(&mut control),
        "http" => Http::from_arguments(arguments)?.run(&mut control),
        "idle" => Idle::from_arguments(arguments)?.run(&mut control),
        "receive" => Receive::from_arguments(arguments)?.run(&mut control),
        "storm" => Storm::from_arguments(arguments)?.run(&mut control),
        "udp" => Udp::from_arguments(arguments)?.run(&mut control),
        "websocket" => WebSocket::from_arguments(arguments)?.run(&mut control),
        "latency" => Latency::from_arguments(arguments)?.run(&mut control),
        other => return Err(format!("unknown mode: {other}").into()),
    };
    say(&result?)?;
    control.wait()
}

/// What whoever measures says to the load.
#[derive(Debug)]
pub struct Control {
    controlled: bool,
}

impl Control {
    /// A load that nobody controls: it never waits.
    pub fn uncontrolled() -> Self {
        Self { controlled: false }
    }

    /// Says `ready` and waits to be told to go on.
    fn ready(&mut self) -> Result {
        if self.controlled {
            say("ready")?;
        }
        self.wait()
    }

    /// Waits for a line on stdin, or its end.
    fn wait(&mut self) -> Result {
        if self.controlled {
            wait_for_a_line()?;
        }
        Ok(())
    }
}

/// The bytes that messages are made of: each differs from its neighbours, so that a byte lost,
/// doubled or moved shows.
fn pattern(size: usize) -> Vec<u8> {
    (0..size).map(|index| (index % 251) as u8).collect()
}
