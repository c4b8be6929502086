//! The client with standard input and output, whatever they are.

use wharf::{EventLoop, Result, TlsClient};

use super::client::{Desk, Keyboard, Screen, take_part};

/// Connects, and stays until the connection ends: an error unless this side wanted it to.
pub(crate) fn run(address: String, tls: Option<TlsClient>) -> Result {
    EventLoop::new()?
        .run(async |event_loop| take_part(&event_loop, address, tls, &StandardStreams).await)
}

struct StandardStreams;

impl Desk for StandardStreams {
    async fn connect_screen(&self, event_loop: &EventLoop, screen: Screen) -> Result {
        event_loop.connect_stdout(|| screen).await?;
        Ok(())
    }

    async fn connect_keyboard(&self, event_loop: &EventLoop, keyboard: Keyboard) -> Result {
        event_loop.connect_stdin(|| keyboard).await?;
        Ok(())
    }
}
