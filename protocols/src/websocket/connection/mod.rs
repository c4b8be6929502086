//! WebSockets on a transport.

#[cfg(test)]
mod autobahn_tests;
mod keep_alive;
mod options;
#[cfg(test)]
mod peer;
mod protocol;
mod session;
mod socket;

pub use options::WebSocketOptions;
pub use protocol::WebSocketProtocol;
pub use session::WebSocketSession;
pub use socket::{Closure, WebSocket};
