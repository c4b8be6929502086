//! The protocols with their servers and clients on simulated hosts, for each seed with other faults: links that lose, cut and
//! clog, hosts that are killed, crash, stand still and begin anew.
//!
//! While there are faults, an answer is whole and belongs to its request, or there is an error, after a bounded time. When
//! they are over everything works again, and in the end a server has no connection left whose client is gone.
//!
//! `WHARF_SIM_SEEDS=10000` tries more of them, and `WHARF_SIM_SEED=7` one again, with all that was sent.
#![forbid(unsafe_code)]

mod broker;
mod framed;
mod http;
mod lines;
mod nats;
mod websocket;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use wharf::sim::{Check, Faults, Host, LinkOptions, Random, Simulation};
use wharf::{EventLoop, Result, Server};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// When the last fault is over.
const CALM: Duration = Duration::from_secs(20);

/// Tries a scenario with some seeds, and with faults until [`CALM`].
#[track_caller]
fn check(scenario: impl Fn(&Simulation) -> Result + Sync) {
    let faults = Faults::all().every(SECOND).until(CALM);
    Check::new().seeds(12).faults(faults).run(|simulation| {
        simulation.links(LinkOptions::new().latency(MS..=30 * MS).split(0.2));
        simulation.limit(600 * SECOND);
        scenario(simulation)
    });
}

/// A client, and what its programs need.
#[derive(Clone)]
struct Client {
    simulation: Simulation,
    event_loop: EventLoop,
    random: Random,
}

impl Client {
    /// Lets it run until its program is done; it begins anew when its host is restarted.
    fn start(
        simulation: &Simulation,
        name: &str,
        program: impl AsyncFn(Self) -> Result + 'static,
    ) -> Host {
        let host = simulation.host(name);
        let (simulation, random) = (simulation.clone(), host.random());
        host.start(async move |event_loop| {
            let (simulation, random) = (simulation.clone(), random.clone());
            program(Self { simulation, event_loop, random }).await
        });
        host
    }

    /// Whether the last fault is over.
    fn is_calm(&self) -> bool {
        self.simulation.elapsed() >= CALM
    }

    async fn pause(&self) {
        self.event_loop.sleep(self.random.duration(MS..=500 * MS)).await;
    }

    /// Waits for something that ends by itself within `limit`, whatever happens to the network.
    async fn within<T>(&self, limit: Duration, what: &str, action: impl Future<Output = T>) -> T {
        let outcome = wharf::timeout(limit, action).await;
        outcome.unwrap_or_else(|_| panic!("{what} hangs"))
    }
}

/// The server of the present life of its host.
#[derive(Clone, Default)]
struct Serving(Rc<RefCell<Option<Server>>>);

impl Serving {
    async fn serve(&self, server: Server) -> Result {
        *self.0.borrow_mut() = Some(server.clone());
        Ok(server.wait_closed().await?)
    }

    /// Whether it has let go of all clients, which have gone, after its timeouts.
    fn check_empty(&self, simulation: &Simulation, timeouts: Duration) -> Result {
        simulation.run_for(timeouts)?;
        match self.0.borrow().as_ref().map(Server::connections) {
            Some(0) => Ok(()),
            count => Err(format!("the server has {count:?} connections left").into()),
        }
    }
}

/// What nobody else sends: a number in each of its words.
fn content(id: u64, length: usize) -> Vec<u8> {
    let mut content = format!("{id:08} ").repeat(length / 9 + 1).into_bytes();
    content.truncate(length);
    content
}
