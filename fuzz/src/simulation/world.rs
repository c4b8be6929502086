//! Hosts, and what they do.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use wharf::sim::Simulation;
use wharf::{
    DatagramStream, DatagramTransport as _, Error, EventLoop, Protocol, ProtocolFactory, Result,
    Server, ServerBuilder, StreamReader, Timeout,
};
use wharf_protocols::line::Lines;

use super::clients::{LineSpeaker, Outcome, Speaker};
use super::cover::Sides;
use super::ledger::Ledger;
use super::plan::{Ending, Plan, Talk, client};
use super::servers::{Answer, DatagramEcho, Echo, LineEcho, echo};
use super::speech::Speech;
use super::watched::Watched;

/// Simulates it once. Gives the fingerprint and the text of the trace, and whatever was broken.
pub(super) fn play(plan: &Plan) -> Played {
    let simulation = Simulation::new(plan.seed);
    simulation.links(plan.links.clone()).script(plan.script.clone());
    simulation.limit(plan.recovers_at + PATIENCE).shuffle(plan.is_shuffled);
    let ledger = Rc::new(Ledger::new(&simulation));
    let world = Rc::new(World {
        plan: plan.clone(),
        ledger: Rc::clone(&ledger),
        connections: Sides::of_connections(plan),
        upgrades: Sides::of_upgrades(plan),
    });
    let serving = Rc::clone(&world);
    simulation.host("server").serve(async move |event_loop| {
        if serving.plan.talk == Talk::Datagrams {
            serving.serve_datagrams(event_loop).await
        } else {
            serving.serve(event_loop).await
        }
    });
    for number in 1..=plan.clients {
        let (world, done) = (Rc::clone(&world), Rc::new(Cell::new(0)));
        simulation
            .host(&client(number))
            .start(async move |event_loop| world.talk(event_loop, number as u8, &done).await);
    }
    let mut outcome = simulation.run();
    // The rest of the faults, and the end of the server.
    simulation.limit(plan.recovers_at + 2 * PATIENCE);
    let wait = plan.recovers_at.saturating_sub(simulation.elapsed()) + MOMENT;
    outcome = outcome.and_then(|()| simulation.run_for(wait));
    ledger.finish();
    outcome = outcome.and_then(|()| simulation.run_for(PATIENCE / 2));
    ledger.check(outcome.is_err() || ledger.has_server_ended(), || "the server goes on".to_owned());
    if let Err(error) = outcome {
        ledger.broken(format!("{error:#}"));
    }
    let trace = simulation.trace();
    drop((world, simulation));
    Played {
        fingerprint: trace.fingerprint(),
        broken: ledger.sum_up(),
        text: trace.tail(usize::MAX),
    }
}

/// What a simulation was.
pub(super) struct Played {
    pub(super) fingerprint: u64,
    pub(super) broken: Vec<String>,
    pub(super) text: String,
}

/// Within this everything comes right after the last fault.
const PATIENCE: Duration = Duration::from_secs(4_800);
const MOMENT: Duration = Duration::from_millis(1);
/// Who is silent for so long is given up, by clients and by the server.
const IDLE: Duration = Duration::from_secs(30);
/// How long a client waits for a connection, and for a datagram.
const CONNECT: Duration = Duration::from_secs(20);
const ANSWER: Duration = Duration::from_secs(3);
/// How long a server waits for its connections to end: each of its deadlines, and some more.
const DRAIN: Duration = Duration::from_secs(300);

struct World {
    plan: Plan,
    ledger: Rc<Ledger>,
    connections: Option<Sides>,
    upgrades: Option<Sides>,
}

/// The server.
impl World {
    async fn serve(&self, event_loop: EventLoop) -> Result {
        let serving = self.plan.server;
        for _ in 0..serving.rounds {
            let server = self.listen(&event_loop).await?;
            event_loop.sleep(serving.round).await;
            self.end(&event_loop, &server, serving.end).await?;
        }
        let server = self.listen(&event_loop).await?;
        self.until_over(&event_loop).await;
        self.end(&event_loop, &server, Ending::Close).await?;
        // Sockets that wait for their peers are closed, too.
        event_loop.sleep(DRAIN).await;
        let lingering = event_loop.statistics().lingering;
        self.ledger.check(lingering == 0, || format!("{lingering} sockets linger for ever"));
        self.ledger.server_has_ended();
        Ok(())
    }

    async fn until_over(&self, event_loop: &EventLoop) {
        while !self.ledger.is_over() {
            event_loop.sleep(Duration::from_secs(1)).await;
        }
    }

