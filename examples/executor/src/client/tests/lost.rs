//! Connections that are lost in the middle of everything, and coordinators that are not there.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use wharf::{EventLoop, Result, StreamReader, StreamWriter};

use super::{ADD, ADDRESS, SLEEP, SQUARE, SUM, client, run, serve, token};
use crate::client::{Client, ClientError, ClientOptions};
use crate::scale::times;
use crate::task::Outcome;
use crate::work::{Functions, Worker, WorkerOptions};

const CUT: &str = "192.0.2.2:7000";

/// After how many messages a connection is cut, and whether that was.
#[derive(Default)]
struct Cut {
    passed: Cell<usize>,
    at: Cell<usize>,
    /// It gets through, and the answer does not.
    passes_last: bool,
}

/// Passes on messages, up to the cut.
async fn pass(mut from: StreamReader, to: StreamWriter, cut: Rc<Cut>) -> Result {
    loop {
        let head = from.read_exactly(4).await?.to_vec();
        let length = u32::from_be_bytes(head[..].try_into()?) as usize;
        let message = [&head, from.read_exactly(length).await?].concat();
        cut.passed.set(cut.passed.get() + 1);
        let is_cut = cut.passed.get() == cut.at.get();
        if !is_cut || cut.passes_last {
            to.write_all(&message).await?;
        }
        if is_cut {
            to.flush().await?;
            return Ok(());
        }
    }
}

async fn serve_with_cut(event_loop: &EventLoop, cut: &Rc<Cut>) -> Result {
    let (cut, own) = (Rc::clone(cut), event_loop.clone());
    let between = async move |reader, writer| {
        let (up_reader, up_writer) = own.open_connection(ADDRESS).await?;
        let mut up = pin!(pass(reader, up_writer, Rc::clone(&cut)));
        let mut down = pin!(pass(up_reader, writer, Rc::clone(&cut)));
        poll_fn(|context| {
            let is_over =
                up.as_mut().poll(context).is_ready() || down.as_mut().poll(context).is_ready();
            if is_over { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        Ok(())
    };
    event_loop.start_server(between, CUT).await?;
    Ok(())
}

/// Counts how often functions run.
fn counting_worker(event_loop: &EventLoop, runs: &Rc<Cell<usize>>) -> Result<Worker> {
    let mut functions = Functions::new();
    let count = |runs: &Rc<Cell<usize>>| {
        let runs = Rc::clone(runs);
        move || runs.set(runs.get() + 1)
    };
    let note = count(runs);
    functions.define_async(&SQUARE, async move |number, _| {
        note();
        Ok::<_, String>(number * number)
    });
    let note = count(runs);
    functions.define_async(&SUM, async move |numbers, _| {
        note();
        Ok::<_, String>(numbers.iter().sum())
    });
    let note = count(runs);
    functions.define_async(&ADD, async move |(left, right), _| {
        note();
        Ok::<_, String>(left + right)
    });
    let options = WorkerOptions { slots: 2, token: token(), ..WorkerOptions::default() };
    Worker::start(event_loop, [ADDRESS], functions, options)
}

async fn everything(client: &Client) -> Result {
    assert_eq!(client.call(&SQUARE, &3).await?, 9);
    let chain = client.chain(&SQUARE, &2).then(&SQUARE).then_with(&ADD, &5).submit().await?;
    let group = client.group(&SQUARE).submit([1, 2, 3]).await?;
    let sum = group.then(&SUM).submit().await?;
    assert_eq!((chain.result().await?, sum.result().await?), (21, 14));
    assert_eq!(group.results().await?, [1, 4, 9]);
    let mut results = client.map(&SQUARE, 0..4).in_flight(2);
    for number in 0..4 {
        assert_eq!(results.next().await.unwrap()?, number * number);
    }
    assert!(results.next().await.is_none());
    let nobodys = client.task("nobody", &()).submit().await?;
    // It may say that nothing has changed, when it is asked twice.
    nobodys.cancel().await?;
    assert_eq!(nobodys.ended().await?.outcome(), Some(Outcome::Cancelled));
    Ok(())
}

/// Does everything, with a connection that is cut once. Returns how many messages there were.
fn with_cut(at: usize, passes_last: bool) -> usize {
    let cut = Rc::new(Cut { at: Cell::new(at), passes_last, ..Cut::default() });
    let all = Rc::clone(&cut);
    run(async move |event_loop| {
        let server = serve(&event_loop).await?;
        serve_with_cut(&event_loop, &cut).await?;
        let runs = Rc::new(Cell::new(0));
        let _worker = counting_worker(&event_loop, &runs)?;
        let options = ClientOptions { token: token(), ..ClientOptions::default() };
        let client = Client::start(&event_loop, [CUT], options)?;
        everything(&client).await?;
        // Nothing was submitted twice, and nothing is left.
        assert_eq!((runs.get(), server.counts()), (1 + 3 + 4 + 4, (0, 0)), "cut at {at}");
        Ok(())
    });
    all.passed.get()
}

#[test]
fn a_connection_that_is_lost_at_any_message_changes_nothing() {
    let messages = with_cut(0, false);
    assert!(messages > 30, "{messages}");
    // All of them if more is tried than in the gate. What was said last gets through at every other place.
    let step = if times(1) > 1 { 1 } else { 7 };
    for at in (1..=messages).step_by(step) {
        with_cut(at, at % 2 == 0);
    }
}

#[test]
fn a_client_that_reaches_nobody_in_time_says_for_how_long_it_has_tried_and_goes_on() {
    run(async |event_loop| {
        let within = Duration::from_secs(30);
        let options =
            ClientOptions { token: token(), connect_within: Some(within), ..Default::default() };
        let client = Client::start(&event_loop, [ADDRESS], options)?;
        let begin = event_loop.time();
        let Err(ClientError::Unreachable { tried, why }) = client.call(&SQUARE, &1).await else {
            panic!("nobody is there")
        };
        assert_eq!((tried, event_loop.time() - begin), (within, within));
        assert!(why.contains("refused"), "{why}");
        // From now on it says so at once.
        let told = client.task("a", &()).submit().await.unwrap_err().to_string();
        assert!(told.starts_with("no coordinator was reached within 30s: "), "{told}");
        assert_eq!(event_loop.time() - begin, within);
        let _server = serve(&event_loop).await?;
        let _worker = super::worker(&event_loop)?;
        event_loop.sleep(Duration::from_secs(120)).await;
        assert_eq!(client.call(&SQUARE, &2).await?, 4);
        Ok(())
    });
}

#[test]
fn who_stops_waiting_leaves_nothing_behind_and_the_task_alone() {
    run(async |event_loop| {
        let server = serve(&event_loop).await?;
        let (client, _worker) = (client(&event_loop)?, super::worker(&event_loop)?);
        let task = client.call(&SLEEP, &60).submit().await?;
        for _ in 0..10 {
            assert!(wharf::timeout(Duration::from_secs(1), task.result()).await.is_err());
        }
        assert!(wharf::timeout(Duration::from_secs(1), client.call(&SLEEP, &60)).await.is_err());
        event_loop.sleep(Duration::from_secs(1)).await;
        assert_eq!(server.watched(), 0);
        let waiting = task.clone();
        let waits = event_loop.create_task(async move { waiting.result().await });
        assert_eq!((task.result().await?, waits.await??), (60, 60));
        drop(client);
        assert!(matches!(task.result().await, Err(ClientError::Closed)));
        assert!(matches!(task.status().await, Err(ClientError::Closed)));
        Ok(())
    });
}
