//! The smallest server: it sends back whatever it receives.
use wharf::{EventLoop, Protocol, Result, Transport};

struct Echo;

impl Protocol for Echo {
    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
        transport.write(data);
        Ok(())
    }
}

fn main() -> Result {
    let event_loop = EventLoop::new()?;
    event_loop.run(async |event_loop| {
        let server = event_loop.create_server(|| Echo, "127.0.0.1:0").await?;
        println!("listening on {}", server.addresses()[0]);
        let closing = server.clone();
        event_loop.add_signal_handler(15, move || closing.close())?;
        server.serve_forever().await?;
        server.shutdown(std::time::Duration::from_secs(5)).await?;
        Ok(())
    })
}
