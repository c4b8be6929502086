/// What the two ends have agreed upon in the opening handshake.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Agreed {
    /// The sub-protocol, if one was chosen (RFC 6455, 1.9).
    pub protocol: Option<String>,
}
