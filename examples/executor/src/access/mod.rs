//! Who may talk, and how: where a coordinator listens, TLS, and tokens.

mod connecting;
mod host;
mod listen;
#[cfg(test)]
mod tests;
mod tokens;

pub(crate) use connecting::under_tls;
pub(crate) use host::{host_of, is_local};
pub use listen::{InvalidListen, Listen};
pub use tokens::{Rights, Tokens};
pub(crate) use tokens::WRONG_TOKEN;
