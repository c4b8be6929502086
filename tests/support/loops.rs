//! Where the loops of tests come from: the operating system and networks in memory, or a simulation in place of both.
//!
//! `WHARF_SIM_CONTRACT=seed` in the environment chooses the simulation, with the feature `sim`. What comes of it is for a
//! process that does nothing but run tests: simulations live as long as their thread does.

use wharf::testing::MemoryNetwork;
use wharf::{Error, EventLoop};

#[cfg(feature = "sim")]
pub use self::simulated::SEED;

/// A network in memory.
pub fn network() -> MemoryNetwork {
    #[cfg(feature = "sim")]
    if let Some(seed) = simulated::seed() {
        return simulated::network(seed);
    }
    MemoryNetwork::new()
}

/// A loop on a network of its own.
pub fn memory_loop() -> EventLoop {
    network().event_loop()
}

/// A loop of the operating system.
pub fn system_loop() -> EventLoop {
    #[cfg(feature = "sim")]
    if simulated::seed().is_some() {
        return memory_loop();
    }
    EventLoop::new().expect("a loop")
}

/// As [`wharf::testing::settle`]. In a simulation nothing is on its way any more, either, for which time passes.
pub fn settle(event_loop: &EventLoop) -> Result<(), Error> {
    wharf::testing::settle(event_loop)?;
    #[cfg(feature = "sim")]
    simulated::settle()?;
    Ok(())
}

/// Whether this is a simulation: a loop that is at rest is not the end of it.
pub fn are_simulated() -> bool {
    #[cfg(feature = "sim")]
    if simulated::seed().is_some() {
        return true;
    }
    false
}

#[cfg(feature = "sim")]
mod simulated {
    use std::cell::RefCell;
    use std::sync::LazyLock;
    use std::time::Duration;

    use wharf::Error;
    use wharf::sim::{KernelFault, KernelOptions, LinkOptions, Simulation};
    use wharf::testing::MemoryNetwork;

    /// The variable with the seed.
    pub const SEED: &str = "WHARF_SIM_CONTRACT";

    /// Longer than any test lasts.
    const LIMIT: Duration = Duration::from_secs(1_000_000_000);

    thread_local! {
        /// All of this thread.
        static SIMULATIONS: RefCell<Vec<Simulation>> = const { RefCell::new(Vec::new()) };
    }

    pub(super) fn seed() -> Option<u64> {
        static GIVEN: LazyLock<Option<u64>> = LazyLock::new(|| {
            std::env::var(SEED).ok().map(|text| text.parse().expect("a seed is a number"))
        });
        *GIVEN
    }

    /// That of a new simulation, in which everything takes its time and comes in pieces, but nothing is lost.
    pub(super) fn network(seed: u64) -> MemoryNetwork {
        let simulation = Simulation::new(seed);
        simulation.limit(LIMIT).patience(10_000_000);
        let random = simulation.random().fork();
        let micros = |most: usize| Duration::from_micros(random.below(most) as u64);
        let least = micros(1_000);
        let options = LinkOptions::new().latency(least..=least + micros(2_000)).split(0.3);
        simulation.links(options);
        let faults = [
            KernelFault::ShortReads,
            KernelFault::ShortWrites,
            KernelFault::WouldBlock,
            KernelFault::SpuriousReadiness,
        ];
        let with_fault = |options: KernelOptions, fault| {
            options.fault(fault, if random.chance(0.5) { 0.3 } else { 0.0 })
        };
        simulation.kernels(faults.into_iter().fold(KernelOptions::new(), with_fault));
        let network = simulation.memory_network();
        SIMULATIONS.with_borrow_mut(|simulations| simulations.push(simulation.clone()));
        // Its end would be the end of its clock.
        std::mem::forget(simulation);
        network
    }

    pub(super) fn settle() -> Result<(), Error> {
        for simulation in SIMULATIONS.with_borrow(Clone::clone) {
            simulation.settle()?;
        }
        Ok(())
    }
}
