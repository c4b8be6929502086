//~ `Echo` is not a `DatagramProtocol`
//~ a `Protocol` belongs to streams: `create_connection` and `create_server`

use wharf::{EventLoop, Protocol, Result, Transport};

pub struct Echo;

impl Protocol for Echo {
    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
        transport.write(data);
        Ok(())
    }
}

pub async fn open(event_loop: EventLoop) -> Result {
    event_loop.create_datagram_endpoint(|| Echo).local_address("127.0.0.1:7000").await?;
    Ok(())
}
