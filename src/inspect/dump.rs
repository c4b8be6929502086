//! The tasks, connections, listeners and timers of a loop, as values.

use std::time::Duration;

use crate::error::Error;
use crate::event_loop::{Entry, EventLoop, ListenerFacts, print};
use crate::task::{TaskFacts, Waits};
use crate::transport::ConnectionFacts;

/// What a loop has to do at one moment: what [`EventLoop::dump`] gives.
///
/// Its text (`{}`) has the tree of tasks, each below the one that spawned it, then connections, listeners and timers. With
/// the feature `serde` it can be serialised.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct LoopDump {
    /// How long the loop has been there.
    pub age: Duration,
    /// Tasks that are not finished, in the order in which they were spawned.
    pub tasks: Vec<TaskDump>,
    /// Connections, the pipes of child processes included.
    pub connections: Vec<ConnectionDump>,
    /// Listeners of servers.
    pub listeners: Vec<ListenerDump>,
    /// Timers that are set, those of connections and tasks included.
    pub timers: usize,
    /// In how long the first of them is due.
    pub next_timer: Option<Duration>,
}

/// A task in a [`LoopDump`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct TaskDump {
    /// Its number: the loop counts its tasks from 1 on.
    pub id: u64,
    /// What [`Task::named`](crate::Task::named) called it.
    pub name: Option<String>,
    /// Where it was spawned: file, line and column.
    ///
    /// Of a server's handler it is where the server was started.
    pub place: String,
    /// The task that spawned it, which may be finished.
    pub parent: Option<u64>,
    /// How long it has been there.
    pub age: Duration,
    /// How often it was polled.
    pub steps: u32,
    /// How long its longest step took. Zero unless [`EventLoop::set_step_timing`] is on.
    pub longest_step: Duration,
    /// What it waits for, as far as the loop knows; empty where it does not. Of a task that waits for several
    /// things, the last that it has polled.
    pub waits_for: String,
    /// The task that it waits for.
    pub awaits: Option<u64>,
}

/// A connection in a [`LoopDump`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct ConnectionDump {
    /// The text of its [`TransportId`](crate::TransportId).
    pub id: String,
    /// The type of its protocol.
    pub protocol: String,
    /// This end's address, if it has one.
    pub local_address: Option<String>,
    /// The other end's address, if it has one.
    pub peer_address: Option<String>,
    /// Whether more is going to be read: not paused, held or closing.
    pub is_reading: bool,
    /// Whether it is closing.
    pub is_closing: bool,
    /// Bytes that wait to be sent.
    pub write_buffer_size: usize,
    /// How long ago a byte came or went.
    pub idle: Duration,
}

/// A listener in a [`LoopDump`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct ListenerDump {
    /// Where it listens, if that has an address.
    pub address: Option<String>,
    /// Whether connections are accepted.
    pub is_serving: bool,
    /// How many connections its server has, those of its other listeners included.
    pub connections: usize,
}

/// # Introspection
impl EventLoop {
    /// What the loop has to do now: the tree of its tasks, connections, listeners and timers. asyncio's `all_tasks`
    /// and `pstree`.
    ///
    /// It takes time and memory for each of them, and a system call for each connection.
    ///
    /// ```
    /// use std::time::Duration;
    /// use wharf::testing::MemoryNetwork;
    ///
    /// # fn main() -> wharf::Result {
    /// MemoryNetwork::new().event_loop().run(async |event_loop| {
    ///     let task = event_loop.create_task(wharf::sleep(Duration::from_secs(5))).named("nap");
    ///     wharf::yield_now().await;
    ///     let dump = event_loop.dump();
    ///     assert_eq!(dump.tasks[0].name.as_deref(), Some("nap"));
    ///     assert_eq!(dump.tasks[0].waits_for, "a time, 5s from now");
    ///     println!("{dump}");
    ///     task.await?;
    ///     Ok(())
    /// })
    /// # }
    /// ```
    #[doc(alias("all_tasks", "pstree", "print_stack", "capture_call_graph"))]
    pub fn dump(&self) -> LoopDump {
        let core = self.core();
        let now = core.now();
        let timers = core.timers.borrow();
        let mut dump = LoopDump {
            age: Duration::from_nanos(now),
            tasks: core.tasks.facts(|facts| task(facts, now)),
            timers: timers.len(),
            next_timer: timers.next_wakeup().map(|at| Duration::from_nanos(at.saturating_sub(now))),
            ..LoopDump::default()
        };
        drop(timers);
        dump.tasks.sort_by_key(|task| task.id);
        for entry in core.entries() {
            match &entry {
                Entry::Stream(stream) => {
                    dump.connections.extend(stream.describe(core).map(connection));
                }
                Entry::Source(source) => dump.listeners.extend(source.as_listener().map(listener)),
                Entry::Datagram(_) => {}
            }
            core.drop_user(entry, "transport");
        }
        dump
    }

