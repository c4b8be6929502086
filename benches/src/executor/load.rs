//! A client that submits tasks that do nothing, and awaits the result of each.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Instant;

use futures_util::future::try_join_all;
use serde_json::value::RawValue;
use wharf::EventLoop;
use wharf_executor::client::{Client, ClientOptions};
use wharf_executor::task::{Kind, Spec};

use super::NOTHING;
use crate::Result;
use crate::arguments::Arguments;
use crate::measured::{cpu_time, say, wait_for_a_line};
use crate::report::quantile;

/// Does what the command line asks for, and prints what it took. With `--controlled` it says `ready` before the measured
/// part, and waits for a line before that and at its end.
///
/// # Errors
/// The command line is wrong, the coordinator is not there, or a task fails.
pub fn run(mut arguments: Arguments) -> Result {
    let connect = arguments.required::<String>("--connect")?;
    let load = Load {
        tasks: arguments.option_or("--tasks", 100_000)?,
        in_flight: arguments.option_or("--in-flight", 2_000)?,
        together: arguments.option_or("--together", 100)?,
        kind: Kind::new(&arguments.option_or("--kind", NOTHING.to_owned())?)?,
    };
    let warm_up = arguments.option_or("--warm-up", 1_000)?;
    let is_controlled = arguments.flag("--controlled");
    arguments.finish()?;
    wharf::run(async |event_loop| {
        let options = ClientOptions::default();
        let client = Rc::new(Client::start(&event_loop, [&*connect], options)?);
        load.clone().run(&event_loop, &client, warm_up).await?;
        if is_controlled {
            say("ready")?;
            wait_for_a_line()?;
        }
        let (began, cpu) = (Instant::now(), cpu_time()?);
        let latencies = load.clone().run(&event_loop, &client, load.tasks).await?;
        let (seconds, cpu) = (began.elapsed().as_secs_f64(), (cpu_time()? - cpu).as_secs_f64());
        let [p50, p99] = [0.5, 0.99].map(|share| quantile(&latencies, share));
        let tasks = load.tasks;
        say(&format!(
            "tasks={tasks} seconds={seconds:.6} cpu_seconds={cpu:.6} p50={p50:.6} p99={p99:.6}"
        ))?;
        if is_controlled {
            wait_for_a_line()?;
        }
        Ok(())
    })
}

#[derive(Clone)]
struct Load {
    tasks: usize,
    /// How many have been submitted and have no result yet, at most.
    in_flight: usize,
    /// How many are submitted with one request.
    together: usize,
    kind: Kind,
}

impl Load {
    /// Returns the seconds from a submit to the last of its results.
    async fn run(
        self,
        event_loop: &EventLoop,
        client: &Rc<Client>,
        tasks: usize,
    ) -> Result<Vec<f64>> {
        let left = Rc::new(Cell::new(tasks));
        let mut submitters = Vec::new();
        for _ in 0..self.in_flight.div_ceil(self.together) {
            let (load, client, left) = (self.clone(), Rc::clone(client), Rc::clone(&left));
            submitters.push(event_loop.create_task(async move {
                let mut latencies = Vec::new();
                while left.get() > 0 {
                    let count = load.together.min(left.get());
                    left.set(left.get() - count);
                    let began = Instant::now();
                    load.submit(&client, count).await?;
                    latencies.push(began.elapsed().as_secs_f64());
                }
                Ok::<_, wharf::Failure>(latencies)
            }));
        }
        let mut latencies = Vec::new();
        for submitter in submitters {
            latencies.append(&mut submitter.await??);
        }
        Ok(latencies)
    }

    async fn submit(&self, client: &Client, count: usize) -> Result {
        let spec = || Spec::new(self.kind.clone(), RawValue::NULL.to_owned());
        let submitted = client.submit_all((0..count).map(|_| spec()).collect()).await?;
        let tasks = submitted.into_iter().collect::<Result<Vec<_>, _>>()?;
        try_join_all(tasks.iter().map(|task| task.result::<()>())).await?;
        Ok(())
    }
}
