//! Programs that find each other: each announces itself to a multicast group, and lists the others
//! that it hears.
//!
//! ```text
//! cargo run --release --example multicast_discovery -- --name kitchen
//! cargo run --release --example multicast_discovery -- --name cellar      (in a second terminal)
//! ```
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::process::ExitCode;
use std::rc::Rc;
use std::time::{Duration, Instant};

use lexopt::{Arg, ValueExt};
use wharf::{
    Address, DatagramProtocol, DatagramTransport, Error, EventLoop, MulticastInterface, Result,
};

use wharf_examples::command_line::{run, seconds};
use wharf_examples::output::Output;
use wharf_examples::race::within;
use wharf_examples::stopping::stop_signal;
use wharf_examples::text::is_shown;

const USAGE: &str = "
Announces itself to a multicast group, and shows who else does, until SIGINT or SIGTERM.

usage: multicast_discovery [--name NAME]          how to call itself; its process id by default
                           [--group ADDRESS]      an IPv4 group and port; 239.255.43.21:4321
                           [--interface ADDRESS]  which interface; 127.0.0.1, this machine only
                           [--for SECONDS]        end by itself after so long

It ends, too, when nobody reads standard output any more.
";

/// What every announcement begins with: others may use the same group.
const GREETING: &str = "wharf-discovery ";

const INTERVAL: Duration = Duration::from_millis(500);

/// A program that was silent for this long has gone.
const FORGET_AFTER: Duration = Duration::from_secs(3);

/// Longer names from the network are not believed.
const LONGEST_NAME: usize = 64;

/// Somebody who makes up names cannot fill the memory.
const MOST_PEERS: usize = 1000;

struct Discovery {
    name: String,
    group: SocketAddrV4,
    interface: Ipv4Addr,
    peers: BTreeMap<String, Instant>,
    /// Standard output: a reader that stalls does not stop the announcements.
    out: Rc<Output>,
    errors: Rc<Output>,
}

impl DatagramProtocol for Discovery {
    fn datagram_received(
        &mut self,
        transport: &dyn DatagramTransport,
        data: &[u8],
        from: &Address,
    ) -> Result {
        let Some(name) = name_in(data).filter(|name| *name != self.name) else { return Ok(()) };
        let now = transport.event_loop().time();
        if let Some(seen) = self.peers.get_mut(name) {
            *seen = now;
        } else if self.peers.len() < MOST_PEERS {
            self.peers.insert(name.to_owned(), now);
            self.out.say(&format!("found {name} at {from}"));
            // So that who has just come need not wait for the next announcement.
            self.announce(transport)?;
        }
        Ok(())
    }

    /// Without an interface that is up there may be no way out; there may be one later.
    fn error_received(&mut self, _: &dyn DatagramTransport, error: &Error) -> Result {
        self.errors.say(&format!("multicast_discovery: {error:#}"));
        Ok(())
    }
}

impl Discovery {
    fn join(&self, transport: &dyn DatagramTransport) -> Result {
        let interface = MulticastInterface::Address(self.interface);
        transport.join_multicast((*self.group.ip()).into(), interface)?;
        transport.set_multicast_interface(interface)?;
        // Not beyond this network.
        transport.set_multicast_ttl(1)?;
        self.announce(transport)
    }

    fn announce(&self, transport: &dyn DatagramTransport) -> Result {
        let text = format!("{GREETING}{}", self.name);
        transport.send_to(text.as_bytes(), &Address::from(self.group))?;
        Ok(())
    }

    fn forget_the_silent(&mut self, now: Instant) {
        let silent = |seen: &Instant| now.duration_since(*seen) > FORGET_AFTER;
        for (name, _) in self.peers.iter().filter(|(_, seen)| silent(seen)) {
            self.out.say(&format!("lost {name}"));
        }
        self.peers.retain(|_, seen| !silent(seen));
    }
}

/// The name in an announcement: printable and not too long, whoever sends it.
fn name_in(data: &[u8]) -> Option<&str> {
    let name = std::str::from_utf8(data).ok()?.strip_prefix(GREETING)?;
    let fits = !name.is_empty() && name.len() <= LONGEST_NAME && name.chars().all(is_shown);
    fits.then_some(name)
}

struct Options {
    name: String,
    group: SocketAddrV4,
    interface: Ipv4Addr,
    time: Option<Duration>,
}

fn main() -> ExitCode {
    run(USAGE, |arguments| {
        let options = parse(arguments)?;
        EventLoop::new()?.run(async |event_loop| discover(&event_loop, options).await)
    })
}

fn parse(mut arguments: lexopt::Parser) -> Result<Options, lexopt::Error> {
    let mut options = Options {
        name: std::process::id().to_string(),
        group: SocketAddrV4::new(Ipv4Addr::new(239, 255, 43, 21), 4321),
        interface: Ipv4Addr::LOCALHOST,
        time: None,
    };
    while let Some(argument) = arguments.next()? {
        match argument {
            Arg::Long("name") => options.name = arguments.value()?.string()?,
            Arg::Long("group") => options.group = arguments.value()?.parse_with(group)?,
            Arg::Long("interface") => options.interface = arguments.value()?.parse()?,
            Arg::Long("for") => options.time = Some(arguments.value()?.parse_with(seconds)?),
            other => return Err(other.unexpected()),
        }
    }
    if name_in(format!("{GREETING}{}", options.name).as_bytes()).is_none() {
        return Err(format!("a name has 1 to {LONGEST_NAME} printable bytes").into());
    }
    Ok(options)
}

fn group(text: &str) -> Result<SocketAddrV4, String> {
    let group = text.parse::<SocketAddrV4>().map_err(|error| error.to_string())?;
    match group.ip().is_multicast() && group.port() != 0 {
        true => Ok(group),
        false => Err("a group has an address from 224.0.0.0 to 239.255.255.255 and a port".into()),
    }
}

async fn discover(event_loop: &EventLoop, options: Options) -> Result {
    let Options { name, group, interface, time } = options;
    let out = Rc::new(Output::standard_output(event_loop).await?);
    let errors = Rc::new(Output::standard_error(event_loop).await?);
    let discovery = Discovery {
        name,
        group,
        interface,
        peers: BTreeMap::new(),
        out: Rc::clone(&out),
        errors: Rc::clone(&errors),
    };
    let endpoint = event_loop
        .create_datagram_endpoint(|| discovery)
        .local_address((Ipv4Addr::UNSPECIFIED, group.port()))
        .reuse_multicast_port(true)
        .await?;
    endpoint
        .with(|discovery, transport| discovery.join(transport))?
        .map_err(|error| format!("could not join {group} on {interface}: {error:#}"))?;
    let mut stopped = stop_signal(event_loop)?;
    let unread = endpoint.handle().clone();
    out.on_failure(move |_| unread.close());
    out.say(&format!("announcing to {group}"));
    let end = time.map(|time| event_loop.time() + time);
    while !endpoint.handle().is_closing() && end.is_none_or(|end| event_loop.time() < end) {
        if within(event_loop, INTERVAL, &mut stopped).await.is_some() {
            break;
        }
        endpoint.post(|discovery, transport| {
            // An endpoint that takes no datagram now may take the next one.
            let _ = discovery.announce(transport);
            discovery.forget_the_silent(transport.event_loop().time());
        });
    }
    endpoint.handle().close();
    let outcome = out.finish(INTERVAL).await;
    // Nobody may be reading: that is no failure.
    let _ = errors.finish(INTERVAL).await;
    match outcome {
        Err(reason) if !out.is_unread() => Err(format!("standard output: {reason}").into()),
        _ => Ok(()),
    }
}
