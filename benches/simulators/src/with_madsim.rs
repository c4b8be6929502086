//! On madsim, as its documentation does it: a node for each host, a task for each connection.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use madsim::net::{TcpListener, TcpStream};
use madsim::runtime::Runtime;
use madsim::task;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Barrier;

use crate::{LATENCY, LENGTH, Result, Scenario};

const SERVER: &str = "10.0.0.1:7";

pub(crate) fn run(seed: u64, scenario: Scenario) -> Result {
    let Scenario { clients, round_trips, .. } = scenario;
    let mut config = madsim::Config::default();
    config.net.send_latency = LATENCY[0]..LATENCY[1];
    let runtime = Runtime::with_seed_and_config(seed, config);
    let node = |number: u16| {
        let [high, low] = number.to_be_bytes();
        runtime.create_node().ip(IpAddr::from([10, 0, high, low])).build()
    };
    let server = node(1);
    let nodes: Vec<_> = (0..clients).map(|number| node(2 + number as u16)).collect();
    runtime.block_on(async move {
        let listens = Arc::new(Barrier::new(2));
        server.spawn(serve(Arc::clone(&listens)));
        listens.wait().await;
        let running: Vec<_> = nodes.iter().map(|node| node.spawn(converse(round_trips))).collect();
        for client in running {
            client.await??;
        }
        Ok(())
    })
}

async fn serve(listens: Arc<Barrier>) -> io::Result<()> {
    let listener = TcpListener::bind(SERVER).await?;
    listens.wait().await;
    loop {
        let (connection, _) = listener.accept().await?;
        task::spawn(echo(connection));
    }
}

async fn echo(mut connection: TcpStream) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let count = connection.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        connection.write_all(&buffer[..count]).await?;
        connection.flush().await?;
    }
}

async fn converse(round_trips: usize) -> io::Result<()> {
    let mut connection = TcpStream::connect(SERVER).await?;
    let mut answer = [0; LENGTH];
    for _ in 0..round_trips {
        connection.write_all(&[b'x'; LENGTH]).await?;
        connection.flush().await?;
        connection.read_exact(&mut answer).await?;
    }
    Ok(())
}
