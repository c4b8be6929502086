//! A TCP proxy: every connection is joined with one that is made to another address.
//!
//! ```text
//! cargo run --release --example tcp_proxy -- --listen 127.0.0.1:7000 --connect 127.0.0.1:80
//! ```
//!
//! Then, in a second terminal, `curl http://127.0.0.1:7000/`.
#![forbid(unsafe_code)]

#[path = "support/command_line.rs"]
mod command_line;
#[path = "support/serving.rs"]
mod serving;

use std::cell::{Cell, RefCell};
use std::io::{self, Write};
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use lexopt::ValueExt;
use wharf::{
    EventLoop, Protocol, RateGroup, RateLimit, RelayEnd, RelayStatistics, Result, Transport,
    TransportHandle, relay,
};

use self::serving::serve_until_signal;

const USAGE: &str = "
Passes on every connection to another address, until SIGINT or SIGTERM.

usage: tcp_proxy --listen ADDRESS --connect ADDRESS [options]

  --read-limit BYTES     what each client may send in a second
  --write-limit BYTES    what each client is sent in a second
  --total-limit BYTES    what all clients together may send, and are sent, in a second
  --connections MAX      how many clients at a time; others wait
  --idle SECONDS         ends a connection without traffic; 600 unless given, 0 for never
  --statistics SECONDS   how often to say on standard error what goes on; 10 unless given
";

/// What the command line asks for.
struct Options {
    listen: String,
    connect: String,
    read_limit: Option<RateLimit>,
    write_limit: Option<RateLimit>,
    total_limit: Option<RateLimit>,
    connections: Option<usize>,
    idle: Option<Duration>,
    statistics: Duration,
}

/// What a client's connection has until it is joined: one value for each client.
struct Joining {
    connect: String,
    idle: Option<Duration>,
    traffic: Rc<Traffic>,
}

impl Protocol for Joining {
    /// A client is here. What it sends waits in the operating system until there is somebody to pass
    /// it on to.
    fn connection_made(&mut self, client: &dyn Transport) -> Result {
        client.pause_reading();
        let joining =
            join(client.handle(), self.connect.clone(), self.idle, Rc::clone(&self.traffic));
        client.event_loop().create_task(joining).detach();
        Ok(())
    }

    fn data_received(&mut self, _: &dyn Transport, _: &[u8]) -> Result {
        Ok(())
    }
}

/// Makes the other connection, joins the two, and waits until both are over.
async fn join(client: TransportHandle, to: String, idle: Option<Duration>, traffic: Rc<Traffic>) {
    let who = match client.info().peer_address() {
        Some(address) => address.to_string(),
        None => "a client".to_owned(),
    };
    let connecting = client.event_loop().create_connection(|| Upstream, to);
    let upstream = match connecting.await {
        Ok(upstream) => upstream,
        Err(error) => {
            say(format_args!("{who}: {error:#}"));
            return client.close();
        }
    };
    let relay = relay(&client, &upstream).idle_timeout(idle);
    traffic.add(relay.statistics());
    // From here on both connections have the relay's own protocol.
    match relay.await.map(|outcome| outcome.end) {
        Ok(RelayEnd::Failed(_, error)) => say(format_args!("{who}: {error:#}")),
        Ok(_) => {}
        // The client did not wait for its connection.
        Err(error) => say(format_args!("{who}: {error:#}")),
    }
    traffic.clear_up();
}

/// What the connection to the other address has for a moment.
struct Upstream;

impl Protocol for Upstream {
    fn connection_made(&mut self, upstream: &dyn Transport) -> Result {
        upstream.pause_reading();
        Ok(())
    }

    fn data_received(&mut self, _: &dyn Transport, _: &[u8]) -> Result {
        Ok(())
    }
}

/// The relays that go on, and what those that are over have passed on.
#[derive(Default)]
struct Traffic {
    relays: RefCell<Vec<RelayStatistics>>,
    begun: Cell<u64>,
    over_up: Cell<u64>,
    over_down: Cell<u64>,
}

impl Traffic {
    fn add(&self, statistics: RelayStatistics) {
        self.begun.set(self.begun.get() + 1);
        self.relays.borrow_mut().push(statistics);
    }

