//! Who may talk, and how: where a coordinator listens, how connections are probed, TLS, and tokens.

mod connecting;
mod host;
mod listen;
#[cfg(test)]
mod tests;
mod tokens;

pub use connecting::KEEPALIVE;
pub(crate) use connecting::prepare;
pub(crate) use host::{host_of, is_local};
pub use listen::{InvalidListen, Listen};
pub(crate) use tokens::WRONG_TOKEN;
pub use tokens::{Rights, Tokens};
