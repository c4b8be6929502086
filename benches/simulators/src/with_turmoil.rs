//! On turmoil, as its documentation does it: a task for each connection.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use turmoil::net::{TcpListener, TcpStream};

use crate::{LATENCY, LENGTH, Result, Scenario};

pub(crate) fn run(seed: u64, scenario: Scenario) -> Result {
    let Scenario { clients, round_trips, .. } = scenario;
    let mut simulation = turmoil::Builder::new()
        .rng_seed(seed)
        .min_message_latency(LATENCY[0])
        .max_message_latency(LATENCY[1])
        .tcp_capacity(clients.max(64))
        .simulation_duration(Duration::from_secs(24 * 60 * 60))
        .build();
    simulation.host("server", async || {
        let listener = TcpListener::bind("0.0.0.0:7").await?;
        loop {
            let (connection, _) = listener.accept().await?;
            tokio::spawn(echo(connection));
        }
    });
    for number in 0..clients {
        simulation.client(format!("client{number}"), async move {
            let mut connection = TcpStream::connect("server:7").await?;
            let mut answer = [0; LENGTH];
            for _ in 0..round_trips {
                connection.write_all(&[b'x'; LENGTH]).await?;
                connection.read_exact(&mut answer).await?;
            }
            Ok(())
        });
    }
    simulation.run()
}

async fn echo(mut connection: TcpStream) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = connection.read(&mut buffer).await {
        if connection.write_all(&buffer[..count]).await.is_err() {
            break;
        }
    }
}
