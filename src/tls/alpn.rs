//! Names of application protocols (RFC 7301).

use crate::error::Error;

/// Refuses what the wire has no room for: a name is 1 to 255 bytes, the list less than 64 KiB.
pub(super) fn checked(protocols: &[Vec<u8>]) -> Result<Vec<Vec<u8>>, Error> {
    for protocol in protocols {
        if protocol.is_empty() {
            return Err(Error::invalid("an ALPN protocol name is empty"));
        }
        if protocol.len() > 255 {
            let text =
                format!("an ALPN protocol name has {} bytes; at most 255 fit", protocol.len());
            return Err(Error::invalid(text));
        }
    }
    let length: usize = protocols.iter().map(|protocol| 1 + protocol.len()).sum();
    if length > usize::from(u16::MAX) - 2 {
        return Err(Error::invalid("the ALPN protocol names are too many"));
    }
    Ok(protocols.to_vec())
}
