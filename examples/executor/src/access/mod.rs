//! Who may talk, and how: where a coordinator listens, TLS, and tokens.

mod connecting;
mod listen;
#[cfg(test)]
mod tests;
mod tokens;

pub(crate) use connecting::under_tls;
pub use listen::{InvalidListen, Listen};
pub use tokens::{Rights, Tokens};
