//! Where `async` comes from, step by step: coroutines that take turns, generators, futures, tasks, `select`.
//!
//! ```text
//! cargo run --release --example countdown
//! ```
//!
//! Each step is a function. The first two need no event loop: they are Rust and its standard library alone.
//! It takes some seconds, which `--virtual-time` skips.
#![forbid(unsafe_code)]

use std::cell::Cell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, PipeReader, Read, Write};
use std::pin::Pin;
use std::process::ExitCode;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use lexopt::Arg;
use wharf::testing::MemoryNetwork;
use wharf::{EventLoop, LoopFuture, Result, sleep, spawn};

use wharf_examples::command_line::run;
use wharf_examples::text::shown;

const USAGE: &str = "
Shows where async comes from, step by step. The program's text is what there is to read.

usage: countdown [--virtual-time]

  --virtual-time  sleep without waiting: the clock jumps to when something is due
";

fn main() -> ExitCode {
    run(USAGE, |mut arguments| {
        let mut is_virtual = false;
        while let Some(argument) = arguments.next()? {
            match argument {
                Arg::Long("virtual-time") => is_virtual = true,
                other => return Err(other.unexpected().into()),
            }
        }
        coroutines()?;
        generators()?;
        let event_loop =
            if is_virtual { MemoryNetwork::new().event_loop() } else { EventLoop::new()? };
        event_loop.run(async |event_loop| {
            future_with_callback(&event_loop).await?;
            one_after_the_other(&event_loop).await?;
            as_tasks(&event_loop).await
        })?;
        // Pipes are the system's, and so is the loop that watches them.
        let pause = if is_virtual { Duration::from_millis(1) } else { Duration::from_millis(500) };
        wharf::run(async |event_loop| select(&event_loop, pause).await)
    })
}

/// Step 1: an async function is a coroutine. It runs when somebody polls it, up to where it waits; whoever
/// polls several in turn has them run side by side, on one thread.
fn coroutines() -> Result {
    title("1. Two coroutines take turns")?;
    take_turns([Box::pin(count_down("first", 3)), Box::pin(count_down("second", 2))])
}

type Coroutine = Pin<Box<dyn Future<Output = Result>>>;

async fn count_down(name: &str, from: u32) -> Result {
    for number in (1..=from).rev() {
        say(&format!("{name}: {number}"))?;
        next_turn().await;
    }
    say(&format!("{name}: liftoff"))
}

/// Is not ready when it is polled first: whoever awaits it stops there until its next turn.
async fn next_turn() {
    let mut has_waited = false;
    poll_fn(|_| match std::mem::replace(&mut has_waited, true) {
        false => Poll::Pending,
        true => Poll::Ready(()),
    })
    .await;
}

/// A scheduler: who is not done goes to the back of the queue. It polls all of them all the time, so nobody
/// has to wake it. An event loop polls those only that were woken, and sleeps otherwise.
fn take_turns<const N: usize>(coroutines: [Coroutine; N]) -> Result {
    let mut queue = VecDeque::from(coroutines);
    let mut context = Context::from_waker(Waker::noop());
    while let Some(mut coroutine) = queue.pop_front() {
        match coroutine.as_mut().poll(&mut context) {
            Poll::Ready(outcome) => outcome?,
            Poll::Pending => queue.push_back(coroutine),
        }
    }
    Ok(())
}

/// Step 2: a generator is an iterator. In a pipeline of them each takes from the one before it, an item at a
/// time and only when asked: the numbers have no end.
fn generators() -> Result {
    title("2. Generators as a pipeline")?;
    for square in below(50, squares(odd(1..))) {
        say(&square.to_string())?;
    }
    Ok(())
}

fn odd(numbers: impl Iterator<Item = u32>) -> impl Iterator<Item = u32> {
    numbers.filter(|number| number % 2 == 1)
}

fn squares(numbers: impl Iterator<Item = u32>) -> impl Iterator<Item = u32> {
    numbers.map(|number| number * number)
}

