//~ `Frames` is not a `Protocol`
//~ a `BufferedProtocol` as `Buffered(x)`

use wharf::{BufferedProtocol, EventLoop, Result, Transport};

pub struct Frames([u8; 64]);

impl BufferedProtocol for Frames {
    fn get_buffer(&mut self, _: &dyn Transport, _: usize) -> Result<&mut [u8]> {
        Ok(&mut self.0)
    }

    fn buffer_updated(&mut self, _: &dyn Transport, _: usize) -> Result {
        Ok(())
    }
}

pub async fn connect(event_loop: EventLoop) -> Result {
    event_loop.create_connection(|| Frames([0; 64]), "127.0.0.1:7000").await?;
    Ok(())
}
