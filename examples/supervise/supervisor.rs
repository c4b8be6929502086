//! Starting, starting again, and stopping.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::process::ExitStatus;
use std::rc::Rc;
use std::time::Duration;

use wharf::signal::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use wharf::{
    EventLoop, LoopFuture, Process, ProcessHandle, ProcessTransport, Result, Stdio, TimerHandle,
};

use super::plan::{Plan, Service};
use super::printer::Printer;
use super::screen::Screen;
use wharf_examples::race::within;

/// No delay before a restart is longer.
const LONGEST_DELAY: Duration = Duration::from_secs(30);

/// How long others that a program has started may still write after it has exited.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// After the programs were killed, the readers of their output have this time to take the rest.
const HURRY: Duration = Duration::from_secs(1);

/// What is passed on. A program that nobody can stop from the terminal any more would be left behind.
const SIGNALS: [(i32, &str); 4] =
    [(SIGINT, "SIGINT"), (SIGTERM, "SIGTERM"), (SIGHUP, "SIGHUP"), (SIGQUIT, "SIGQUIT")];

const COLORS: [u8; 6] = [36, 33, 32, 35, 34, 31];

pub(crate) struct Supervisor {
    event_loop: EventLoop,
    plan: Plan,
    screen: Rc<Screen>,
    stopping: Cell<bool>,
    /// Whether somebody had to be killed.
    killed: Cell<bool>,
    /// Whether output cannot be shown any more.
    output_failed: Cell<bool>,
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
            screen: Screen::open(event_loop).await?,
            stopping: Cell::new(false),
            killed: Cell::new(false),
            output_failed: Cell::new(false),
            running: RefCell::default(),
            waiting: RefCell::default(),
        });
        for (signal, name) in SIGNALS {
            let own = Rc::clone(&supervisor);
            event_loop.add_signal_handler(signal, move || own.stop(signal, name))?;
        }
        let own = Rc::downgrade(&supervisor);
        supervisor.screen.on_failure(move |reason| {
            if let Some(own) = own.upgrade() {
                own.output_failed(reason);
            }
        });
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
        supervisor.finish(all_well).await
    }

    /// Shows what is left to show. From here on, a signal ends the process as if nobody handled it.
    async fn finish(&self, all_well: bool) -> Result<bool> {
        for (signal, _) in SIGNALS {
            self.event_loop.remove_signal_handler(signal);
        }
        let limit = match (self.stopping.get(), self.killed.get()) {
            (false, _) => Duration::MAX,
            (true, false) => self.plan.grace,
            (true, true) => HURRY,
        };
        let is_shown = self.screen.finish(limit).await.is_ok();
        Ok(all_well && is_shown && !self.killed.get() && !self.output_failed.get())
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

    /// Runs one service once, and gives its status when all that it wrote is shown and nothing is
    /// left of it.
    async fn run_once(&self, position: usize, service: &Service) -> Result<ExitStatus> {
        let (promise, ended) = self.event_loop.create_future();
        let printer = Printer::new(Rc::clone(&self.screen), self.prefix(position), promise);
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
            let _ = process.send_signal_to_group(SIGTERM);
        }
        let status = process.wait().await;
        self.see_off(position, &process, ended).await;
        self.running.borrow_mut().remove(&position);
        // Whatever else is in its process group is killed here, when `process` is dropped.
        Ok(status?)
    }

    /// The program has exited; what it has started may go on. Waits for the end of all that may
    /// still write.
    async fn see_off(
        &self,
        position: usize,
        process: &Process<Printer>,
        mut ended: LoopFuture<()>,
    ) {
        while within(&self.event_loop, LAST_WORDS, &mut ended).await.is_none() {
            if self.stopping.get() {
                // It was signalled with the program, and is killed when the grace is over.
                let _ = ended.await;
                return;
            }
            if self.screen.is_behind() {
                // What was written is not shown yet.
                continue;
            }
            self.say(position, "has left something running, which is told to end");
            let _ = process.handle().send_signal_to_group(SIGTERM);
            if within(&self.event_loop, self.plan.grace, &mut ended).await.is_none() {
                self.kill_one(position, process.handle());
                let _ = ended.await;
            }
            return;
        }
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

    /// A signal came: it is passed on. At the second one, all are killed.
    fn stop(self: &Rc<Self>, signal: i32, name: &str) {
        if self.stopping.replace(true) {
            return self.kill();
        }
        for timer in self.waiting.borrow().values() {
            timer.cancel();
        }
        let running = self.running.borrow();
        let names: Vec<_> =
            running.keys().map(|position| &*self.plan.services[*position].name).collect();
        if !names.is_empty() {
            let (names, grace) = (names.join(", "), self.plan.grace);
            self.screen.say(&format!(
                "{name} is passed on to {names}; after {grace:?}, or at another signal, they are \
                 killed"
            ));
        }
        for process in running.values() {
            // One that has just exited cannot be signalled, and need not be.
            let _ = process.send_signal_to_group(signal);
        }
        let own = Rc::clone(self);
        self.event_loop.call_later(self.plan.grace, move || own.kill());
    }

    fn kill(&self) {
        for (position, process) in &*self.running.borrow() {
            self.kill_one(*position, process);
        }
    }

    fn kill_one(&self, position: usize, process: &ProcessHandle) {
        self.killed.set(true);
        self.say(
            position,
            match process.exit_status() {
                None => "is killed",
                Some(_) => {
                    "has ended, but what it has started has not, or nobody took its output; \
                            it is killed"
                }
            },
        );
        process.close();
    }

    /// Nobody would learn what the programs do.
    fn output_failed(self: &Rc<Self>, reason: &str) {
        self.output_failed.set(true);
        self.screen.say(&format!("{reason}; all programs are ended"));
        if !self.stopping.get() {
            self.stop(SIGTERM, "SIGTERM");
        }
    }

    fn say(&self, position: usize, what: &str) {
        self.screen.say(&format!("{} {what}", self.plan.services[position].name));
    }

    /// The name of a service, as wide as the longest.
    fn prefix(&self, position: usize) -> String {
        let names = self.plan.services.iter().map(|service| service.name.chars().count());
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
