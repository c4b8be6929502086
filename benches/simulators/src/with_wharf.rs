//! On wharf: a protocol that echoes, and streams.

use wharf::sim::{LinkOptions, Simulation};
use wharf::{EventLoop, Protocol, Transport};

use crate::{LATENCY, LENGTH, Result, Scenario};

pub(crate) fn run(seed: u64, scenario: Scenario) -> Result {
    let Scenario { clients, round_trips, .. } = scenario;
    let simulation = Simulation::new(seed);
    simulation.links(LinkOptions::new().latency(LATENCY[0]..=LATENCY[1]));
    simulation.host("server").serve(async |event_loop| {
        let server = event_loop.create_server(|| Echo, "0.0.0.0:7").await?;
        Ok(server.wait_closed().await?)
    });
    for number in 0..clients {
        let client = simulation.host(&format!("client{number}"));
        client.start(async move |event_loop| converse(&event_loop, round_trips).await);
    }
    simulation.run()?;
    Ok(())
}

async fn converse(event_loop: &EventLoop, round_trips: usize) -> wharf::Result {
    let (mut reader, writer) = event_loop.open_connection("server:7").await?;
    for _ in 0..round_trips {
        writer.write_all(&[b'x'; LENGTH]).await?;
        reader.read_exactly(LENGTH).await?;
    }
    Ok(())
}

struct Echo;

impl Protocol for Echo {
    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> wharf::Result {
        transport.write(data);
        Ok(())
    }
}
