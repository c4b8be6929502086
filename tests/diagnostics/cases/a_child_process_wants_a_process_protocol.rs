//~ `Echo` is not a `ProcessProtocol`
//~ give its pipes to `connect_pipes`

use wharf::{EventLoop, Protocol, Result, Transport};

pub struct Echo;

impl Protocol for Echo {
    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
        transport.write(data);
        Ok(())
    }
}

pub async fn start(event_loop: EventLoop) -> Result {
    event_loop.subprocess_exec(|| Echo, "cat", ["-"]).await?;
    Ok(())
}
