//! What a kernel does without any fault at random.

use std::ops::RangeInclusive;

use super::fault::KernelFault;
use crate::sim::random::probable;

/// What the kernel of a host does to calls of its programs.
///
/// ```
/// use wharf::sim::{KernelFault, KernelOptions, Simulation};
///
/// let simulation = Simulation::new(7);
/// let server = simulation.host("server");
/// // One read in two brings less than is there, and no more than 100 sockets can be open.
/// server.set_kernel(KernelOptions::new().fault(KernelFault::ShortReads, 0.5).descriptors(100));
/// ```
#[derive(Clone, Debug)]
#[must_use = "kernels have them once they are given to a simulation or a host"]
pub struct KernelOptions {
    pub(super) probabilities: [f64; KernelFault::ALL.len()],
    pub(super) descriptors: usize,
    pub(super) ephemeral_ports: RangeInclusive<u16>,
}

impl KernelOptions {
    /// No faults, and the limits of Linux: those of ports.
    pub fn new() -> Self {
        Self {
            probabilities: [0.0; KernelFault::ALL.len()],
            descriptors: usize::MAX,
            ephemeral_ports: 32_768..=60_999,
        }
    }

    /// How probably this happens to each call that it can happen to, 0 to 1: less is as 0, more as 1.
    pub fn fault(mut self, fault: KernelFault, probability: f64) -> Self {
        self.probabilities[fault as usize] = probable(probability);
        self
    }

    /// How many sockets programs of the host can have open, listening ones among them; `None`: any number. What would
    /// be one more fails with `EMFILE`.
    pub fn descriptors(mut self, most: impl Into<Option<usize>>) -> Self {
        self.descriptors = most.into().unwrap_or(usize::MAX);
        self
    }

    /// The ports that the kernel chooses from, for connections, for servers and datagram sockets at port 0: 32768 to 60999
    /// unless set, as on Linux (`ip_local_port_range`). An empty range has none.
    ///
    /// A connect that finds none fails with `EADDRNOTAVAIL`, a server or a datagram socket with `EADDRINUSE`. Connections
    /// to other addresses can have the same port.
    pub fn ephemeral_ports(mut self, ports: RangeInclusive<u16>) -> Self {
        self.ephemeral_ports = ports;
        self
    }
}

impl Default for KernelOptions {
    fn default() -> Self {
        Self::new()
    }
}
