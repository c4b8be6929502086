//! Which faults a kernel has.

use std::fmt;

/// What the kernel of a host does to calls of its programs, with some probability for each call.
///
/// None of it is a failure of the machine: programs on real ones see all of it, if seldom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum KernelFault {
    /// A read, or a receive of several datagrams, brings less than is there; the rest is there a little later.
    ShortReads,
    /// A write takes less than there is room for; there is more room a little later.
    ShortWrites,
    /// A read, write, receive, send or accept says "it would block" though the socket was said to be ready. It is ready a
    /// little later, and never refuses two calls in a row.
    WouldBlock,
    /// A socket is said to be ready to be read and written whenever anything happens to it, whether it is or not.
    SpuriousReadiness,
    /// A datagram is not sent, since there is no buffer for it: `ENOBUFS`.
    NoBuffers,
    /// A connection is not accepted or not begun, since there is no descriptor for it: `EMFILE`. Servers begin, and
    /// sockets for datagrams open, all the same: for these see
    /// [`KernelOptions::descriptors`](super::KernelOptions::descriptors).
    NoDescriptors,
}

impl KernelFault {
    pub(in crate::sim) const ALL: [Self; 6] = [
        Self::ShortReads,
        Self::ShortWrites,
        Self::WouldBlock,
        Self::SpuriousReadiness,
        Self::NoBuffers,
        Self::NoDescriptors,
    ];

    /// As a [`Script`](super::super::Script) has it.
    pub(in crate::sim) fn name(self) -> &'static str {
        match self {
            Self::ShortReads => "short-reads",
            Self::ShortWrites => "short-writes",
            Self::WouldBlock => "would-block",
            Self::SpuriousReadiness => "spurious-readiness",
            Self::NoBuffers => "no-buffers",
            Self::NoDescriptors => "no-descriptors",
        }
    }

    pub(in crate::sim) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|fault| fault.name() == name)
    }
}

impl fmt::Display for KernelFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}
