//! The options that every stream has, whatever it is opened with.

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
