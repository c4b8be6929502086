//~ as_buffered

use wharf::{BufferedProtocol, Protocol, Result, Transport};

pub struct Sly;

impl Protocol for Sly {
    fn data_received(&mut self, _: &dyn Transport, _: &[u8]) -> Result {
        Ok(())
    }

    fn as_buffered(&mut self) -> Option<&mut dyn BufferedProtocol> {
        None
    }
}