    /// Prints a [`dump`](Self::dump) on standard error whenever the process gets the signal (`SIGUSR1`, as a rule),
    /// beside what else handles it. It stays for as long as the loop is open.
    ///
    /// ```no_run
    /// # fn main() -> wharf::Result {
    /// wharf::run(async |event_loop| {
    ///     event_loop.dump_on_signal(wharf::signal::SIGUSR1)?;
    ///     // kill -USR1 PID
    ///     event_loop.create_server(wharf::PausedProtocol::new, "127.0.0.1:0").await?.serve_forever().await?;
    ///     Ok(())
    /// })
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`add_signal_handler`](Self::add_signal_handler).
    #[doc(alias("faulthandler", "SIGINFO", "SIGQUIT"))]
    pub fn dump_on_signal(&self, signal: i32) -> Result<(), Error> {
        let print_dump = |event_loop: &Self| print(&event_loop.dump().to_string());
        self.core().signal_handlers.do_always(self.core(), signal, print_dump)
    }

    /// Whether each step of each task is timed, for [`TaskDump::longest_step`]. Off by default: it reads the clock
    /// twice a step.
    pub fn set_step_timing(&self, on: bool) {
        self.core().tasks.set_timed(on);
    }
}

fn task(facts: TaskFacts<'_>, now: u64) -> TaskDump {
    let waits_for = match facts.waits {
        Waits::Unknown if facts.steps == 0 => "its first step".to_owned(),
        Waits::Unknown => String::new(),
        Waits::Time(when) => {
            format!("a time, {:?} from now", Duration::from_nanos(when.saturating_sub(now)))
        }
        Waits::Future => "a future".to_owned(),
        Waits::Task(awaited) => format!("task {awaited}"),
        Waits::Input(id) => format!("input of connection {id}"),
        Waits::Output(id) => format!("connection {id} to take output"),
    };
    TaskDump {
        id: facts.id,
        name: facts.name.map(str::to_owned),
        place: facts.place.to_string(),
        parent: facts.parent,
        age: Duration::from_nanos(now.saturating_sub(facts.spawned)),
        steps: facts.steps,
        longest_step: facts.longest_step,
        waits_for,
        awaits: match facts.waits {
            Waits::Task(awaited) => Some(awaited),
            _ => None,
        },
    }
}

fn connection(facts: ConnectionFacts) -> ConnectionDump {
    ConnectionDump {
        id: facts.id.to_string(),
        protocol: facts.protocol.to_owned(),
        local_address: facts.local_address.map(|address| address.to_string()),
        peer_address: facts.peer_address.map(|address| address.to_string()),
        is_reading: facts.is_reading,
        is_closing: facts.is_closing,
        write_buffer_size: facts.write_buffer_size,
        idle: facts.idle,
    }
}

fn listener(facts: ListenerFacts) -> ListenerDump {
    ListenerDump {
        address: facts.address.map(|address| address.to_string()),
        is_serving: facts.is_serving,
        connections: facts.connections,
    }
}
