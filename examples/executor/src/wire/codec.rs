use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The longest message, in bytes of JSON: four times the largest arguments.
pub const MAX_LENGTH: usize = 4 * 1024 * 1024;

/// A message that is not one, or too long.
#[derive(Debug)]
pub struct WireError(Box<str>);

/// A message from its JSON.
///
/// # Errors
/// It is none.
pub fn decode<M: DeserializeOwned>(json: &[u8]) -> Result<M, WireError> {
    serde_json::from_slice(json).map_err(|error| WireError(error.to_string().into()))
}

/// The JSON of a message, into an empty buffer.
///
/// # Errors
/// It is longer than [`MAX_LENGTH`].
pub fn encode(message: &impl Serialize, buffer: &mut Vec<u8>) -> Result<(), WireError> {
    buffer.clear();
    serde_json::to_writer(&mut *buffer, message)
        .map_err(|error| WireError(error.to_string().into()))?;
    WireError::check_length(buffer.len()).map(drop)
}

impl WireError {
    pub(super) fn new(text: String) -> Self {
        Self(text.into())
    }

    /// The length of a message, as it is written before it.
    pub(super) fn check_length(length: usize) -> Result<u32, Self> {
        match u32::try_from(length) {
            Ok(fits) if length <= MAX_LENGTH => Ok(fits),
            _ => {
                Err(Self::new(format!("a message of {length} bytes, which may have {MAX_LENGTH}")))
            }
        }
    }
}

impl fmt::Display for WireError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for WireError {}
