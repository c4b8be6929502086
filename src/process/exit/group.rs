//! The process group of a child that has exited.

use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, WaitOptions, kill_process_group, waitid, waitpid,
};

/// A process group whose leader has exited, and was not waited for: so its id still is the group's, and
/// whatever the leader has started can be signalled. The leader is waited for when this is dropped.
pub(in crate::process) struct Group {
    leader: Pid,
}

impl Group {
    /// The group of a leader that has exited; `None` if somebody else has waited for it.
    pub(super) fn of(leader: Pid) -> Option<Self> {
        is_kept(leader).then_some(Self { leader })
    }

    /// Signals what is left of the group. That it is empty is no error.
    pub(in crate::process) fn signal(&self, signal: Signal) {
        // If somebody else has waited for the leader, the id may be another's.
        if is_kept(self.leader) {
            let _ = kill_process_group(self.leader, signal);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = waitpid(Some(self.leader), WaitOptions::NOHANG);
    }
}

fn is_kept(leader: Pid) -> bool {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    loop {
        match waitid(WaitId::Pid(leader), options) {
            Err(Errno::INTR) => {}
            outcome => return matches!(outcome, Ok(Some(_))),
        }
    }
}
