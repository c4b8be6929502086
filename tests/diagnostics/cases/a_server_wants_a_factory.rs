//~ does not make protocols
//~ pass a closure that makes one, `|| MyProtocol::new()`

use wharf::{EventLoop, Protocol, Result, Transport};

pub struct Echo;

impl Protocol for Echo {
    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
        transport.write(data);
        Ok(())
    }
}

pub async fn serve(event_loop: EventLoop) -> Result {
    event_loop.create_server(Echo, "127.0.0.1:7000").await?;
    Ok(())
}
