use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use wharf::sim::Simulation;
use wharf::{Result, Timeout};
use wharf_protocols::nats::{self, Message, NatsError, Options};

use super::broker::Broker;
use super::{CALM, Client, SECOND, Serving, check, content};

#[test]
fn nats_answers_belong_to_their_requests_and_messages_come_once_and_in_order() {
    check(scenario);
}

fn scenario(simulation: &Simulation) -> Result {
    let serving = Serving::default();
    let kept = serving.clone();
    simulation.host("broker").serve(async move |event_loop| {
        let broker = Broker::default();
        let server = event_loop
            .create_server(move || broker.session(), "0.0.0.0:4222")
            .connection_timeout(Timeout::Idle, 10 * SECOND);
        kept.serve(server.await?).await
    });
    // It answers until the end.
    let answering = simulation.host("answering");
    let (random, clock) = (answering.random(), simulation.clone());
    answering.serve(async move |event_loop| {
        let (simulation, random) = (clock.clone(), random.clone());
        answer(Client { simulation, event_loop, random }).await
    });
    let next_id = Rc::new(Cell::new(0));
    Client::start(simulation, "asking", async move |client| ask_on(&client, &next_id).await);
    let published = Rc::new(Published::default());
    let hears = Rc::clone(&published);
    Client::start(simulation, "hearing", async move |client| hear(&client, &hears).await);
    Client::start(simulation, "publishing", async move |client| publish(&client, &published).await);
    simulation.run()?;
    simulation.apply(&wharf::sim::Fault::Kill("answering".to_owned()));
    serving.check_empty(simulation, 30 * SECOND)
}

/// A client that finds out within 4 s that its server is gone, and has one again 4 s after that.
async fn connect(client: &Client) -> Result<nats::Client> {
    let nats = Options::new()
        .pings(SECOND, 2)
        .connect_timeout(2 * SECOND)
        .request_timeout(2 * SECOND)
        .backoff(SECOND / 10, SECOND)
        .retry_first_connect(true)
        .jitter_seed(client.random.next_u64())
        .start(&client.event_loop, ["broker"])?;
    Ok(nats)
}

/// Answers a number with content that belongs to it.
async fn answer(client: Client) -> Result {
    let nats = connect(&client).await?;
    let mut questions = nats.subscribe("question")?;
    while let Some(question) = questions.next().await {
        let id = number(&question)?;
        nats.respond(&question, content(id, length(id)))?;
    }
    Ok(())
}

fn number(message: &Message) -> Result<u64> {
    Ok(std::str::from_utf8(message.payload())?.parse()?)
}

fn length(id: u64) -> usize {
    (id as usize * 7_919) % 20_000
}

/// Until there is an answer after the last fault.
async fn ask_on(client: &Client, next_id: &Cell<u64>) -> Result {
    let nats = connect(client).await?;
    loop {
        let (is_calm, begin) = (client.is_calm(), client.simulation.elapsed());
        let id = next_id.replace(next_id.get() + 1);
        let asking = nats.request("question", id.to_string());
        match client.within(3 * SECOND, "a request", asking).await {
            Ok(answer) => {
                assert!(answer.payload() == content(id, length(id)), "{id} has another answer");
                if is_calm {
                    return Ok(());
                }
            }
            Err(NatsError::TimedOut | NatsError::NoResponders | NatsError::Connection(_)) => {}
            Err(error) => return Err(error.into()),
        }
        assert!(begin < CALM + 20 * SECOND, "nobody answers");
        client.pause().await;
    }
}

#[derive(Default)]
struct Published {
    next_id: Cell<u64>,
    /// With the publisher's connection on which it was sent.
    connections: RefCell<BTreeMap<u64, (u32, u64)>>,
    lives: Cell<u32>,
    /// Whoever listens has heard what was published after the last fault.
    is_heard: Cell<bool>,
}

async fn publish(client: &Client, published: &Published) -> Result {
    let nats = connect(client).await?;
    let life = published.lives.get();
    published.lives.set(life + 1);
    while !published.is_heard.get() {
        let id = published.next_id.replace(published.next_id.get() + 1);
        // Without a connection it waits for the next one.
        let connection = nats.connections() + u64::from(!nats.is_connected());
        published.connections.borrow_mut().insert(id, (life, connection));
        nats.publish("news", id.to_string())?;
        client.pause().await;
        assert!(client.simulation.elapsed() < CALM + 30 * SECOND, "nobody hears the news");
    }
    Ok(())
}

/// Each message comes once, and those of one connection in the order in which they were published.
async fn hear(client: &Client, published: &Published) -> Result {
    let nats = connect(client).await?;
    let mut news = nats.subscribe("news")?;
    let (mut heard, mut latest) = (BTreeSet::new(), BTreeMap::new());
    while let Some(message) = news.next().await {
        let id = number(&message)?;
        assert!(heard.insert(id), "{id} came twice");
        let connection = published.connections.borrow()[&id];
        let before = latest.insert(connection, id);
        assert!(before < Some(id), "{id} came after {before:?}");
        if client.is_calm() {
            break;
        }
    }
    published.is_heard.set(true);
    Ok(())
}