fn below(limit: u32, numbers: impl Iterator<Item = u32>) -> impl Iterator<Item = u32> {
    numbers.take_while(move |number| *number < limit)
}

/// Step 3: a future is a result that is not there yet. Callbacks are told when it is, and a coroutine awaits it.
async fn future_with_callback(event_loop: &EventLoop) -> Result {
    title("3. A future with a done callback")?;
    let (promise, future) = event_loop.create_future();
    future.add_done_callback(|outcome| {
        let text = match outcome {
            Ok(value) => format!("the callback is told {value}"),
            Err(error) => format!("the callback is told of an error: {error:#}"),
        };
        // Whoever awaits the future finds out, too, that nobody reads what it says.
        let _ = say(&text);
    });
    event_loop.call_later(Duration::from_millis(200), move || {
        // Refused when nobody waits for it any more, which is fine.
        let _ = promise.set_result(42);
    });
    let value = future.await?;
    say(&format!("the coroutine gets {value}"))
}

async fn say_after(seconds: u64, what: &str) -> Result {
    sleep(Duration::from_secs(seconds)).await;
    say(what)
}

/// Step 4: awaiting a coroutine runs it to its end, and the next one begins after that.
async fn one_after_the_other(event_loop: &EventLoop) -> Result {
    title("4. One after the other")?;
    let began = event_loop.time();
    say_after(1, "hello").await?;
    say_after(2, "world").await?;
    say(&format!("took {:.1} s", (event_loop.time() - began).as_secs_f64()))
}

/// Step 5: a task is a coroutine that the loop polls. Both of them wait at the same time.
async fn as_tasks(event_loop: &EventLoop) -> Result {
    title("5. As tasks")?;
    let began = event_loop.time();
    let (hello, world) = (spawn(say_after(1, "hello")), spawn(say_after(2, "world")));
    hello.await??;
    world.await??;
    say(&format!("took {:.1} s", (event_loop.time() - began).as_secs_f64()))
}

/// Step 6: beneath it all the loop asks the system which descriptors are ready, `select` of old, and calls
/// whoever watches them. That is how it learns what to wake.
async fn select(event_loop: &EventLoop, pause: Duration) -> Result {
    title("6. Select over pipes")?;
    let ((left, mut to_left), (right, mut to_right)) = (io::pipe()?, io::pipe()?);
    let left = print_input(event_loop, "left", left)?;
    let right = print_input(event_loop, "right", right)?;
    to_right.write_all(b"two")?;
    sleep(pause).await;
    to_left.write_all(b"one")?;
    sleep(pause).await;
    drop(to_left);
    left.await?;
    drop(to_right);
    Ok(right.await?)
}

/// Prints what comes out of a pipe; the future completes at its end.
fn print_input(
    event_loop: &EventLoop,
    name: &'static str,
    pipe: PipeReader,
) -> Result<LoopFuture<()>> {
    let (promise, ended) = event_loop.create_future();
    let (promise, pipe, own) = (Cell::new(Some(promise)), Rc::new(pipe), event_loop.clone());
    event_loop.add_reader(Rc::clone(&pipe), move || {
        let mut buffer = [0; 100];
        // It does not wait: the loop has said that there is something, or the end.
        let outcome = match (&*pipe).read(&mut buffer) {
            Ok(0) => say(&format!("{name}: the end")),
            Ok(count) => match say(&format!("{name} is readable: {}", shown(&buffer[..count]))) {
                Ok(()) => return,
                Err(error) => Err(error),
            },
            Err(error) => Err(error.into()),
        };
        own.remove_reader(&pipe);
        if let Some(promise) = promise.take() {
            // Refused when nobody waits for it any more, which is fine.
            match outcome {
                Ok(()) => drop(promise.set_result(())),
                Err(error) => drop(promise.set_error(error)),
            }
        }
    })?;
    Ok(ended)
}

fn title(text: &str) -> Result {
    Ok(writeln!(io::stdout(), "{text}")?)
}

fn say(text: &str) -> Result {
    Ok(writeln!(io::stdout(), "   {text}")?)
}
