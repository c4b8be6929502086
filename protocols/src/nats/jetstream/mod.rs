//! JetStream.

mod error;

pub use error::ApiError;
