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

        crate::net::connection_settings!();
    };
}

/// Gives a builder with the field `stream_options` the methods for what is no socket's option.
macro_rules! connection_settings {
    () => {
        /// The water marks that connections start with: 64 KiB and 16 KiB by default. A `low` above
        /// `high` is refused with [`is_invalid`](crate::Error::is_invalid).
        pub fn write_buffer_limits(mut self, limits: crate::transport::WaterMarks) -> Self {
            self.stream_options.marks = limits;
            self
        }

        /// The write cap that connections start with; see
        /// [`Transport::set_write_buffer_cap`](crate::Transport::set_write_buffer_cap).
        pub fn write_buffer_cap(mut self, cap: impl Into<Option<usize>>) -> Self {
            self.stream_options.write_cap = cap.into();
            self
        }

        /// How fast a connection may read; see
        /// [`Transport::set_read_limit`](crate::Transport::set_read_limit).
        pub fn read_limit(mut self, limit: impl Into<Option<crate::transport::RateLimit>>) -> Self {
            self.stream_options.limits.get_or_insert_default().read = limit.into();
            self
        }

        /// How fast a connection may write; see
        /// [`Transport::set_write_limit`](crate::Transport::set_write_limit).
        pub fn write_limit(
            mut self,
            limit: impl Into<Option<crate::transport::RateLimit>>,
        ) -> Self {
            self.stream_options.limits.get_or_insert_default().write = limit.into();
            self
        }

        /// A group that shares its budgets: on a server, all connections it accepts join it. One of
        /// another loop is refused with [`is_invalid`](crate::Error::is_invalid).
        pub fn rate_group(mut self, group: &crate::transport::RateGroup) -> Self {
            let limits = self.stream_options.limits.get_or_insert_default();
            limits.group = Some(group.clone());
            self
        }

        /// A deadline that connections start with; see
        /// [`Transport::set_timeout`](crate::Transport::set_timeout). Zero is refused with
        /// [`is_invalid`](crate::Error::is_invalid).
        pub fn connection_timeout(
            mut self,
            timeout: Timeout,
            after: impl Into<Option<Duration>>,
        ) -> Self {
            self.stream_options.set_timeout(timeout, after.into());
            self
        }
    };
}

pub(crate) use connection_settings;
pub(super) use stream_settings;
