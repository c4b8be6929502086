//! Two hosts of a simulation.

use std::time::Duration;

use wharf::sim::{Host, Simulation};
use wharf::testing::{advance, settle, step, unfenced_panics};
use wharf::{Connection, EventLoop, Protocol};

use crate::encryption::{Tls, connect, serve};
use crate::stage::{Socket, once};

/// No check waits longer, in virtual time.
const PATIENCE: Duration = Duration::from_secs(60);

/// As often as it is looked whether something has happened.
const A_WHILE: Duration = Duration::from_millis(1);

/// A server's host and a client's, with 1 ms between them.
pub(crate) struct Simulated(World);

/// A simulation with the two ends of a link.
pub(crate) struct World {
    simulation: Simulation,
    near: EventLoop,
    far_host: Host,
    pub(crate) far: EventLoop,
}

impl World {
    fn new(simulation: Simulation) -> Self {
        let (near_host, far_host) = (simulation.host("near"), simulation.host("far"));
        let near = near_host.run(async |event_loop| Ok(event_loop)).expect("a loop");
        let far = far_host.run(async |event_loop| Ok(event_loop)).expect("a loop");
        Self { simulation, near, far_host, far }
    }

    #[track_caller]
    pub(crate) fn run_until(&self, what: &str, mut condition: impl FnMut() -> bool) {
        let deadline = self.simulation.elapsed() + PATIENCE;
        loop {
            settle(&self.near).expect("the loops run");
            assert_eq!(unfenced_panics(), 0, "panics passed through the event loop");
            if condition() {
                return;
            }
            let now = self.simulation.elapsed();
            assert!(now < deadline, "waited {PATIENCE:?} for {what}");
            advance(&self.near, A_WHILE).expect("the loops run");
        }
    }

    #[track_caller]
    pub(crate) fn rest(&self) {
        self.simulation.settle().expect("the loops run");
        assert_eq!(unfenced_panics(), 0, "panics passed through the event loop");
    }

    fn join<A: Protocol, B: Protocol>(&self, tls: Option<&Tls>, near: A, far: B) -> Connection<A> {
        let World { near: near_loop, far: far_loop, far_host, .. } = self;
        let (factory, made) = once(far);
        let address = format!("{}:0", far_host.ipv4());
        let server = far_loop
            .run_until_complete(serve(tls, far_loop.create_server(factory, address)).start())
            .and_then(|server| server)
            .expect("a server");
        let address = server.addresses()[0].to_string();
        let connecting = connect(tls, near_loop.create_connection(move || near, address)).start();
        let connection = near_loop
            .run_until_complete(connecting)
            .and_then(|connection| connection)
            .expect("a connection");
        self.run_until("the server's end", || made.get());
        server.close();
        connection
    }
    /// One turn of each loop that has something to do. If none has, time passes.
    pub(crate) fn step(&self) {
        let count = || {
            let [near, far] = [&self.near, &self.far].map(EventLoop::statistics);
            near.callbacks + near.events + far.callbacks + far.events
        };
        let before = count();
        step(&self.near).expect("the loops run");
        if count() == before {
            advance(&self.near, A_WHILE).expect("the loops run");
        }
    }
}

impl Socket for Simulated {
    fn new() -> Self {
        Self(World::new(Simulation::new(1)))
    }

    fn event_loop(&self) -> &EventLoop {
        &self.0.near
    }

    fn world(&self) -> Option<&World> {
        Some(&self.0)
    }

    fn join<A: Protocol, B: Protocol>(&self, tls: Option<&Tls>, near: A, far: B) -> Connection<A> {
        self.0.join(tls, near, far)
    }
}

/// As [`Simulated`], over links that do what [`crate::seeds`] says.
pub(crate) struct Faulty(World);

impl Socket for Faulty {
    fn new() -> Self {
        Self(World::new(crate::seeds::simulation()))
    }

    fn event_loop(&self) -> &EventLoop {
        &self.0.near
    }

    fn world(&self) -> Option<&World> {
        Some(&self.0)
    }

    fn join<A: Protocol, B: Protocol>(&self, tls: Option<&Tls>, near: A, far: B) -> Connection<A> {
        self.0.join(tls, near, far)
    }
}
