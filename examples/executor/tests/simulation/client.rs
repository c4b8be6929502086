//! Clients that submit at random.

use std::time::Duration;

use wharf::sim::{Host, Random};
use wharf::{EventLoop, Result};
use wharf_executor::client::{Client, ClientError, ClientOptions};
use wharf_executor::task::{Spec, TaskId};

use super::checker::Checker;
use super::cluster::ADDRESS;
use super::plan;

/// How many tasks each submits, about.
const TASKS: usize = 30;

/// What a client does.
pub(crate) struct Submitter {
    host: Host,
    client: Client,
    event_loop: EventLoop,
    checker: Checker,
    random: Random,
}

impl Submitter {
    pub(crate) fn new(event_loop: EventLoop, host: &Host, checker: &Checker) -> Result<Self> {
        let client = Client::start(&event_loop, [ADDRESS], ClientOptions::default())?;
        let (host, checker, random) = (host.clone(), checker.clone(), host.random());
        Ok(Self { host, client, event_loop, checker, random })
    }

    /// Submits what is left to submit, and waits until all tasks have ended.
    pub(crate) async fn run(&self) -> Result {
        while self.checker.planned(self.host.name()) < TASKS {
            let wait = self.random.duration(Duration::ZERO..=Duration::from_millis(1_500));
            self.event_loop.sleep(wait).await;
            match self.random.below(20) {
                0..2 => self.cancel().await,
                2..8 => self.look().await,
                8..10 => self.submit(1 + self.random.below(6)).await?,
                _ => self.submit(1).await?,
            }
        }
        self.all_end().await
    }

    /// Waits until all tasks have ended, whoever has submitted them.
    pub(crate) async fn all_end(&self) -> Result {
        for id in self.checker.all_acknowledged() {
            loop {
                let task = self.client.find(id.clone());
                if self.random.chance(0.5) {
                    // It is told in another way, and then looked at.
                    let _ = task.outcome().await;
                }
                match task.ended().await {
                    Ok(record) => break self.checker.told(&record),
                    Err(ClientError::UnknownTask(_)) => {
                        break self.checker.wrong(format!("{id} was acknowledged and is lost"));
                    }
                    Err(_) => self.event_loop.sleep(PAUSE).await,
                }
            }
        }
        self.checker.check()
    }

    async fn submit(&self, count: usize) -> Result {
        let first = self.checker.planned(self.host.name());
        let known = self.checker.all_acknowledged();
        let mut specs = Vec::new();
        for number in first..first + count {
            let id = TaskId::new(&format!("{}-{number}", self.host.name()))?;
            let spec = plan::spec(&self.random, id.clone(), &known, self.host.date())?;
            self.checker.will_submit(&id, &spec);
            specs.push(spec);
        }
        while !specs.is_empty() {
            match self.client.submit_all(specs.clone()).await {
                Ok(outcomes) => {
                    let outcomes = specs.into_iter().zip(outcomes);
                    let left = outcomes.filter(|(spec, outcome)| !self.is_done(spec, outcome));
                    specs = left.map(|(spec, _)| spec).collect();
                }
                Err(_) => self.event_loop.sleep(PAUSE).await,
            }
        }
        Ok(())
    }

    /// Whether it need not be submitted again.
    fn is_done<T>(&self, spec: &Spec, outcome: &Result<T, ClientError>) -> bool {
        let Some(id) = &spec.id else { return true };
        match outcome {
            Ok(_) => self.checker.acknowledged(id),
            Err(error) => {
                let text = error.to_string();
                if spec.after.is_empty() || text.contains("which is not there") {
                    self.checker.wrong(format!("{id}: {text}"));
                }
            }
        }
        true
    }

    async fn cancel(&self) {
        let Some(id) = self.random.choose(&self.checker.all_acknowledged()).cloned() else {
            return;
        };
        self.checker.will_cancel(&id);
        // Whether it was done does not matter: it may have been.
        let _ = self.client.find(id).cancel().await;
    }

    async fn look(&self) {
        let Some(id) = self.random.choose(&self.checker.all_acknowledged()).cloned() else {
            return;
        };
        match self.client.find(id.clone()).status().await {
            Ok(record) => self.checker.told(&record),
            Err(ClientError::UnknownTask(_)) => {
                self.checker.wrong(format!("{id} was acknowledged and is not there"));
            }
            Err(_) => {}
        }
    }
}

const PAUSE: Duration = Duration::from_millis(300);
