//! The proof that a server speaks WebSocket (RFC 6455, 1.3 and 4.2.2).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1_smol::Sha1;

/// The `Sec-WebSocket-Accept` to a `Sec-WebSocket-Key`.
pub(super) fn accept(key: &str) -> String {
    let mut hash = Sha1::from(key);
    hash.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    STANDARD.encode(hash.digest().bytes())
}

/// A `Sec-WebSocket-Key`.
pub(super) fn encode(nonce: [u8; 16]) -> String {
    STANDARD.encode(nonce)
}

/// Whether it is the base64 of 16 bytes.
pub(super) fn is_valid(key: &str) -> bool {
    key.len() == 24 && STANDARD.decode(key).is_ok_and(|nonce| nonce.len() == 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_rfc() {
        assert_eq!(accept("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert_eq!(encode(*b"the sample nonce"), "dGhlIHNhbXBsZSBub25jZQ==");
    }

    #[test]
    fn keys() {
        assert!(is_valid("dGhlIHNhbXBsZSBub25jZQ=="));
        for key in [
            "",
            "dGhlIHNhbXBsZSBub25jZQ",
            "dGhlIHNhbXBsZSBub25jZQ=a",
            "dGhlIHNhbXBsZSBub25jZSE=",
            "dGhlIHNhbXBsZSBub25jZR==",
        ] {
            assert!(!is_valid(key), "{key}");
        }
    }
}
