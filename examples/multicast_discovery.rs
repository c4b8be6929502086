//! Programs that find each other: each announces itself to a multicast group, and lists whom it
//! hears.
//!
//! ```text
//! cargo run --release --example multicast_discovery -- --name kitchen
//! cargo run --release --example multicast_discovery -- --name cellar      (in a second terminal)
//! ```
#![forbid(unsafe_code)]

#[path = "support/command_line.rs"]
mod command_line;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use lexopt::{Arg, ValueExt};
use wharf::signal::{SIGINT, SIGTERM};
use wharf::{
    Address, DatagramProtocol, DatagramTransport, Error, EventLoop, MulticastInterface, Result,
};

const USAGE: &str = "
Announces itself to a multicast group, and shows who else does, until SIGINT or SIGTERM.

usage: multicast_discovery [--name NAME]          how to call itself; its process id by default
                           [--group ADDRESS]      an IPv4 group and port; 239.255.43.21:4321
                           [--interface ADDRESS]  which interface; 127.0.0.1, this machine only
                           [--for SECONDS]        end by itself after so long
";

/// What every announcement begins with: others may use the same group.
const GREETING: &str = "wharf-discovery ";

const INTERVAL: Duration = Duration::from_millis(500);

/// Whoever was silent for this long is gone.
const FORGET_AFTER: Duration = Duration::from_secs(3);

/// A name from the network is no longer.
const LONGEST_NAME: usize = 64;

/// Whoever makes up names cannot fill the memory.
const MOST_PEERS: usize = 1000;

struct Discovery {
    name: String,
    group: SocketAddrV4,
    interface: Ipv4Addr,
    peers: BTreeMap<String, Instant>,
}

impl DatagramProtocol for Discovery {
    fn connection_made(&mut self, transport: &dyn DatagramTransport) -> Result {
        let interface = MulticastInterface::Address(self.interface);
        transport.join_multicast((*self.group.ip()).into(), interface)?;
        transport.set_multicast_interface(interface)?;
        // Not beyond this network.
        transport.set_multicast_ttl(1)?;
        self.announce(transport)
    }

    fn datagram_received(
        &mut self,
        transport: &dyn DatagramTransport,
        data: &[u8],
        from: &Address,
    ) -> Result {
        let Some(name) = name_in(data) else { return Ok(()) };
        if name == self.name || self.peers.len() >= MOST_PEERS {
            return Ok(());
        }
        let now = transport.event_loop().time();
        if self.peers.insert(name.to_owned(), now).is_none() {
            writeln!(io::stdout(), "found {name} at {from}")?;
            // So that who has just come need not wait for the next announcement.
            self.announce(transport)?;
        }
        Ok(())
    }

    /// Without an interface that is up there may be no way out; there may be one later.
    fn error_received(&mut self, _: &dyn DatagramTransport, error: &Error) -> Result {
        writeln!(io::stderr(), "multicast_discovery: {error:#}")?;
        Ok(())
    }
}

impl Discovery {
    fn announce(&self, transport: &dyn DatagramTransport) -> Result {
        let text = format!("{GREETING}{}", self.name);
        transport.send_to(text.as_bytes(), &Address::from(self.group))?;
        Ok(())
    }

    fn forget_the_silent(&mut self, now: Instant) -> Result {
        let silent = |seen: &Instant| now.duration_since(*seen) > FORGET_AFTER;
        for (name, _) in self.peers.iter().filter(|(_, seen)| silent(seen)) {
            writeln!(io::stdout(), "lost {name}")?;
        }
        self.peers.retain(|_, seen| !silent(seen));
        Ok(())
    }
}

/// The name in an announcement: printable and not too long, whoever sends it.
fn name_in(data: &[u8]) -> Option<&str> {
    let name = std::str::from_utf8(data).ok()?.strip_prefix(GREETING)?;
    let fits = !name.is_empty() && name.len() <= LONGEST_NAME && !name.contains(char::is_control);
    fits.then_some(name)
}

fn main() -> ExitCode {
    command_line::run(USAGE, |mut arguments| {
        let mut name = std::process::id().to_string();
        let mut group = SocketAddrV4::new(Ipv4Addr::new(239, 255, 43, 21), 4321);
        let mut interface = Ipv4Addr::LOCALHOST;
        let mut seconds = None;
        while let Some(argument) = arguments.next()? {
            match argument {
                Arg::Long("name") => name = arguments.value()?.string()?,
                Arg::Long("group") => group = arguments.value()?.parse()?,
                Arg::Long("interface") => interface = arguments.value()?.parse()?,
                Arg::Long("for") => seconds = Some(arguments.value()?.parse::<u32>()?),
                other => return Err(other.unexpected().into()),
            }
        }
        if name_in(format!("{GREETING}{name}").as_bytes()).is_none() {
            let text = format!("a name has 1 to {LONGEST_NAME} printable bytes");
            return Err(lexopt::Error::from(text).into());
        }
        let discovery = Discovery { name, group, interface, peers: BTreeMap::new() };
        discover(discovery, seconds.map(|seconds| Duration::from_secs(seconds.into())))
    })
}

fn discover(discovery: Discovery, time: Option<Duration>) -> Result {
    EventLoop::new()?.run(async |event_loop| {
        let group = discovery.group;
        let endpoint = event_loop
            .create_datagram_endpoint(|| discovery)
            .local_address((Ipv4Addr::UNSPECIFIED, group.port()))
            .reuse_multicast_port(true)
            .await?;
        if endpoint.handle().is_closing() {
            // What was wrong has been reported.
            return Err(format!("the group {group} cannot be joined").into());
        }
        let stop = endpoint.handle().clone();
        for signal in [SIGINT, SIGTERM] {
            let stop = stop.clone();
            event_loop.add_signal_handler(signal, move || stop.close())?;
        }
        writeln!(io::stdout(), "announcing to {group}")?;
        let end = time.map(|time| event_loop.time() + time);
        while !stop.is_closing() && end.is_none_or(|end| event_loop.time() < end) {
            endpoint.with(|discovery, transport| {
                discovery.announce(transport)?;
                discovery.forget_the_silent(transport.event_loop().time())
            })??;
            event_loop.sleep(INTERVAL).await;
        }
        stop.close();
        Ok(())
    })
}