    async fn listen(&self, event_loop: &EventLoop) -> Result<Server, Error> {
        let (ledger, upgrades) = (Rc::clone(&self.ledger), self.upgrades.clone());
        match self.plan.talk {
            Talk::Answer => self.bind(event_loop, move || watch(&ledger, Answer::new(&ledger))),
            Talk::Lines => self.bind(event_loop, move || watch(&ledger, Lines::new(LineEcho))),
            Talk::Streams => {
                let handler =
                    async move |reader, writer| echo(reader, writer, Rc::clone(&ledger)).await;
                self.settings(event_loop.start_server(handler, ADDRESS))
            }
            Talk::Echo | Talk::StartTls | Talk::Datagrams => self.bind(event_loop, move || {
                let upgrade = upgrades.as_ref().map(|sides| (&sides.server).into());
                watch(&ledger, Echo::new(&ledger, upgrade))
            }),
        }
        .await
    }

    fn bind(&self, event_loop: &EventLoop, factory: impl ProtocolFactory) -> ServerBuilder {
        self.settings(event_loop.create_server(factory, ADDRESS))
    }

    fn settings(&self, builder: ServerBuilder) -> ServerBuilder {
        let ledger = Rc::clone(&self.ledger);
        let builder = builder
            .connection_timeout(Timeout::Idle, IDLE)
            .write_buffer_limits(self.plan.manner.marks)
            .on_accept_error(move |error| {
                ledger.note(format!("not accepted: {error:#}"));
                ledger.check_error("accepting", error);
            });
        match &self.connections {
            Some(sides) => builder.tls(&sides.server),
            None => builder,
        }
    }

    async fn end(&self, event_loop: &EventLoop, server: &Server, how: Ending) -> Result {
        self.ledger.note(format!("the server ends: {how:?}"));
        let closed = match how {
            Ending::Shutdown => {
                let shutdown = server.shutdown(Duration::from_secs(5));
                event_loop.create_task(async move { shutdown.await.map(|_| ()) })
            }
            Ending::CloseClients | Ending::AbortClients | Ending::Close => {
                server.close();
                match how {
                    Ending::CloseClients => server.close_clients(),
                    Ending::AbortClients => drop(server.abort_clients()),
                    Ending::Shutdown | Ending::Close => {}
                }
                let server = server.clone();
                event_loop.create_task(async move { server.wait_closed().await })
            }
        };
        let mut closed = closed;
        let mut is_closed = wharf::timeout(DRAIN, &mut closed).await;
        if is_closed.is_err() {
            // A loop that stood still hears of all deadlines at once.
            is_closed = wharf::timeout(DRAIN, &mut closed).await;
        }
        match is_closed {
            Ok(outcome) => outcome??,
            Err(_) => self.ledger.broken(format!("a server has not ended: {how:?}")),
        }
        let left = (server.connections(), event_loop.statistics().connections_open);
        self.ledger
            .check(left == (0, 0), || format!("after {how:?} {left:?} connections are left"));
        Ok(())
    }

    async fn serve_datagrams(&self, event_loop: EventLoop) -> Result {
        let protocol = watch(&self.ledger, DatagramEcho);
        let endpoint = event_loop.create_datagram_endpoint(move || protocol);
        let endpoint = endpoint.local_address(ADDRESS).await?;
        self.until_over(&event_loop).await;
        endpoint.close();
        event_loop.sleep(DRAIN).await;
        self.ledger.check(endpoint.is_closing(), || "an endpoint is open".to_owned());
        self.ledger.server_has_ended();
        Ok(())
    }
}

/// Clients.
impl World {
    async fn talk(&self, event_loop: EventLoop, number: u8, done: &Cell<usize>) -> Result {
        while done.get() < self.plan.conversations {
            event_loop.sleep(self.plan.pause).await;
            let key = number * 16 + done.get() as u8;
            let outcome = match self.plan.talk {
                Talk::Datagrams => self.exchange(&event_loop, key).await,
                Talk::Streams => self.converse_in_streams(&event_loop, key).await,
                _ => self.converse(&event_loop, key).await,
            };
            let outcome = outcome.unwrap_or_else(|error| {
                self.ledger.note(format!("client {number}: {error:#}"));
                self.ledger.check_error("a client", &error);
                Outcome::Part
            });
            let fails = self.plan.is_calm() && outcome != Outcome::Whole;
            self.ledger
                .check(!fails, || format!("client {number}: {outcome:?}, and nothing failed"));
            if outcome == Outcome::Part {
                event_loop.sleep(Duration::from_millis(200)).await;
            } else {
                done.set(done.get() + 1);
            }
        }
        // A datagram socket that was dropped is closed in the next round.
        event_loop.sleep(MOMENT).await;
        let left = event_loop.statistics().connections_open;
        self.ledger.check(left == 0, || format!("client {number} has left {left} connections"));
        Ok(())
    }

