//! The options that clients and servers have in common.

/// Gives a builder with the fields `socket_options` and `stream_options` their methods.
macro_rules! stream_settings {
    () => {
        /// Whether small writes are sent at once rather than collected by the operating system
        /// (`TCP_NODELAY`). On by default.
        pub fn nodelay(mut self, on: bool) -> Self {
            self.socket_options.nodelay = on;
            self
        }

        /// Makes the operating system probe a silent peer (`SO_KEEPALIVE`).
        pub fn keepalive(mut self, keepalive: Keepalive) -> Self {
            self.socket_options.keepalive = Some(keepalive);
            self
        }

        /// The size of the operating system's send buffer, in bytes (`SO_SNDBUF`).
        pub fn send_buffer_size(mut self, bytes: usize) -> Self {
            self.socket_options.send_buffer_size = Some(bytes);
            self
        }

        /// The size of the operating system's receive buffer, in bytes (`SO_RCVBUF`).
        pub fn receive_buffer_size(mut self, bytes: usize) -> Self {
            self.socket_options.receive_buffer_size = Some(bytes);
            self
        }

        /// Whether closing the socket resets the connection instead of ending it (`SO_LINGER` of
        /// zero). Off by default.
        ///
        /// Everything that was written before [`close`](crate::Transport::close), and the end of the
        /// write side, is sent all the same; but what the peer has not acknowledged when the socket
        /// is closed is lost. How long [`close`](crate::Transport::close) waits is the linger
        /// deadline, [`Timeout::Linger`].
        pub fn reset_on_close(mut self, on: bool) -> Self {
            self.socket_options.reset_on_close = on;
            self
        }

        /// The time to live, or hop limit, of the packets sent.
        pub fn ttl(mut self, hops: u32) -> Self {
            self.socket_options.ttl = Some(hops);
            self
        }

        /// The type of service, or traffic class, of the packets sent.
        pub fn tos(mut self, tos: u32) -> Self {
            self.socket_options.tos = Some(tos);
            self
        }

        /// Receives descriptors that the peer passes over a Unix socket, at most `most` with one
        /// message (1 to 253); see
        /// [`Protocol::descriptors_received`](crate::Protocol::descriptors_received).
        ///
        /// A message with more ends the connection. Without this the operating system closes what
        /// is passed. On any other socket connecting or serving fails with
        /// [`is_unsupported`](crate::Error::is_unsupported).
        pub fn receive_descriptors(mut self, most: usize) -> Self {
            self.stream_options.descriptors = most.clamp(1, crate::driver::MOST_PER_MESSAGE);
            self
        }

        crate::transport::connection_settings!();
    };
}

pub(super) use stream_settings;
