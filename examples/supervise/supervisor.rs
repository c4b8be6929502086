//! Starting, starting again, and stopping.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::process::ExitStatus;
use std::rc::Rc;
use std::time::Duration;

use wharf::signal::{SIGINT, SIGTERM};
use wharf::{EventLoop, ProcessHandle, ProcessTransport, Result, Stdio, TimerHandle};

use super::plan::{Plan, Service};
use super::printer::Printer;

/// No delay before a restart is longer.
const LONGEST_DELAY: Duration = Duration::from_secs(30);

const COLORS: [u8; 6] = [36, 33, 32, 35, 34, 31];

pub(crate) struct Supervisor {
    event_loop: EventLoop,
    plan: Plan,
    stopping: Cell<bool>,
    /// Whether somebody had to be killed.
    killed: Cell<bool>,
    /// By the position of their services: those who run, and those who wait to be started again.
    running: RefCell<BTreeMap<usize, ProcessHandle>>,
    waiting: RefCell<BTreeMap<usize, TimerHandle>>,
}

impl Supervisor {
    /// Runs the plan to its end; whether it ended well.
    pub(crate) async fn run(event_loop: &EventLoop, plan: Plan) -> Result<bool> {
        let supervisor = Rc::new(Self {
            event_loop: event_loop.clone(),
            plan,
            stopping: Cell::new(false),
            killed: Cell::new(false),
            running: RefCell::default(),
            waiting: RefCell::default(),
        });
        for signal in [SIGINT, SIGTERM] {
            let own = Rc::clone(&supervisor);
            event_loop.add_signal_handler(signal, move || own.stop(signal))?;
        }
        // All beside one another, each in a task of its own.
        let tasks: Vec<_> = (0..supervisor.plan.services.len())
            .map(|position| {
                let own = Rc::clone(&supervisor);
                event_loop.create_task(async move { own.keep_running(position).await })
            })
            .collect();
        let mut all_well = true;
        for task in tasks {
            all_well &= task.await??;
        }
        Ok(all_well && !supervisor.killed.get())
    }

    /// Runs one service until it ends well, or fails too often, or is stopped.
    async fn keep_running(&self, position: usize) -> Result<bool> {
        let service = &self.plan.services[position];
        let mut restarts = 0;
        while !self.stopping.get() {
            let began = self.event_loop.time();
            let how = match self.run_once(position, service).await {
                Ok(status) if status.success() => {
                    self.say(position, "has ended");
                    return Ok(true);
                }
                Ok(status) => status.to_string(),
                Err(error) => format!("{error:#}"),
            };
            if self.stopping.get() {
                break;
            }
            if began.elapsed() >= self.plan.stable {
                restarts = 0;
            }
            if restarts == self.plan.restarts {
                self.say(position, &format!("{how}; given up"));
                return Ok(false);
            }
            let delay = self.plan.delay.saturating_mul(1 << restarts.min(16)).min(LONGEST_DELAY);
            restarts += 1;
            self.say(position, &format!("{how}; again in {delay:?}"));
            self.wait(position, delay).await;
        }
        Ok(true)
    }

    /// Runs one service once, and gives its status when all that it wrote is printed.
    async fn run_once(&self, position: usize, service: &Service) -> Result<ExitStatus> {
        let (promise, ended) = self.event_loop.create_future();
        let printer = Printer::new(self.prefix(position), promise);
        // A process group of its own, so that signals reach what the shell starts, too; and the
        // terminal's Ctrl-C reaches only us.
        let process = self
            .event_loop
            .subprocess_shell(|| printer, &service.command)
            .stdin(Stdio::null())
            .process_group(0)
            .await?;
        self.running.borrow_mut().insert(position, process.handle().clone());
        if self.stopping.get() {
            // The signal came while it was started.
            let _ = process.handle().send_signal_to_group(SIGTERM);
        }
        // If this is dropped here, so is the process, which kills the child.
        let status = ended.await;
        self.running.borrow_mut().remove(&position);
        Ok(status?)
    }

    /// Waits before a restart, unless it is stopped.
    async fn wait(&self, position: usize, delay: Duration) {
        let (promise, over) = self.event_loop.create_future();
        let timer = self.event_loop.call_later(delay, move || {
            let _ = promise.set_result(());
        });
        self.waiting.borrow_mut().insert(position, timer);
        // An error says that the timer was cancelled, and its promise dropped.
        let _ = over.await;
        self.waiting.borrow_mut().remove(&position);
    }

    /// A signal came.
    fn stop(self: &Rc<Self>, signal: i32) {
        if self.stopping.replace(true) {
            return self.kill();
        }
        for timer in self.waiting.borrow().values() {
            timer.cancel();
        }
        for process in self.running.borrow().values() {
            // One that has just exited cannot be signalled, and need not be.
            let _ = process.send_signal_to_group(signal);
        }
        let own = Rc::clone(self);
        self.event_loop.call_later(self.plan.grace, move || own.kill());
    }

    fn kill(&self) {
        for (position, process) in &*self.running.borrow() {
            self.killed.set(true);
            self.say(*position, "is killed");
            process.close();
        }
    }

    fn say(&self, position: usize, what: &str) {
        let name = &self.plan.services[position].name;
        // Standard error may be closed; there is nobody left to tell then.
        let _ = writeln!(io::stderr(), "supervise: {name} {what}");
    }

    /// The name of a service, as wide as the longest.
    fn prefix(&self, position: usize) -> String {
        let names = self.plan.services.iter().map(|service| service.name.len());
        let width = names.max().unwrap_or(0);
        let name = &self.plan.services[position].name;
        match self.plan.color {
            true => {
                let color = COLORS[position % COLORS.len()];
                format!("\x1b[{color}m{name:width$} |\x1b[0m ")
            }
            false => format!("{name:width$} | "),
        }
    }
}
