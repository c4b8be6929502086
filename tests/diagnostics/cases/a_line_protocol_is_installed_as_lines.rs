//~ `Shout` is not a `Protocol`
//~ the protocol of a stream has to implement `wharf::Protocol`
//~ a `LineProtocol` is installed as `Lines::new(x)`

use wharf::{EventLoop, Result, Transport};

/// As in `wharf_protocols::line`.
pub trait LineProtocol {
    fn line_received(&mut self, transport: &dyn Transport, line: &[u8]) -> Result;
}

pub struct Shout;

impl LineProtocol for Shout {
    fn line_received(&mut self, transport: &dyn Transport, line: &[u8]) -> Result {
        transport.write(line);
        Ok(())
    }
}

pub async fn serve(event_loop: EventLoop) -> Result {
    event_loop.create_server(|| Shout, "127.0.0.1:7000").await?;
    Ok(())
}