    async fn converse(&self, event_loop: &EventLoop, key: u8) -> Result<Outcome, Error> {
        let (promise, told) = event_loop.create_future();
        let ledger = Rc::clone(&self.ledger);
        let (manner, told_to) = (self.plan.manner, Some(promise));
        if self.plan.talk == Talk::Lines {
            let lines = 1 + self.plan.amount / 1_024;
            let ahead = 1 + manner.step / 60;
            let speaker =
                LineSpeaker { ledger, manner, key, lines, ahead, told: told_to, said: 0, heard: 0 };
            let _connection = self.connect(event_loop, Lines::new(speaker)).await?;
            return told.await;
        }
        let speaker = Speaker {
            ledger,
            speech: Speech::new(key, self.plan.amount),
            manner,
            upgrade: self.upgrades.as_ref().map(|sides| (&sides.client).into()),
            told: told_to,
            said: 0,
            heard: 0,
            is_paused: false,
            answer: Vec::new(),
        };
        let _connection = self.connect(event_loop, speaker).await?;
        told.await
    }

    async fn connect<P: Protocol>(
        &self,
        event_loop: &EventLoop,
        protocol: P,
    ) -> Result<wharf::Connection<Watched<P>>, Error> {
        let protocol = Watched::new(&self.ledger, "client", protocol);
        let connecting = event_loop
            .create_connection(move || protocol, SERVER)
            .timeout(CONNECT)
            .connection_timeout(Timeout::Idle, IDLE)
            .write_buffer_limits(self.plan.manner.marks);
        match &self.connections {
            Some(sides) => connecting.tls(&sides.client).await,
            None => connecting.await,
        }
    }

    async fn converse_in_streams(&self, event_loop: &EventLoop, key: u8) -> Result<Outcome, Error> {
        let connecting = event_loop
            .open_connection(SERVER)
            .timeout(CONNECT)
            .connection_timeout(Timeout::Idle, IDLE)
            .write_buffer_limits(self.plan.manner.marks);
        let connecting = match &self.connections {
            Some(sides) => connecting.tls(&sides.client),
            None => connecting,
        };
        let (reader, writer) = connecting.await?;
        let speech = Rc::new(Speech::new(key, self.plan.amount));
        let (said, manner) = (Rc::clone(&speech), self.plan.manner);
        let saying = event_loop.create_task(async move {
            for part in said.bytes().chunks(manner.step.max(60)) {
                writer.write_all(part).await?;
            }
            if !manner.closes && writer.can_write_eof() {
                writer.write_eof();
            }
            Ok::<_, Error>(writer)
        });
        let heard = self.hear(reader, &speech).await;
        // Of an error of the reader the writer has heard, too.
        let writer = saying.await??;
        if heard? < speech.len() {
            return Ok(Outcome::Part);
        }
        writer.close();
        let closed = writer.wait_closed().await;
        Ok(Outcome::of(true, closed.err().as_ref()))
    }

    /// How much of it comes, before the end or all of it.
    async fn hear(&self, mut reader: StreamReader, speech: &Speech) -> Result<usize, Error> {
        let mut heard = 0;
        while heard < speech.len() {
            let data = reader.read_chunk().await?;
            if data.is_empty() {
                break;
            }
            let is_right = speech.has(heard, data);
            self.ledger
                .check(is_right, || format!("a client heard what it has not said: {data:?}"));
            heard += data.len();
        }
        Ok(heard)
    }

    /// Some datagrams, each as often as it takes.
    async fn exchange(&self, event_loop: &EventLoop, key: u8) -> Result<Outcome, Error> {
        let mut socket = event_loop.open_datagram_endpoint().peer_address(SERVER).await?;
        let datagram = |number: u8| {
            let length = usize::from(number) * 67 * self.plan.amount / 1_024 % 1_400;
            let mut datagram = vec![key; 2 + length];
            datagram[1] = number;
            datagram
        };
        let mut is_smooth = true;
        for number in 0..1 + self.plan.amount as u64 / 4_096 {
            let number = number as u8;
            loop {
                socket.send(&datagram(number)).await?;
                match wharf::timeout(ANSWER, self.answer(&mut socket, number, datagram)).await {
                    Ok(answered) => break answered?,
                    Err(_) => is_smooth = false,
                }
            }
        }
        Ok(if is_smooth { Outcome::Whole } else { Outcome::WholeThenError })
    }

    /// Until this datagram comes back. Those before it may come again, and are not answered: else they would never end.
    async fn answer(
        &self,
        socket: &mut DatagramStream,
        number: u8,
        datagram: impl Fn(u8) -> Vec<u8>,
    ) -> Result<(), Error> {
        let mut buffer = [0; 2_000];
        loop {
            match socket.recv_from(&mut buffer).await {
                Err(error) if error.is_closed() => return Err(error),
                Err(error) => self.ledger.check_error("a datagram", &error),
                Ok((count, _)) => {
                    let heard = &buffer[..count];
                    let is_right = count > 1 && heard[1] <= number && heard == datagram(heard[1]);
                    self.ledger.check(is_right, || format!("nobody sent {heard:?}"));
                    if heard.get(1) == Some(&number) {
                        return Ok(());
                    }
                }
            }
        }
    }
}

const ADDRESS: &str = "0.0.0.0:7";
const SERVER: &str = "server:7";

fn watch<P>(ledger: &Rc<Ledger>, protocol: P) -> Watched<P> {
    Watched::new(ledger, "server", protocol)
}
