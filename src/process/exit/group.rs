//! The process group of a child that has exited.

use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, WaitOptions, kill_process_group, waitid, waitpid,
};

/// A process group whose leader has exited and is still a zombie: its id is still the group's, so what
/// the leader has started can be signalled. Dropping this reaps the leader.
pub(in crate::process) struct Group {
    leader: Pid,
}

impl Group {
    /// The group of a leader that has exited; `None` if somebody else has waited for it.
    pub(super) fn of(leader: Pid) -> Option<Self> {
        is_kept(leader).then_some(Self { leader })
    }

    /// Signals what is left of the group. An empty group is no error.
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
