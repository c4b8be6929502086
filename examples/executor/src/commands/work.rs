use std::time::Duration;

use wharf::Result;
use wharf::signal::{SIGINT, SIGTERM};

use super::arguments::Work;
use crate::work::{Functions, Worker, WorkerOptions};

/// How long tasks have to end when the worker is to end.
const GRACE: Duration = Duration::from_secs(30);

pub(super) fn run(arguments: Work, functions: Functions) -> Result {
    wharf::run(async move |event_loop| {
        let mut signals = event_loop.signals([SIGINT, SIGTERM])?;
        let defaults = WorkerOptions::default();
        let slots = arguments.slots.unwrap_or(defaults.slots).max(1);
        let options = WorkerOptions {
            name: arguments.name.unwrap_or(defaults.name),
            slots,
            prefetch: slots,
            kinds: arguments.kinds,
            token: arguments.coordinator.token,
        };
        let worker =
            Worker::start(&event_loop, [arguments.coordinator.connect], functions, options)?;
        signals.next().await;
        worker.shutdown(GRACE).await
    })
}