    /// Keeps no more of relays that are over than what they add up to.
    fn clear_up(&self) {
        self.relays.borrow_mut().retain(|relay| {
            if relay.is_done() {
                self.over_up.set(self.over_up.get() + relay.a_to_b());
                self.over_down.set(self.over_down.get() + relay.b_to_a());
            }
            !relay.is_done()
        });
    }

    fn say(&self) {
        let relays = self.relays.borrow();
        let up = self.over_up.get() + relays.iter().map(RelayStatistics::a_to_b).sum::<u64>();
        let down = self.over_down.get() + relays.iter().map(RelayStatistics::b_to_a).sum::<u64>();
        let (open, begun) = (relays.len(), self.begun.get());
        say(format_args!("{open} open of {begun} so far: {up} bytes up, {down} bytes down"));
    }
}

fn say(what: std::fmt::Arguments<'_>) {
    // Nobody may be reading: that is no failure.
    let _ = writeln!(io::stderr(), "tcp_proxy: {what}");
}

fn main() -> ExitCode {
    command_line::run(USAGE, |arguments| serve(parse(arguments)?))
}

fn serve(options: Options) -> Result {
    let event_loop = EventLoop::new()?;
    event_loop.run(async |event_loop| {
        let Options { listen, connect, idle, .. } = options;
        let traffic = Rc::new(Traffic::default());
        let counted = Rc::clone(&traffic);
        let factory =
            move || Joining { connect: connect.clone(), idle, traffic: Rc::clone(&counted) };
        // Limits are set on the side of the clients; the other side follows, since nothing is read
        // there that cannot be passed on.
        let group = RateGroup::new(&event_loop);
        group.set_read_limit(options.total_limit);
        group.set_write_limit(options.total_limit);
        let mut server = event_loop.create_server(factory, listen);
        if options.total_limit.is_some() {
            server = server.rate_group(&group);
        }
        if let Some(limit) = options.read_limit {
            server = server.read_limit(limit);
        }
        if let Some(limit) = options.write_limit {
            server = server.write_limit(limit);
        }
        if let Some(connections) = options.connections {
            server = server.max_connections(connections);
        }
        let server = server.await?;
        let (sleeper, told) = (event_loop.clone(), Rc::clone(&traffic));
        let telling = event_loop.create_task(async move {
            loop {
                sleeper.sleep(options.statistics).await;
                told.say();
            }
        });
        serve_until_signal(server).await?;
        drop(telling);
        traffic.say();
        Ok(())
    })
}

fn parse(mut arguments: lexopt::Parser) -> Result<Options, lexopt::Error> {
    let (mut listen, mut connect) = (None, None);
    let (mut read_limit, mut write_limit, mut total_limit) = (None, None, None);
    let (mut connections, mut idle, mut statistics) = (None, 600, 10);
    while let Some(argument) = arguments.next()? {
        match argument {
            lexopt::Arg::Long("listen") => listen = Some(arguments.value()?.string()?),
            lexopt::Arg::Long("connect") => connect = Some(arguments.value()?.string()?),
            lexopt::Arg::Long("read-limit") => read_limit = Some(arguments.value()?.parse()?),
            lexopt::Arg::Long("write-limit") => write_limit = Some(arguments.value()?.parse()?),
            lexopt::Arg::Long("total-limit") => total_limit = Some(arguments.value()?.parse()?),
            lexopt::Arg::Long("connections") => connections = Some(arguments.value()?.parse()?),
            lexopt::Arg::Long("idle") => idle = arguments.value()?.parse()?,
            lexopt::Arg::Long("statistics") => statistics = arguments.value()?.parse::<u64>()?,
            other => return Err(other.unexpected()),
        }
    }
    Ok(Options {
        listen: listen.ok_or("--listen ADDRESS is missing")?,
        connect: connect.ok_or("--connect ADDRESS is missing")?,
        read_limit: read_limit.map(RateLimit::bytes_per_second),
        write_limit: write_limit.map(RateLimit::bytes_per_second),
        total_limit: total_limit.map(RateLimit::bytes_per_second),
        connections,
        idle: (idle > 0).then(|| Duration::from_secs(idle)),
        statistics: Duration::from_secs(statistics.max(1)),
    })
}
