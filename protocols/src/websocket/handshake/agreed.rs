/// What the two ends have agreed upon in the opening handshake.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Agreed {
    /// The sub-protocol, if one was chosen (RFC 6455, 1.9).
    pub protocol: Option<String>,
    /// How messages are compressed, if they are.
    #[cfg(feature = "websocket-deflate")]
    #[cfg_attr(docsrs, doc(cfg(feature = "websocket-deflate")))]
    pub deflate: Option<crate::websocket::DeflateParameters>,
}
