//! A coordinator, workers and clients on their machines.

use std::future::pending;
use std::time::Duration;

use wharf::sim::{Fault, Host, LinkOptions, Simulation};
use wharf::{EventLoop, Result};
use wharf_executor::coordinator::Settings;
use wharf_executor::serve::{CoordinatorServer, ServeOptions};
use wharf_executor::store::{DiskStore, StoreError};
use wharf_executor::task::Timestamp;
use wharf_executor::work::{Failure, Functions, Job, Worker, WorkerOptions};

use super::checker::Checker;
use super::client::Submitter;
use super::disk::SimulatedFile;
use super::plan::Plan;

pub(crate) const COORDINATOR: &str = "coordinator";
pub(crate) const ADDRESS: &str = "coordinator:7000";

const WORKERS: usize = 3;
const CLIENTS: usize = 2;

/// All of them, not begun yet.
pub(crate) struct Cluster {
    simulation: Simulation,
    coordinator: Host,
    checker: Checker,
}

impl Cluster {
    pub(crate) fn new(simulation: &Simulation) -> Self {
        Self::on_a_disk(simulation, false)
    }

    /// One whose coordinator thinks that it has synced what it has not.
    pub(crate) fn on_a_disk_that_lies(simulation: &Simulation) -> Self {
        Self::on_a_disk(simulation, true)
    }

    fn on_a_disk(simulation: &Simulation, lies: bool) -> Self {
        let random = simulation.random();
        let latency = MS..=random.duration(MS..=50 * MS);
        let split = random.below(3) as f64 / 4.0;
        simulation.links(LinkOptions::new().latency(latency).split(split));
        let checker = Checker::default();
        let coordinator = simulation.host(COORDINATOR);
        coordinator.set_job_time(MS..=random.duration(MS..=100 * MS));
        let settings = Settings {
            lease: random.duration(SECOND..=15 * SECOND),
            return_within: random.duration(SECOND..=30 * SECOND),
            ..Settings::default()
        };
        let (host, all, checks) = (coordinator.clone(), simulation.clone(), checker.clone());
        coordinator.serve(async move |event_loop| {
            let started = start(&event_loop, &host, settings, lies);
            serve(&event_loop, started, &all, &checks).await
        });
        for number in 0..WORKERS {
            let host = simulation.host(&format!("worker{number}"));
            host.set_job_time(MS..=2 * SECOND);
            let (own, checks) = (host.clone(), checker.clone());
            host.serve(async move |event_loop| work(event_loop, &own, &checks).await);
        }
        Self { simulation: simulation.clone(), coordinator, checker }
    }

    /// One in which nothing is lost: each task runs once at a time.
    pub(crate) fn without_faults(simulation: &Simulation) -> Self {
        let cluster = Self::new(simulation);
        cluster.checker.forbid_runs_at_once();
        cluster
    }

    /// Clients submit, and wait until all has ended; after another crash all of it is as it was.
    pub(crate) fn run(self) -> Result {
        for number in 0..CLIENTS {
            let host = self.simulation.host(&format!("client{number}"));
            let (own, checker) = (host.clone(), self.checker.clone());
            host.start(async move |event_loop| {
                Submitter::new(event_loop, &own, &checker)?.run().await
            });
        }
        // A clock that was set back by an hour makes tasks wait for an hour: then it says what is later than all that it has
        // said before.
        let late = Fault::Clock(COORDINATOR.into(), 7_200.0);
        self.simulation.after(90 * SECOND, move |simulation| simulation.apply(&late));
        // Faults end after 40 s. A task may take 20 s and be tried four times, and so may those before it.
        self.simulation.limit(Duration::from_secs(600));
        self.simulation.run()?;
        self.coordinator.crash();
        self.coordinator.restart();
        let (auditor, checker) = (self.simulation.host("auditor"), self.checker.clone());
        let own = auditor.clone();
        auditor.run(async move |event_loop| {
            Submitter::new(event_loop, &own, &checker)?.all_end().await
        })?;
        self.checker.check()
    }
}

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// The coordinator, which somebody starts again when it has ended.
async fn serve(
    event_loop: &EventLoop,
    started: impl Future<Output = Result<Result<CoordinatorServer, StoreError>>>,
    simulation: &Simulation,
    checker: &Checker,
) -> Result {
    let (notes, checks) = (simulation.clone(), checker.clone());
    event_loop.set_exception_handler(move |_, exception| {
        let text = exception.to_string();
        // What it says of its disk, or of a kernel without descriptors, is no fault of its own.
        if text.contains("the store: ") || text.contains("the system is short") {
            notes.note(format!("coordinator: {text}"));
        } else {
            checks.wrong(text);
        }
    });
    let ended = match started.await? {
        Ok(coordinator) => coordinator.failed().await,
        Err(error) => error,
    };
    simulation.note(format!("the coordinator ends: {ended}"));
    let has_reason = |reason| ended.to_string().contains(reason);
    if !["simulat", "no storage space"].into_iter().any(has_reason) {
        return Err(format!("its disk is well, and yet: {ended}").into());
    }
    let (kill, restart) = (Fault::Kill(COORDINATOR.into()), Fault::Restart(COORDINATOR.into()));
    simulation.after(Duration::ZERO, move |simulation| simulation.apply(&kill));
    simulation.after(SECOND, move |simulation| simulation.apply(&restart));
    pending().await
}

async fn start(
    event_loop: &EventLoop,
    host: &Host,
    settings: Settings,
    lies: bool,
) -> Result<Result<CoordinatorServer, StoreError>> {
    let store = SimulatedFile::open(&host.disk(), lies).and_then(DiskStore::open_in);
    let clock = host.clone();
    let options = ServeOptions {
        settings,
        clock: Box::new(move || Timestamp::from_system_time(clock.date())),
        random: fastrand::Rng::with_seed(event_loop.random_seed()),
        ..ServeOptions::default()
    };
    let coordinator = store.and_then(|store| CoordinatorServer::new(event_loop, store, options));
    if let Ok(coordinator) = &coordinator {
        let factory = coordinator.clone();
        event_loop.create_server(move || factory.protocol(), "0.0.0.0:7000").await?;
    }
    Ok(coordinator)
}

async fn work(event_loop: EventLoop, host: &Host, checker: &Checker) -> Result {
    let mut functions = Functions::new();
    let waits = checker.clone();
    functions.add_async("waits", async move |plan: Plan, job: Job| {
        let going = waits.begins(job.id(), job.attempt());
        if plan.writes {
            job.write("it begins\n");
        }
        wharf::sleep(Duration::from_millis(plan.millis)).await;
        going.end(plan).map_err(failure)
    })?;
    let computes = checker.clone();
    functions.add("computes", move |plan: Plan, job: &Job| {
        let going = computes.begins(job.id(), job.attempt());
        going.end(plan).map_err(failure)
    })?;
    let options = WorkerOptions {
        name: host.name().into(),
        slots: 2,
        prefetch: 1,
        ..WorkerOptions::default()
    };
    let _worker = Worker::start(&event_loop, [ADDRESS], functions, options)?;
    pending().await
}

fn failure(is_for_good: bool) -> Failure {
    if is_for_good { Failure::permanent("for good") } else { "planned".into() }
}
