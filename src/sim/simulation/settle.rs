//! Running until nothing is on its way.

use super::Simulation;
use crate::error::Result;
use crate::testing;

impl Simulation {
    /// Runs until nothing is on its way over links and no host has anything to do at this moment: what was sent has
    /// arrived, or been lost for good, and was answered. Timers go off if their time comes before that; nobody waits for
    /// them otherwise.
    ///
    /// For a test that looks at what its hosts have become. What waits for a link to be
    /// [joined](crate::sim::Fault::Join) is waited for as long as any timer of the simulation is left that may do so.
    ///
    /// ```
    /// use std::time::Duration;
    /// use wharf::Transport as _;
    /// use wharf::sim::Simulation;
    /// use wharf::testing::Record;
    ///
    /// # fn main() -> wharf::Result {
    /// let simulation = Simulation::new(7);
    /// let record = Record::new();
    /// let factory = record.clone();
    /// let server = simulation.host("server");
    /// server.serve(async move |event_loop| {
    ///     event_loop.create_server(factory.factory(), "0.0.0.0:7").await?.serve_forever().await?;
    ///     Ok(())
    /// });
    /// let client = simulation.host("client").run(async |event_loop| {
    ///     Ok(event_loop.create_connection(|| Record::new().protocol(), "server:7").await?)
    /// })?;
    /// client.write(b"hello");
    /// simulation.settle()?;
    /// assert_eq!(record.received(), b"hello");
    /// assert_eq!(simulation.elapsed(), Duration::from_millis(3));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn settle(&self) -> Result {
        #[cfg(feature = "tls")]
        let _lent = crate::sim::tls::lend(&self.shared.cryptographic);
        let director = self.begin()?;
        let limit = self.shared.limit.get();
        loop {
            testing::settle(&director)?;
            self.take_failure()?;
            if !self.shared.network.is_anything_on_its_way() {
                return Ok(());
            }
            let core = director.core();
            let Some(driver) = core.driver.memory() else { return Ok(()) };
            let own = core.timers.borrow().next_wakeup().map(|wakeup| core.instant(wakeup));
            let Some(next) = own.into_iter().chain(driver.next_event_of_others()).min() else {
                return Ok(());
            };
            driver.clock().advance_to(next);
            if self.elapsed() > limit {
                return Err(format!("something was still on its way after {limit:?}").into());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::sim::{Fault, LinkOptions, Simulation};
    use crate::testing::{Record, RecordingProtocol};
    use crate::transport::{Connection, Transport as _};

    const MS: Duration = Duration::from_millis(1);

    fn joined(simulation: &Simulation) -> (Connection<RecordingProtocol>, Record) {
        let record = Record::new();
        let kept = record.clone();
        let server = simulation.host("server");
        server.serve(async move |event_loop| {
            let server = event_loop.create_server(kept.factory(), "0.0.0.0:7").await?;
            server.serve_forever().await?;
            Ok(())
        });
        let connect = async |event_loop: crate::EventLoop| {
            Ok(event_loop.create_connection(|| Record::new().protocol(), "server:7").await?)
        };
        (simulation.host("client").run(connect).unwrap(), record)
    }

    #[test]
    fn a_simulation_settles_when_all_has_arrived_and_waits_for_no_timer() {
        let simulation = Simulation::new(4);
        simulation.links(LinkOptions::new().latency(MS..=20 * MS).loss(0.2).split(0.5));
        let (client, record) = joined(&simulation);
        client.handle().event_loop().call_later(3_600_000 * MS, || panic!("nobody waits for it"));
        client.write(&[7; 100_000]);
        simulation.settle().unwrap();
        assert_eq!(record.received().len(), 100_000);
        let now = simulation.elapsed();
        assert!(now < 60_000 * MS, "{now:?}");
        simulation.settle().unwrap();
        assert_eq!(simulation.elapsed(), now, "nothing was on its way");
    }

    #[test]
    fn what_waits_for_a_link_is_waited_for_while_anything_may_join_it() {
        let simulation = Simulation::new(1);
        let (client, record) = joined(&simulation);
        let clog = Fault::Clog("client".into(), "server".into());
        simulation.apply(&clog);
        client.write(b"held");
        simulation.settle().unwrap();
        assert_eq!((record.received(), simulation.elapsed()), (vec![], 2 * MS));
        simulation.after(5 * MS, |simulation| simulation.apply(&Fault::Heal));
        simulation.settle().unwrap();
        assert_eq!((record.received(), simulation.elapsed()), (b"held".to_vec(), 8 * MS));
    }
}
