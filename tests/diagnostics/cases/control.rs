//! A program without a mistake.

use wharf::{EventLoop, Protocol, Result, Transport, TransportHandle};

pub struct Keeper {
    pub transport: Option<TransportHandle>,
}

impl Protocol for Keeper {
    fn connection_made(&mut self, transport: &dyn Transport) -> Result {
        self.transport = Some(transport.handle());
        Ok(())
    }

    fn data_received(&mut self, _: &dyn Transport, _: &[u8]) -> Result {
        Ok(())
    }
}

pub async fn serve(event_loop: EventLoop) -> Result {
    event_loop.create_server(|| Keeper { transport: None }, "127.0.0.1:7000").await?;
    let remote = event_loop.remote();
    std::thread::spawn(move || remote.call_soon_threadsafe(|event_loop| event_loop.stop()));
    Ok(())
}
