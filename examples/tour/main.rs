//! One protocol over one transport after the other: the same `Echo` each time, and clients that check
//! every byte that comes back. Not shown: terminals, devices, Unix datagrams.
//!
//! ```text
//! cargo run --release --example tour
//! ```
//!
//! `transports.rs` says how each transport is set up, and `client.rs` is what the echo is driven by.
#![forbid(unsafe_code)]

mod client;
mod datagrams;
mod subprocess;
mod transports;

// As a file, not as the library it is part of: the tour builds little besides wharf.
#[path = "../support/command_line.rs"]
#[allow(dead_code, unreachable_pub, reason = "the other examples use more of it")]
mod command_line;

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use lexopt::{Arg, ValueExt};
use wharf::{Protocol, Result, Transport};

use self::client::{CONNECTIONS, Outcome, Workload};
use self::command_line::{count, run};

const USAGE: &str = "
Runs one echo protocol over one transport after the other, and shows what each of them does.

usage: tour [--messages N]    N messages on each row, instead of half a second of them
";

/// How to run a workload over one transport.
type Run = fn(Workload) -> Result<Outcome>;

/// Every transport there is.
const TRANSPORTS: [(&str, Run); 10] = [
    ("TCP, loopback", transports::tcp),
    ("TLS 1.3 over TCP", transports::tls_over_tcp),
    ("Unix socket", transports::unix),
    ("TLS 1.3 over a Unix socket", transports::tls_over_unix),
    ("UDP, loopback", datagrams::udp),
    ("pair of sockets", transports::socket_pair),
    ("pipes", transports::pipes),
    ("subprocess, through cat", subprocess::through_cat),
    ("memory pair", transports::memory_pair),
    ("memory network, virtual time", transports::memory_network),
];

/// Many small messages, and few large ones: bytes in each, and how many are on their way at once.
const MESSAGES: [(&str, usize, u64); 2] = [("64 B", 64, 16), ("64 KiB", 64 * 1024, 2)];

/// What is served on all of them.
struct Echo;

impl Protocol for Echo {
    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
        transport.write(data);
        Ok(())
    }
}

fn main() -> ExitCode {
    run(USAGE, |mut arguments| {
        let (mut messages, mut time) = (u64::MAX, Duration::from_millis(500));
        while let Some(argument) = arguments.next()? {
            match argument {
                Arg::Long("messages") => {
                    let count = arguments.value()?.parse_with(count)?;
                    (messages, time) = (count.try_into()?, Duration::MAX);
                }
                other => return Err(other.unexpected().into()),
            }
        }
        print_table(messages, time)
    })
}

fn print_table(messages: u64, time: Duration) -> Result {
    let mut out = io::stdout();
    writeln!(
        out,
        "{CONNECTIONS} connections at a time; server and clients share one thread; every byte that \
         comes back is checked.\n"
    )?;
    let heads = ["transport", "message", "messages", "messages/s", "MB/s"];
    writeln!(
        out,
        "{:<28} {:>8} {:>10} {:>12} {:>8}",
        heads[0], heads[1], heads[2], heads[3], heads[4]
    )?;
    for (transport, run) in TRANSPORTS {
        for (label, size, in_flight) in MESSAGES {
            let outcome = run(Workload::new(size, in_flight, messages, time))
                .map_err(|error| format!("{transport}, messages of {label}: {error:#}"))?;
            let rate = outcome.messages as f64 / outcome.time.as_secs_f64();
            let megabytes = rate * outcome.size as f64 / 1e6;
            let label = match outcome.size == size {
                true => label.to_owned(),
                false => format!("{} B", outcome.size),
            };
            let count = outcome.messages;
            writeln!(out, "{transport:<28} {label:>8} {count:>10} {rate:>12.0} {megabytes:>8.1}")?;
        }
    }
    Ok(())
}
