//! How each transport is set up: only this differs from one to the next.

use std::io;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use wharf::testing::{MemoryNetwork, pair};
use wharf::{
    Error, EventLoop, Protocol, Result, TlsClient, TlsIdentity, TlsServer, TlsVersion, Transport,
    TransportHandle,
};

use super::Echo;
use super::client::{Client, Outcome, Workload};

/// How long the server's ends of the connections have to close; they do so at once.
const GRACE: Duration = Duration::from_secs(5);

pub(crate) fn tcp(workload: Workload) -> Result<Outcome> {
    EventLoop::new()?
        .run(async |event_loop| over_address(event_loop, "127.0.0.1:0", workload).await)
}

pub(crate) fn unix(workload: Workload) -> Result<Outcome> {
    let path = std::env::temp_dir().join(format!("wharf-tour-{}", std::process::id()));
    EventLoop::new()?.run(async |event_loop| {
        let server = event_loop.create_unix_server(|| Echo, &path).await?;
        let connect =
            async |client| Ok(event_loop.create_unix_connection(|| client, &path).await?);
        let outcome = workload.run(&event_loop, connect).await?;
        server.shutdown(GRACE).await?;
        Ok(outcome)
    })
}

/// TLS 1.3 between the bytes and the socket: what is written and received stays the same.
pub(crate) fn tls_over_tcp(workload: Workload) -> Result<Outcome> {
    let (client, server) = tls_1_3()?;
    EventLoop::new()?.run(async |event_loop| {
        let server = event_loop.create_server(|| Echo, "127.0.0.1:0").tls(server).await?;
        let address = server.local_address()?;
        let connect = async |echoed| {
            Ok(event_loop.create_connection(|| echoed, &address).tls(&client).await?)
        };
        let outcome = workload.run(&event_loop, connect).await?;
        server.shutdown(GRACE).await?;
        Ok(outcome)
    })
}

/// The same over a Unix socket: TLS does not mind what carries it.
pub(crate) fn tls_over_unix(workload: Workload) -> Result<Outcome> {
    let path = std::env::temp_dir().join(format!("wharf-tour-tls-{}", std::process::id()));
    let (client, server) = tls_1_3()?;
    EventLoop::new()?.run(async |event_loop| {
        let server = event_loop.create_unix_server(|| Echo, &path).tls(server).await?;
        let connect = async |echoed| {
            Ok(event_loop.create_unix_connection(|| echoed, &path).tls(&client).await?)
        };
        let outcome = workload.run(&event_loop, connect).await?;
        server.shutdown(GRACE).await?;
        Ok(outcome)
    })
}

/// A certificate and its key, for `localhost` until 2120.
const IDENTITY: &str = include_str!("localhost.pem");

/// A server with the tour's certificate, and a client that trusts this certificate alone.
fn tls_1_3() -> Result<(TlsClient, TlsServer)> {
    let client = TlsClient::builder().pin_certificate_pem(IDENTITY).min_version(TlsVersion::Tls13);
    let identity = TlsIdentity::from_pem(IDENTITY, IDENTITY);
    let server = TlsServer::builder().identity(identity).build()?;
    Ok((client.build()?.server_name("localhost"), server))
}

/// Sockets that are connected from the beginning.
pub(crate) fn socket_pair(workload: Workload) -> Result<Outcome> {
    EventLoop::new()?.run(async |event_loop| {
        let connect = async |client| {
            let (near, far) = UnixStream::pair()?;
            event_loop.connect_accepted_socket(|| Echo, far).await?;
            Ok(event_loop.create_connection_on(|| client, near).await?)
        };
        workload.run(&event_loop, connect).await
    })
}

/// Two pipes for each client, as a pipe goes one way: the echo reads the one and writes the other.
pub(crate) fn pipes(workload: Workload) -> Result<Outcome> {
    EventLoop::new()?.run(async |event_loop| {
        let connect = async |client: Client| {
            let (requests, to_echo) = io::pipe()?;
            let (answers, to_client) = io::pipe()?;
            let output = event_loop.connect_write_pipe(|| Output, to_client).await?;
            let echo = PipeEcho { output: output.handle().clone() };
            event_loop.connect_read_pipe(|| echo, requests).await?;
            let output = event_loop.connect_write_pipe(|| Output, to_echo).await?;
            let client = client.writing_to(output.handle().clone());
            Ok(event_loop.connect_read_pipe(|| client, answers).await?)
        };
        workload.run(&event_loop, connect).await
    })
}

/// Two protocols joined without a socket, on an ordinary loop.
pub(crate) fn memory_pair(workload: Workload) -> Result<Outcome> {
    EventLoop::new()?.run(async |event_loop| {
        let connect = async |client| {
            let (client, _echo) = pair(&event_loop, 64 * 1024, client, Echo)?;
            Ok(client)
        };
        workload.run(&event_loop, connect).await
    })
}

/// A whole network in memory, with a clock of its own: what protocols are tested on.
pub(crate) fn memory_network(workload: Workload) -> Result<Outcome> {
    MemoryNetwork::new()
        .event_loop()
        .run(async |event_loop| over_address(event_loop, "192.0.2.1:7", workload).await)
}

/// The same code serves and connects on any loop.
async fn over_address(event_loop: EventLoop, address: &str, workload: Workload) -> Result<Outcome> {
    let server = event_loop.create_server(|| Echo, address).await?;
    let address = server.local_address()?;
    let connect = async |client| Ok(event_loop.create_connection(|| client, &address).await?);
    let outcome = workload.run(&event_loop, connect).await?;
    server.shutdown(GRACE).await?;
    Ok(outcome)
}

/// The echo over two pipes.
struct PipeEcho {
    output: TransportHandle,
}

impl Protocol for PipeEcho {
    fn data_received(&mut self, _: &dyn Transport, data: &[u8]) -> Result {
        self.output.write(data);
        Ok(())
    }

    fn connection_lost(&mut self, _: &dyn Transport, _: Option<&Error>) -> Result {
        self.output.close();
        Ok(())
    }
}

/// What is only written to. (The clients keep few messages on their way: nobody has to be paused.)
struct Output;

impl Protocol for Output {
    fn data_received(&mut self, _: &dyn Transport, _: &[u8]) -> Result {
        Err("a write pipe is not read".into())
    }
}
