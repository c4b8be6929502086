use std::time::Duration;

use crate::websocket::{
    Agreed, DEFAULT_MAX_FRAGMENTS, DEFAULT_MAX_MESSAGE_LENGTH, MessageDecoder, MessageEncoder,
    PartDecoder, Role,
};

/// Limits, deadlines and ways of a WebSocket. Those of a server are shared by its connections.
///
/// ```
/// use std::time::Duration;
/// use wharf_protocols::websocket::WebSocketOptions;
///
/// let options = WebSocketOptions::new().max_message_length(16 << 20).ping_interval(Duration::from_secs(60));
/// # let _ = options;
/// ```
#[derive(Clone, Debug)]
pub struct WebSocketOptions {
    max_message_length: usize,
    max_frame_length: usize,
    max_fragments: u32,
    max_fragment_length: usize,
    pub(super) gives_parts: bool,
    pub(in crate::websocket) opening_timeout: Duration,
    pub(super) ping_interval: Option<Duration>,
    pub(super) ping_timeout: Duration,
    pub(super) close_timeout: Duration,
}

impl WebSocketOptions {
    /// Messages of at most 1 MiB and 65,536 fragments, whole; the opening handshake within 10 s, a ping after 20 s of
    /// silence, an answer to it within 20 s, an answer to a close within 10 s.
    pub const fn new() -> Self {
        Self {
            max_message_length: DEFAULT_MAX_MESSAGE_LENGTH,
            max_frame_length: DEFAULT_MAX_MESSAGE_LENGTH,
            max_fragments: DEFAULT_MAX_FRAGMENTS,
            max_fragment_length: usize::MAX,
            gives_parts: false,
            opening_timeout: Duration::from_secs(10),
            ping_interval: Some(Duration::from_secs(20)),
            ping_timeout: Duration::from_secs(20),
            close_timeout: Duration::from_secs(10),
        }
    }

    /// The longest message to receive, in bytes; and the longest frame, unless
    /// [`max_frame_length`](Self::max_frame_length) says less afterwards.
    #[must_use]
    pub const fn max_message_length(mut self, max_length: usize) -> Self {
        self.max_message_length = max_length;
        self.max_frame_length = max_length;
        self
    }

    /// The longest frame of a message to receive, in bytes.
    #[must_use]
    pub const fn max_frame_length(mut self, max_length: usize) -> Self {
        self.max_frame_length = max_length;
        self
    }

    /// The most fragments of a message to receive.
    #[must_use]
    pub const fn max_fragments(mut self, max_fragments: u32) -> Self {
        self.max_fragments = max_fragments;
        self
    }

    /// Sends messages in fragments of at most that many bytes. By default each is one frame.
    #[must_use]
    pub const fn max_fragment_length(mut self, max_length: usize) -> Self {
        self.max_fragment_length = max_length;
        self
    }

    /// With `true`, messages are given as they arrive, to
    /// [`part_received`](super::WebSocketProtocol::part_received): for messages that are not to be held in memory.
    #[must_use]
    pub const fn parts(mut self, gives_parts: bool) -> Self {
        self.gives_parts = gives_parts;
        self
    }

    /// How long the opening handshake may take.
    #[must_use]
    pub const fn opening_timeout(mut self, timeout: Duration) -> Self {
        self.opening_timeout = timeout;
        self
    }

    /// After how long without a byte from the peer it is asked whether it is there: it is looked at once in each interval,
    /// so that up to two may pass. `None`: never.
    ///
    /// While output waits or reading is paused, an answer could not come, and none is asked for. A peer that takes nothing
    /// of what waits is given up after the interval and [`ping_timeout`](Self::ping_timeout) together, which
    /// [`Timeout::WriteStall`](wharf::Timeout::WriteStall) is set to when the WebSocket opens.
    #[must_use]
    pub fn ping_interval(mut self, interval: impl Into<Option<Duration>>) -> Self {
        self.ping_interval = interval.into();
        self
    }

    /// How long a peer that was asked may be silent before it is given up.
    #[must_use]
    pub const fn ping_timeout(mut self, timeout: Duration) -> Self {
        self.ping_timeout = timeout;
        self
    }

    /// How long the peer has to answer a close, and a server to end the connection after it.
    #[must_use]
    pub const fn close_timeout(mut self, timeout: Duration) -> Self {
        self.close_timeout = timeout;
        self
    }

    #[cfg_attr(
        not(feature = "websocket-deflate"),
        expect(unused_variables, reason = "no extension")
    )]
    pub(super) fn encoder(&self, role: Role, agreed: &Agreed) -> MessageEncoder {
        let encoder = MessageEncoder::new(role).max_fragment_length(self.max_fragment_length);
        #[cfg(feature = "websocket-deflate")]
        if let Some(parameters) = &agreed.deflate {
            return encoder.deflate(parameters);
        }
        encoder
    }

    #[cfg_attr(
        not(feature = "websocket-deflate"),
        expect(unused_variables, reason = "no extension")
    )]
    pub(super) fn message_decoder(&self, role: Role, agreed: &Agreed) -> MessageDecoder {
        let decoder = MessageDecoder::new(role)
            .max_message_length(self.max_message_length)
            .max_frame_length(self.max_frame_length)
            .max_fragments(self.max_fragments);
        #[cfg(feature = "websocket-deflate")]
        if let Some(parameters) = &agreed.deflate {
            return decoder.deflate(parameters);
        }
        decoder
    }

    #[cfg_attr(
        not(feature = "websocket-deflate"),
        expect(unused_variables, reason = "no extension")
    )]
    pub(super) fn part_decoder(&self, role: Role, agreed: &Agreed) -> PartDecoder {
        let decoder = PartDecoder::new(role)
            .max_message_length(self.max_message_length)
            .max_frame_length(self.max_frame_length)
            .max_fragments(self.max_fragments);
        #[cfg(feature = "websocket-deflate")]
        if let Some(parameters) = &agreed.deflate {
            return decoder.deflate(parameters);
        }
        decoder
    }
}

impl Default for WebSocketOptions {
    fn default() -> Self {
        Self::new()
    }
}
