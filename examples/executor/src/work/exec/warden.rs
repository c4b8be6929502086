//! Who ends the programs of a worker that has died.

use std::cell::RefCell;
use std::collections::BTreeSet;

use wharf::{ChildProcess, EventLoop, Result, Stdio, StreamWriter};

/// The variable by which the programs of a worker are known.
pub(super) const MARK: &str = "WHARF_EXECUTOR_WORKER";

/// It reads which groups there are, until the worker's end closes the pipe; then it ends those that are left, and what is
/// marked as a program of that worker: it may just have been started, or have left its group. It goes on when a terminal
/// signals all that is in its foreground.
///
/// A shell does: it is there wherever programs are, needs a MiB, and is started once for a worker. What the worker wrote
/// before it died is read before the end is.
const SCRIPT: &str = r#"
trap '' HUP INT QUIT TERM
groups=
while read -r change group; do
    rest=
    for other in $groups; do
        [ "$other" = "$group" ] || rest="$rest $other"
    done
    groups=$rest
    [ "$change" = - ] || groups="$groups $group"
done
for group in $groups; do
    kill -s KILL -- "-$group"
done
for file in $(grep -ls "$1" /proc/[0-9]*/environ); do
    process=${file#/proc/}
    kill -s KILL "${process%/environ}"
done
"#;

/// A process that outlives the worker, and then ends what the worker has started. It is started with the first task.
///
/// When it is dropped, the same happens: nothing that a task has left behind outlives the worker.
pub(super) struct Warden {
    mark: String,
    process: RefCell<Option<Process>>,
    groups: RefCell<BTreeSet<u32>>,
}

struct Process {
    child: ChildProcess,
    stdin: StreamWriter,
}

impl Warden {
    pub(super) fn new() -> Self {
        let mark = format!("{:032x}", fastrand::u128(..));
        Self { mark, process: RefCell::default(), groups: RefCell::default() }
    }

    /// What [`MARK`] is for the programs of this worker.
    pub(super) fn mark(&self) -> &str {
        &self.mark
    }

    /// Is there from now on, unless it is already. One that somebody has killed is replaced.
    pub(super) async fn start(&self, event_loop: &EventLoop) -> Result {
        let is_running = |process: &Process| process.child.exit_status().is_none();
        if self.process.borrow().as_ref().is_some_and(is_running) {
            return Ok(());
        }
        let child = event_loop
            .create_subprocess_exec("/bin/sh")
            .args(["-c", SCRIPT, "warden"])
            .arg(format!("{MARK}={}", self.mark))
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .current_dir("/")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .kill_on_drop(false);
        let mut child = child.await?;
        let Some(stdin) = child.stdin.take() else { return Err("the warden has no input".into()) };
        let process = Process { child, stdin };
        for group in &*self.groups.borrow() {
            process.say('+', *group);
        }
        *self.process.borrow_mut() = Some(process);
        Ok(())
    }

    /// A group is to end with the worker.
    pub(super) fn watch(&self, group: u32) {
        self.groups.borrow_mut().insert(group);
        self.say('+', group);
    }

    /// A group has ended. Its number must not be free before: it would be another's.
    pub(super) fn forget(&self, group: u32) {
        self.groups.borrow_mut().remove(&group);
        self.say('-', group);
    }

    fn say(&self, change: char, group: u32) {
        if let Some(process) = &*self.process.borrow() {
            process.say(change, group);
        }
    }
}

impl Process {
    fn say(&self, change: char, group: u32) {
        self.stdin.write(format!("{change} {group}\n").as_bytes());
    }
}
