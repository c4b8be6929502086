//~ `Echo` is not a `BufferedProtocol`
//~ a type that implements `Protocol` is installed as it is, without `Buffered`

use wharf::{Buffered, EventLoop, Protocol, Result, Transport};

pub struct Echo;

impl Protocol for Echo {
    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
        transport.write(data);
        Ok(())
    }
}

pub async fn connect(event_loop: EventLoop) -> Result {
    event_loop.create_connection(|| Buffered(Echo), "127.0.0.1:7000").await?;
    Ok(())
}
