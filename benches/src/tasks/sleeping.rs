//! Sleeps, of which many are pending at once or each is dropped before its end.

use std::future::poll_fn;
use std::ops::Range;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use futures_lite::future::yield_now;

use super::contender::Contender;
use crate::random::Random;

/// How many are pending at once.
pub(super) const PENDING: u64 = 100_000;

/// tokio grants a task so many steps of its own types before it has to let others go on.
const STEPS_AT_ONCE: u64 = 100;

/// Many tasks sleep for random times, in milliseconds within `lengths`, and are joined.
pub(super) async fn to_the_end<C: Contender>(contender: C, count: u64, lengths: Range<u64>) {
    let mut random = Random::new(1);
    let mut tasks = Vec::with_capacity(PENDING.min(count) as usize);
    let mut left = count;
    while left > 0 {
        let batch = left.min(PENDING);
        left -= batch;
        tasks.extend((0..batch).map(|_| {
            let sleep = contender.sleep(random_length(&mut random, &lengths));
            contender.spawn(async move {
                sleep.await;
            })
        }));
        for task in tasks.drain(..) {
            C::join(task).await;
        }
    }
}

/// Each begins and is dropped before the next one.
pub(super) async fn dropped_at_once<C: Contender>(contender: C, count: u64) {
    let mut random = Random::new(1);
    for number in 0..count {
        let sleep = pin!(contender.sleep(random_length(&mut random, &LONG)));
        begin(sleep).await;
        if number % STEPS_AT_ONCE == 0 {
            yield_now().await;
        }
    }
}

/// Many begin, then all are dropped, in the order in which they began.
pub(super) async fn dropped_together<C: Contender>(contender: C, count: u64) {
    let mut random = Random::new(1);
    // Places that are used again, so that only the library allocates.
    let mut places: Vec<Pin<Box<Option<C::Sleep>>>> =
        (0..PENDING.min(count)).map(|_| Box::pin(None)).collect();
    let mut left = count;
    while left > 0 {
        let batch = left.min(PENDING);
        left -= batch;
        for (number, place) in (0..batch).zip(&mut places) {
            place.set(Some(contender.sleep(random_length(&mut random, &LONG))));
            begin(place.as_mut().as_pin_mut().expect("it was set")).await;
            if number % STEPS_AT_ONCE == 0 {
                yield_now().await;
            }
        }
        for place in &mut places {
            place.set(None);
        }
    }
}

/// Milliseconds that are not over before the sleep is dropped.
const LONG: Range<u64> = 100_000..400_000;

fn random_length(random: &mut Random, lengths: &Range<u64>) -> Duration {
    let nanoseconds = random.below((lengths.end - lengths.start) * 1_000_000);
    Duration::from_nanos(lengths.start * 1_000_000 + nanoseconds)
}

/// Polls it once, so that it has a place among the loop's timers.
fn begin<S: Future>(mut sleep: Pin<&mut S>) -> impl Future<Output = ()> {
    poll_fn(move |context| {
        assert!(sleep.as_mut().poll(context).is_pending(), "a sleep ended too early");
        Poll::Ready(())
    })
}
