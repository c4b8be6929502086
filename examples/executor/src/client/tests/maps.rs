//! A function over many arguments.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::Stream;
use wharf::Result;

use super::{ADDRESS, SLEEP, SQUARE, client, run, serve, token, worker};
use crate::Function;
use crate::client::ClientError;
use crate::work::{Functions, Worker, WorkerOptions};

#[test]
fn a_map_over_an_iterator_without_end_submits_no_more_than_is_taken() {
    const NOTE: Function<u64, u64> = Function::new("note");
    run(async |event_loop| {
        let _server = serve(&event_loop).await?;
        let client = client(&event_loop)?;
        let begun = Rc::new(Cell::new(0));
        let mut functions = Functions::new();
        let counter = Rc::clone(&begun);
        functions.define_async(&NOTE, async move |number, _| {
            counter.set(counter.get() + 1);
            Ok::<_, String>(number)
        });
        let options = WorkerOptions { token: token(), ..WorkerOptions::default() };
        let _worker = Worker::start(&event_loop, [ADDRESS], functions, options)?;
        let mut results = client.map(&NOTE, 0..).in_flight(50);
        for taken in 0..500 {
            assert_eq!(results.next().await.unwrap()?, taken);
            event_loop.sleep(Duration::from_secs(1)).await;
            assert!(begun.get() <= taken + 1 + 50, "{} with {taken} taken", begun.get());
        }
        assert!(begun.get() >= 500);
        Ok(())
    });
}

#[test]
fn results_come_in_order_or_as_they_end() {
    run(async |event_loop| {
        let _server = serve(&event_loop).await?;
        let (client, _worker) = (client(&event_loop)?, worker(&event_loop)?);
        let mut ordered = client.map(&SLEEP, [3, 1, 2]);
        let mut taken = Vec::new();
        while let Some(result) = ordered.next().await {
            taken.push(result?);
        }
        assert_eq!(taken, [3, 1, 2]);
        let mut ends = client.map(&SLEEP, [3, 1, 2]).as_they_end();
        let mut taken = Vec::new();
        while let Some((place, result)) = ends.next().await {
            taken.push((place, result?));
        }
        assert_eq!(taken, [(1, 1), (2, 2), (0, 3)]);
        Ok(())
    });
}

#[test]
fn what_fails_is_an_error_in_its_place_and_the_rest_goes_on() {
    const PARSE: Function<String, u64> = Function::new("square");
    run(async |event_loop| {
        let _server = serve(&event_loop).await?;
        let (client, _worker) = (client(&event_loop)?, worker(&event_loop)?);
        let mut results = client.map(&PARSE, ["x".to_owned(), "y".to_owned()]);
        for _ in 0..2 {
            assert!(matches!(results.next().await, Some(Err(ClientError::Failed(_)))));
        }
        assert!(results.next().await.is_none());
        let mut results = client.map(&SQUARE, [1, 2]).priority(10);
        assert!(matches!(results.next().await, Some(Err(ClientError::Refused(_)))));
        client.drain(true).await?;
        let mut results = client.map(&SQUARE, [1, 2]);
        for _ in 0..2 {
            assert!(matches!(results.next().await, Some(Err(ClientError::Refused(_)))));
        }
        assert!(results.next().await.is_none());
        Ok(())
    });
}

/// Numbers, one each second.
struct Ticks(wharf::Interval, u64);

impl Stream for Ticks {
    type Item = u64;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<u64>> {
        if self.1 == 5 {
            return Poll::Ready(None);
        }
        let tick = self.0.poll_tick(context);
        tick.map(|_| {
            self.1 += 1;
            Some(self.1)
        })
    }
}

#[test]
fn arguments_of_a_stream_are_submitted_as_they_come() {
    run(async |event_loop| {
        let _server = serve(&event_loop).await?;
        let (client, _worker) = (client(&event_loop)?, worker(&event_loop)?);
        let ticks = Ticks(wharf::interval(Duration::from_secs(1)), 0);
        let begin = event_loop.time();
        let mut results = client.map_stream(&SQUARE, ticks);
        for number in 1..=5 {
            let next = poll_fn(|context| Pin::new(&mut results).poll_next(context)).await;
            assert_eq!(next.unwrap()?, number * number);
            let seconds = (event_loop.time() - begin).as_secs();
            assert!((number - 1..=number).contains(&seconds), "{number} after {seconds} s");
        }
        assert!(results.next().await.is_none());
        Ok(()) as Result
    });
}
