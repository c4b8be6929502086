//~ `Shout` is not a `Protocol`
//~ the protocol of a stream has to implement `wharf::Protocol`
//~ a `FrameProtocol` is installed as `Framed::new(x, decoder)`

use wharf::{EventLoop, Result, Transport};

/// As in `wharf_protocols::framing`.
pub trait FrameProtocol {
    fn frame_received(&mut self, transport: &dyn Transport, frame: &[u8]) -> Result;
}

pub struct Shout;

impl FrameProtocol for Shout {
    fn frame_received(&mut self, transport: &dyn Transport, frame: &[u8]) -> Result {
        transport.write(frame);
        Ok(())
    }
}

pub async fn serve(event_loop: EventLoop) -> Result {
    event_loop.create_server(|| Shout, "127.0.0.1:7000").await?;
    Ok(())
}
