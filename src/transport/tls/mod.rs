//! TLS under a stream: the bytes of its protocol become records, and back.
//!
//! `session` is one side of TLS without any I/O, `layer` one or several of them on top of each
//! other, `work` what the loop has for all of them. The stream's part, where bytes meet the socket,
//! is in `stream/tls/`; what users configure is in `crate::tls`.

mod early_data;
mod hello;
mod info;
mod layer;
mod scratch;
mod session;
mod upgrade;
mod work;

#[cfg(all(test, feature = "tls"))]
mod tests;

pub use self::early_data::TlsEarlyData;
pub use self::info::TlsInfo;
pub use self::upgrade::TlsUpgrade;

pub(crate) use self::layer::{Layer, Opened};
pub(crate) use self::scratch::Scratch;
pub(crate) use self::session::{End, RECORD, is_panic_of_rustls};
pub(crate) use self::upgrade::{Leftover, Setup};
pub(crate) use self::work::TlsWork;
