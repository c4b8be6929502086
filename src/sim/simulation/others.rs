//! Loops that are no host's.

use super::Simulation;
use crate::driver::memory::Machine;
use crate::sim::host::OTHERS;
use crate::testing::MemoryNetwork;

impl Simulation {
    /// A network for loops that are no host's, as tests have them that know nothing of simulations: such a test runs under
    /// the faults of links and kernels, and in any order, if its network is this one.
    ///
    /// Its loops share the simulation's clock. They are at every address that no host has, as on any [`MemoryNetwork`],
    /// and all that passes between two addresses, be they the same, passes over a link, which has the options that
    /// [`links`](Self::links) says. Their kernel is what [`kernels`](Self::kernels) says when this is called. Faults that
    /// name hosts do nothing to them, and what they send is not in the [trace](Self::trace).
    ///
    /// ```
    /// use std::time::Duration;
    /// use wharf::Transport as _;
    /// use wharf::sim::{LinkOptions, Simulation};
    /// use wharf::testing::Record;
    ///
    /// # fn main() -> wharf::Result {
    /// let simulation = Simulation::new(7);
    /// let ms = Duration::from_millis(1);
    /// simulation.links(LinkOptions::new().latency(ms..=20 * ms).split(0.5));
    /// let event_loop = simulation.memory_network().event_loop();
    /// let record = Record::new();
    /// let (server, client) = (record.factory(), Record::new().protocol());
    /// let client = event_loop.run(async |event_loop| {
    ///     event_loop.create_server(server, "10.1.1.1:7").await?;
    ///     Ok(event_loop.create_connection(|| client, "10.1.1.1:7").await?)
    /// })?;
    /// client.write(&[7; 10_000]);
    /// simulation.settle()?;
    /// assert_eq!(record.received().len(), 10_000);
    /// # Ok(())
    /// # }
    /// ```
    pub fn memory_network(&self) -> MemoryNetwork {
        let shared = &self.shared;
        let kernel = shared.kernels.of_host(OTHERS, shared.random.fork());
        Machine::shared(shared.network.clone()).set_kernel(kernel);
        shared.links.add_others();
        MemoryNetwork::of(shared.network.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;
    use std::time::Duration;

    use crate::error::Result;
    use crate::protocol::Protocol;
    use crate::sim::{KernelFault, KernelOptions, LinkOptions, Simulation};
    use crate::testing::{Record, pair};
    use crate::transport::Transport;

    const MS: Duration = Duration::from_millis(1);

    /// In how many pieces how much has come.
    #[derive(Clone, Default)]
    struct Pieces(Rc<Cell<(usize, usize)>>);

    impl Protocol for Pieces {
        fn data_received(&mut self, _: &dyn Transport, data: &[u8]) -> Result {
            let (pieces, length) = self.0.get();
            self.0.set((pieces + 1, length + data.len()));
            Ok(())
        }
    }

    /// In how many pieces comes what is sent over a link, and over a pair, and after how long.
    fn sent(links: LinkOptions, kernels: KernelOptions) -> ([usize; 2], Duration) {
        let simulation = Simulation::new(3);
        simulation.links(links);
        simulation.kernels(kernels);
        let event_loop = simulation.memory_network().event_loop();
        let (served, paired) = (Pieces::default(), Pieces::default());
        let own = served.clone();
        let client = event_loop
            .run(async |event_loop| {
                event_loop.create_server(move || own.clone(), "192.0.2.1:7").await?;
                let made = || Record::new().protocol();
                Ok(event_loop.create_connection(made, "192.0.2.1:7").await?)
            })
            .unwrap();
        let near = Record::new().protocol();
        let (near, _far) = pair(&event_loop, 1000, near, paired.clone()).unwrap();
        client.write(&[7; 1000]);
        near.write(&[8; 1000]);
        simulation.settle().unwrap();
        let [served, paired] = [served, paired].map(|pieces| pieces.0.get());
        assert_eq!((served.1, paired.1), (1000, 1000));
        ([served.0, paired.0], simulation.elapsed())
    }

    #[test]
    fn loops_without_hosts_meet_the_faults_of_links_and_kernels() {
        let at_once = || LinkOptions::new().latency(Duration::ZERO..=Duration::ZERO);
        assert_eq!(sent(at_once(), KernelOptions::new()), ([1, 1], Duration::ZERO));
        let slow = LinkOptions::new().latency(MS..=MS).split(0.9);
        let (pieces, elapsed) = sent(slow, KernelOptions::new());
        assert!(pieces[0] > 1 && pieces[1] == 1, "a pair has no link: {pieces:?}");
        // There and back, and there.
        assert_eq!(elapsed, 3 * MS);
        let short = KernelOptions::new().fault(KernelFault::ShortReads, 0.9);
        let (pieces, elapsed) = sent(at_once(), short);
        assert!(pieces[0] > 1 && pieces[1] > 1 && elapsed > Duration::ZERO, "{pieces:?}");
    }
}
