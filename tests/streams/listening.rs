//! Connections that are taken one by one.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;

use wharf::testing::MemoryNetwork;
use wharf::{EventLoop, Result};

use super::{Log, poll_once, settle};

const ADDRESS: &str = "10.0.0.1:7";

fn run(test: impl AsyncFnOnce(EventLoop) -> Result) {
    MemoryNetwork::new().event_loop().run(test).unwrap();
}

#[test]
fn connections_are_accepted_in_order_with_what_they_sent() {
    run(async |event_loop| {
        let mut listener = event_loop.listen(ADDRESS).await?;
        let mut clients = Vec::new();
        for number in 0..40_u8 {
            let client = event_loop.open_connection(ADDRESS).await?;
            client.1.write(&[number]);
            clients.push(client);
        }
        settle(&event_loop).await;
        assert_eq!(listener.server().connections(), 16, "the others wait in the system");
        for number in 0..40 {
            let (mut reader, _) = listener.accept().await?;
            assert_eq!(reader.read_chunk().await?, [number]);
        }
        assert!(poll_once(listener.accept()).await.is_none());
        listener.server().close();
        assert!(listener.next().await.is_none());
        Ok(())
    });
}

#[test]
fn an_accept_that_is_dropped_loses_no_connection() {
    run(async |event_loop| {
        let listener = event_loop.listen(ADDRESS).await?;
        for _ in 0..3 {
            assert!(poll_once(listener.accept()).await.is_none());
        }
        // Any number can wait; the one that is dropped leaves it to the other.
        let first = event_loop.create_task({
            let event_loop = event_loop.clone();
            async move { event_loop.sleep(std::time::Duration::from_secs(1)).await }
        });
        let (_reader, writer) = event_loop.open_connection(ADDRESS).await?;
        writer.write(b"x");
        settle(&event_loop).await;
        let (mut reader, _writer) = listener.accept().await?;
        assert_eq!(reader.read_chunk().await?, b"x");
        first.cancel();
        Ok(())
    });
}

/// Not all, of whom all but one would wait again.
#[test]
fn a_connection_wakes_a_few_of_those_who_accept() {
    const MANY: usize = 500;
    run(async |event_loop| {
        let listener = Rc::new(event_loop.listen(ADDRESS).await?);
        let (log, polls) = (Log::default(), Rc::new(Cell::new(0)));
        for number in 0..MANY {
            let (listener, log, polls) = (Rc::clone(&listener), log.clone(), Rc::clone(&polls));
            let accepting = async move {
                let mut accepted = pin!(listener.accept());
                let accepted = poll_fn(|context| {
                    polls.set(polls.get() + 1);
                    accepted.as_mut().poll(context)
                });
                log.add(format!("{number}: {}", accepted.await.is_ok()));
            };
            event_loop.create_task(accepting).detach();
        }
        for number in 0..MANY - 1 {
            drop(event_loop.open_connection(ADDRESS).await?);
            settle(&event_loop).await;
            assert_eq!(log.take(), [format!("{number}: true")], "in the order in which they came");
        }
        assert!(polls.get() < 20 * MANY, "{} polls", polls.get());
        listener.server().close();
        settle(&event_loop).await;
        assert_eq!(log.take(), [format!("{}: false", MANY - 1)]);
        Ok(())
    });
}

#[test]
fn an_accept_is_woken_by_a_connection_and_by_the_listeners_end() {
    run(async |event_loop| {
        let listener = event_loop.listen(ADDRESS).await?;
        let connecting = async {
            settle(&event_loop).await;
            event_loop.open_connection(ADDRESS).await
        };
        let (accepted, connected) = futures_lite::future::zip(listener.accept(), connecting).await;
        accepted?;
        connected?;
        let closing = async {
            settle(&event_loop).await;
            listener.server().close();
        };
        let (accepted, ()) = futures_lite::future::zip(listener.accept(), closing).await;
        assert!(accepted.is_err_and(|error| error.is_closed()));
        Ok(())
    });
}

#[test]
fn a_listener_that_is_dropped_closes_what_nobody_took() {
    run(async |event_loop| {
        let listener = event_loop.listen(ADDRESS).await?;
        let (mut first, _first) = event_loop.open_connection(ADDRESS).await?;
        let (mut second, _second) = event_loop.open_connection(ADDRESS).await?;
        let (_reader, taken) = listener.accept().await?;
        settle(&event_loop).await;
        drop(listener);
        assert_eq!(second.read_chunk().await?, b"", "closed");
        taken.write_all(b"still here").await?;
        assert_eq!(first.read_chunk().await?, b"still here");
        assert!(event_loop.open_connection(ADDRESS).await.is_err_and(|error| error.is_connect()));
        Ok(())
    });
}
