//! A TCP proxy: every connection is joined with one that is made to another address.
//!
//! ```text
//! cargo run --release --example tcp_proxy -- --listen 127.0.0.1:7000 --connect 127.0.0.1:80
//! ```
//!
//! Then, in a second terminal, `curl http://127.0.0.1:7000/`.
#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::num::NonZero;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use lexopt::{Arg, ValueExt};
use wharf::{
    EventLoop, PausedProtocol, RateGroup, RateLimit, RelayEnd, RelayStatistics, Result, Transport,
    TransportHandle, relay,
};

use wharf_examples::command_line::{
    address, bytes, count, listen_address, missing, run, seconds, set_once,
};
use wharf_examples::output::Output;
use wharf_examples::serving::serve_until_signal;

const USAGE: &str = "
Passes on every connection to another address, until SIGINT or SIGTERM.

usage: tcp_proxy --listen ADDRESS --connect ADDRESS [options]

  --read-limit BYTES     what each client may send in a second, such as 64k or 10M
  --write-limit BYTES    what each client is sent in a second
  --total-limit BYTES    what all clients together may send, and are sent, in a second
  --connections MAX      how many clients at a time; others wait
  --idle SECONDS         ends a connection without traffic
  --statistics SECONDS   how often to say on standard error what goes on

An option that is not given sets no limit. What goes on is said at the end, too.

exit code: 0 if all connections came to their end, 1 if some had to be cut off
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
    statistics: Option<Duration>,
}

/// Makes the other connection, joins the two, and waits until both are over.
async fn join(client: TransportHandle, to: String, idle: Option<Duration>, traffic: Rc<Traffic>) {
    let who = match client.info().peer_address() {
        Some(address) => address.to_string(),
        None => "a client".to_owned(),
    };
    let connecting = client.event_loop().create_connection(PausedProtocol::new, to);
    let upstream = match connecting.await {
        Ok(upstream) => upstream,
        Err(error) => {
            traffic.log.say(&format!("tcp_proxy: {who}: {error:#}"));
            return client.close();
        }
    };
    let relay = relay(&client, &upstream).idle_timeout(idle);
    traffic.add(relay.statistics());
    // From here on both connections have the relay's own protocol.
    match relay.await.map(|outcome| outcome.end) {
        Ok(RelayEnd::Failed(_, error)) => traffic.log.say(&format!("tcp_proxy: {who}: {error:#}")),
        Ok(_) => {}
        // The client did not wait for its connection.
        Err(error) => traffic.log.say(&format!("tcp_proxy: {who}: {error:#}")),
    }
    traffic.clear_up();
}

/// The relays that go on, and what those that have ended have passed on.
struct Traffic {
    /// Standard error: a reader that stalls does not stop the proxy.
    log: Output,
    relays: RefCell<Vec<RelayStatistics>>,
    begun: Cell<u64>,
    ended_up: Cell<u64>,
    ended_down: Cell<u64>,
}

impl Traffic {
    fn new(log: Output) -> Self {
        Self {
            log,
            relays: RefCell::default(),
            begun: Cell::default(),
            ended_up: Cell::default(),
            ended_down: Cell::default(),
        }
    }

    fn add(&self, statistics: RelayStatistics) {
        self.begun.set(self.begun.get() + 1);
        self.relays.borrow_mut().push(statistics);
    }

    /// Keeps no more of relays that have ended than what they add up to.
    fn clear_up(&self) {
        self.relays.borrow_mut().retain(|relay| {
            if relay.is_done() {
                self.ended_up.set(self.ended_up.get() + relay.a_to_b());
                self.ended_down.set(self.ended_down.get() + relay.b_to_a());
            }
            !relay.is_done()
        });
    }

    fn say(&self) {
        let relays = self.relays.borrow();
        let up = self.ended_up.get() + relays.iter().map(RelayStatistics::a_to_b).sum::<u64>();
        let down = self.ended_down.get() + relays.iter().map(RelayStatistics::b_to_a).sum::<u64>();
        let (open, begun) = (relays.len(), self.begun.get());
        self.log.say(&format!(
            "tcp_proxy: {open} open of {begun} so far: {up} bytes up, {down} bytes down"
        ));
    }
}

/// How long the reader of standard error has at the end.
const LAST_WORDS: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    run(USAGE, |arguments| serve(parse(arguments)?))
}

fn serve(options: Options) -> Result {
    let event_loop = EventLoop::new()?;
    event_loop.run(async |event_loop| {
        let Options { listen, connect, idle, .. } = options;
        let traffic = Rc::new(Traffic::new(Output::standard_error(&event_loop).await?));
        let counted = Rc::clone(&traffic);
        // Nothing is read from a client until it is joined.
        let factory = move || {
            let (to, traffic) = (connect.clone(), Rc::clone(&counted));
            PausedProtocol::calling(move |client| {
                let joining = join(client.handle(), to, idle, traffic);
                client.event_loop().create_task(joining).detach();
                Ok(())
            })
        };
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
        if let Some(interval) = options.statistics {
            let (sleeper, told) = (event_loop.clone(), Rc::downgrade(&traffic));
            let telling = event_loop.create_task(async move {
                while let Some(traffic) = told.upgrade() {
                    traffic.say();
                    sleeper.sleep(interval).await;
                }
            });
            telling.detach();
        }
        let outcome = serve_until_signal(server).await;
        traffic.say();
        // Nobody may be reading: that is no failure.
        let _ = traffic.log.finish(LAST_WORDS).await;
        outcome
    })
}

fn parse(mut arguments: lexopt::Parser) -> Result<Options, lexopt::Error> {
    let (mut listen, mut connect) = (None, None);
    let (mut read_limit, mut write_limit, mut total_limit) = (None, None, None);
    let (mut connections, mut idle, mut statistics) = (None, None, None);
    while let Some(argument) = arguments.next()? {
        match argument {
            Arg::Long("listen") => {
                set_once(&mut listen, arguments.value()?.parse_with(listen_address)?)?;
            }
            Arg::Long("connect") => {
                set_once(&mut connect, arguments.value()?.parse_with(address)?)?;
            }
            Arg::Long("read-limit") => read_limit = Some(arguments.value()?.parse_with(bytes)?),
            Arg::Long("write-limit") => write_limit = Some(arguments.value()?.parse_with(bytes)?),
            Arg::Long("total-limit") => total_limit = Some(arguments.value()?.parse_with(bytes)?),
            Arg::Long("connections") => connections = Some(arguments.value()?.parse_with(count)?),
            Arg::Long("idle") => idle = Some(arguments.value()?.parse_with(seconds)?),
            Arg::Long("statistics") => statistics = Some(arguments.value()?.parse_with(seconds)?),
            other => return Err(other.unexpected()),
        }
    }
    let rate = |limit: NonZero<u64>| RateLimit::bytes_per_second(limit.get());
    Ok(Options {
        listen: listen.ok_or_else(|| missing("--listen ADDRESS"))?,
        connect: connect.ok_or_else(|| missing("--connect ADDRESS"))?,
        read_limit: read_limit.map(rate),
        write_limit: write_limit.map(rate),
        total_limit: total_limit.map(rate),
        connections,
        idle,
        statistics,
    })
}
