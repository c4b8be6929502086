//! WebSockets for `async` code.

mod channel;
mod halves;
mod open;
#[cfg(test)]
mod tests;

pub use channel::OwnedMessage;
pub use halves::{WebSocketReader, WebSocketStream, WebSocketWriter};
