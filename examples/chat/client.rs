//! The client for the terminal: what is typed goes to the server, what comes from there is shown.

use std::io::{self, Read, Write};

use wharf::{
    Connection, Error, EventLoop, LoopFuture, Promise, Protocol, Result, TlsClient, Transport,
};

/// Connects, and stays until the server ends the connection.
pub(crate) fn run(address: String, tls: Option<TlsClient>) -> Result {
    let event_loop = EventLoop::new()?;
    event_loop.run(async |event_loop| {
        let (ending, ended) = event_loop.create_future();
        let client = Client { ending: Some(ending), resuming: None, resumed: None };
        let mut connection = event_loop.create_connection(|| client, address);
        if let Some(tls) = tls {
            connection = connection.tls(tls);
        }
        let connection = connection.await?;
        let _sending = event_loop.create_task(async move {
            if send_standard_input(&connection).await.is_err() {
                connection.handle().close();
            }
        });
        ended.await??;
        Ok(())
    })
}

struct Client {
    /// Told how the connection ended.
    ending: Option<Promise<Result<(), String>>>,
    /// While the server takes nothing more: the promise that it does again, and who may wait for it.
    resuming: Option<Promise<()>>,
    resumed: Option<LoopFuture<()>>,
}

impl Protocol for Client {
    fn data_received(&mut self, _: &dyn Transport, data: &[u8]) -> Result {
        let mut screen = io::stdout();
        screen.write_all(data)?;
        screen.flush()?;
        Ok(())
    }

    fn pause_writing(&mut self, transport: &dyn Transport) -> Result {
        let (resuming, resumed) = transport.event_loop().create_future();
        (self.resuming, self.resumed) = (Some(resuming), Some(resumed));
        Ok(())
    }

    fn resume_writing(&mut self, _: &dyn Transport) -> Result {
        if let Some(resuming) = self.resuming.take() {
            // It says when nobody waits for it any more; that is fine here.
            let _ = resuming.set_result(());
        }
        Ok(())
    }

    fn connection_lost(&mut self, _: &dyn Transport, error: Option<&Error>) -> Result {
        let outcome = error.map_or(Ok(()), |error| Err(format!("the connection broke: {error}")));
        if let Some(ending) = self.ending.take() {
            let _ = ending.set_result(outcome);
        }
        Ok(())
    }
}

/// Sends what is typed, until its end. Reading a terminal blocks, so a thread of the loop's pool
/// does it, a piece at a time; and no more is read than the server takes, so that a whole book can
/// be pasted.
async fn send_standard_input(connection: &Connection<Client>) -> Result {
    let transport = connection.handle();
    let event_loop: EventLoop = transport.event_loop();
    loop {
        let input = event_loop.run_in_executor(read_standard_input).await??;
        if input.is_empty() {
            transport.write_eof();
            return Ok(());
        }
        transport.write(&input);
        if let Some(resumed) = connection.with(|client, _| client.resumed.take())? {
            resumed.await?;
        }
    }
}

fn read_standard_input() -> io::Result<Vec<u8>> {
    let mut input = vec![0; 4096];
    let count = io::stdin().read(&mut input)?;
    input.truncate(count);
    Ok(input)
}
