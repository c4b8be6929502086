//~ `&dyn Transport` is not a `Transport`
//~ to keep it, keep `transport.handle()`, a `TransportHandle`

use wharf::{Protocol, Result, Transport};

pub struct Keeper {
    transport: Option<Box<dyn Transport>>,
}

impl Protocol for Keeper {
    fn connection_made(&mut self, transport: &dyn Transport) -> Result {
        self.transport = Some(Box::new(transport));
        Ok(())
    }

    fn data_received(&mut self, _: &dyn Transport, _: &[u8]) -> Result {
        Ok(())
    }
}
