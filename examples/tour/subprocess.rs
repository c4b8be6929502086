//! The echo as a child process: what is written to `cat` comes back.

use wharf::{
    ChildFd, Error, EventLoop, ProcessProtocol, ProcessTransport, Protocol, Result, TransportHandle,
};

use super::client::{Client, Outcome, Workload};

pub(crate) fn through_cat(workload: Workload) -> Result<Outcome> {
    EventLoop::new()?.run(async |event_loop| {
        let connect = async |client| {
            let cat = || Cat { client, input: None };
            Ok(event_loop.subprocess_exec(cat, "cat").await?)
        };
        workload.run(&event_loop, connect).await
    })
}

/// Joins the client to both pipes of a child: it writes to one and receives from the other.
struct Cat {
    client: Client,
    input: Option<TransportHandle>,
}

impl ProcessProtocol for Cat {
    fn connection_made(&mut self, process: &dyn ProcessTransport) -> Result {
        let input = process.pipe_transport(ChildFd::STDIN).ok_or("standard input is no pipe")?;
        self.client.connection_made(self.input.insert(input))
    }

    fn pipe_data_received(&mut self, _: &dyn ProcessTransport, fd: ChildFd, data: &[u8]) -> Result {
        match &self.input {
            Some(input) if fd == ChildFd::STDOUT => self.client.data_received(input, data),
            _ => Err("cat complains".into()),
        }
    }

    /// The client closes its transport when it is done; that ends the child.
    fn connection_lost(&mut self, _: &dyn ProcessTransport, error: Option<&Error>) -> Result {
        match &self.input {
            Some(input) => self.client.connection_lost(input, error),
            None => Ok(()),
        }
    }
}
