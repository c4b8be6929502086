use std::fmt;

/// What can happen to a host's [`Disk`](super::Disk).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DiskFault {
    /// It is full: what takes more space than there is used now fails with [`StorageFull`](std::io::ErrorKind::StorageFull).
    Full,
    /// Every call fails.
    Failing,
    /// Writes are taken, and fail when they are synced. What was to be synced is lost or not, place by place. Some disks
    /// show it as it was written until the machine is off, and a later sync that succeeds does not bring it back; others
    /// show what they have.
    SyncFailing,
    /// The power fails in the middle of the next sync: the host [crashes](super::super::Host::crash). When it is started
    /// before that, it is not to be any more.
    PowerFailing,
    /// One bit of what is stored changes, somewhere.
    Rot,
    /// All but the last is over: it works, and has the space that it has.
    Well,
}

/// As scripts have them.
const NAMES: [(DiskFault, &str); 6] = [
    (DiskFault::Full, "full"),
    (DiskFault::Failing, "failing"),
    (DiskFault::SyncFailing, "sync-failing"),
    (DiskFault::PowerFailing, "power-failing"),
    (DiskFault::Rot, "rot"),
    (DiskFault::Well, "well"),
];

impl DiskFault {
    pub(in crate::sim) fn from_name(name: &str) -> Option<Self> {
        NAMES.iter().find(|(_, known)| *known == name).map(|(fault, _)| *fault)
    }
}

impl fmt::Display for DiskFault {
    /// As a [`Script`](super::super::Script) has it.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = NAMES.iter().find(|(fault, _)| fault == self).map(|(_, name)| *name);
        formatter.write_str(name.unwrap_or_default())
    }
}
