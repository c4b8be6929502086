//! How a kernel decides.

use std::cell::{Cell, RefCell};
use std::ops::RangeInclusive;
use std::rc::Rc;
use std::time::Duration;

use super::fault::KernelFault;
use super::options::KernelOptions;
use crate::driver::memory::{Call, KernelPolicy, Network};
use crate::sim::host::{HostId, OTHERS};
use crate::sim::random::{Random, probable};
use crate::sim::trace::{Trace, TraceEvent};

/// How much later a kernel tells of what a call has left.
const SHORTEST_DELAY: Duration = Duration::from_micros(1);
const LONGEST_DELAY: Duration = Duration::from_millis(5);

/// What the kernels of a simulation share.
pub(in crate::sim) struct Kernels {
    elapsed: Rc<dyn Fn() -> Duration>,
    trace: Trace,
    /// Of hosts that have none of their own.
    default: RefCell<KernelOptions>,
}

/// The kernel of a host: what its machine asks.
pub(in crate::sim) struct HostKernel {
    elapsed: Rc<dyn Fn() -> Duration>,
    trace: Trace,
    host: HostId,
    random: Random,
    options: RefCell<KernelOptions>,
    /// More faults than the options say.
    added: Cell<[f64; KernelFault::ALL.len()]>,
    /// There are faults, of either. It is asked about in each call.
    has_faults: Cell<bool>,
}

impl Kernels {
    pub(in crate::sim) fn new(network: &Network, trace: Trace) -> Self {
        Self { elapsed: Rc::new(network.stopwatch()), trace, default: RefCell::default() }
    }

    pub(in crate::sim) fn set_default(&self, options: KernelOptions) {
        *self.default.borrow_mut() = options;
    }

    /// The kernel of a new host.
    pub(in crate::sim) fn of_host(&self, host: HostId, random: Random) -> Rc<HostKernel> {
        let kernel = HostKernel {
            elapsed: Rc::clone(&self.elapsed),
            trace: self.trace.clone(),
            host,
            random,
            options: self.default.clone(),
            added: Cell::default(),
            has_faults: Cell::default(),
        };
        kernel.look();
        Rc::new(kernel)
    }
}

impl HostKernel {
    pub(in crate::sim) fn set_options(&self, options: KernelOptions) {
        *self.options.borrow_mut() = options;
        self.look();
    }

    pub(in crate::sim) fn set_added(&self, fault: KernelFault, probability: f64) {
        let mut added = self.added.get();
        added[fault as usize] = probable(probability);
        self.added.set(added);
        self.look();
    }

    pub(in crate::sim) fn recover(&self) {
        self.added.set(Default::default());
        self.look();
    }

    /// Looks whether there are faults.
    fn look(&self) {
        let (own, added) = (self.options.borrow().probabilities, self.added.get());
        self.has_faults.set(own.iter().chain(&added).any(|probability| *probability > 0.0));
    }

    fn has(&self, fault: KernelFault) -> bool {
        if !self.has_faults.get() {
            return false;
        }
        let own = self.options.borrow().probabilities[fault as usize];
        let added = self.added.get()[fault as usize];
        (own > 0.0 || added > 0.0) && self.random.chance(1.0 - (1.0 - own) * (1.0 - added))
    }

    fn note(&self, what: String) {
        if self.host == OTHERS {
            return;
        }
        let at = (self.elapsed)();
        self.trace.add(TraceEvent::Kernel { at, host: self.host, what });
    }
}

impl KernelPolicy for HostKernel {
    fn moves(&self, call: Call, most: usize) -> usize {
        let fault = match call {
            Call::Read | Call::Receive => KernelFault::ShortReads,
            Call::Write => KernelFault::ShortWrites,
            Call::Send | Call::Accept | Call::Connect | Call::Open => return most,
        };
        if !self.has(fault) {
            return most;
        }
        let count = 1 + self.random.below(most - 1);
        self.note(format!("{} moves {count} of {most}", name(call)));
        count
    }

    fn blocks(&self, call: Call) -> bool {
        let blocks = self.has(KernelFault::WouldBlock);
        if blocks {
            self.note(format!("{} would block", name(call)));
        }
        blocks
    }

    fn delay(&self) -> Duration {
        self.random.duration(SHORTEST_DELAY..=LONGEST_DELAY)
    }

    fn is_spurious(&self) -> bool {
        self.has(KernelFault::SpuriousReadiness)
    }

    fn lacks_buffers(&self) -> bool {
        let lacks = self.has(KernelFault::NoBuffers);
        if lacks {
            self.note(format!("{} finds no buffer", name(Call::Send)));
        }
        lacks
    }

    fn lacks_descriptors(&self, call: Call) -> bool {
        let lacks = call != Call::Open && self.has(KernelFault::NoDescriptors);
        if lacks {
            self.note(format!("{} finds no descriptor", name(call)));
        }
        lacks
    }

    fn descriptors(&self) -> usize {
        self.options.borrow().descriptors
    }

    fn ephemeral_ports(&self) -> RangeInclusive<u16> {
        self.options.borrow().ephemeral_ports.clone()
    }
}

fn name(call: Call) -> &'static str {
    match call {
        Call::Read => "read",
        Call::Write => "write",
        Call::Receive => "receive",
        Call::Send => "send",
        Call::Accept => "accept",
        Call::Connect => "connect",
        Call::Open => "open",
    }
}
