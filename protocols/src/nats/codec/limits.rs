/// The longest control line that decoders take, in bytes without its end: 64 KiB. An `INFO` names all members of a
/// cluster.
pub const DEFAULT_MAX_CONTROL_LINE: usize = 64 * 1024;

/// The longest control line that encoders write, in bytes without its end: 4096, which is what a server takes unless
/// its `max_control_line` says otherwise.
pub const DEFAULT_MAX_SENT_CONTROL_LINE: usize = 4096;

/// The longest message, in bytes of headers and payload together: 8 MiB, the most that NATS recommends for
/// `max_payload` (a server's default is 1 MiB).
pub const DEFAULT_MAX_PAYLOAD: usize = 8 * 1024 * 1024;

/// The longest headers of a message, in bytes: 64 KiB.
pub const DEFAULT_MAX_HEADERS: usize = 64 * 1024;

/// What a codec takes and writes at most.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) control_line: usize,
    pub(super) payload: usize,
    pub(super) headers: usize,
}

impl Limits {
    pub(super) const DECODER: Self = Self {
        control_line: DEFAULT_MAX_CONTROL_LINE,
        payload: DEFAULT_MAX_PAYLOAD,
        headers: DEFAULT_MAX_HEADERS,
    };

    pub(super) const ENCODER: Self =
        Self { control_line: DEFAULT_MAX_SENT_CONTROL_LINE, ..Self::DECODER };
}

/// The setters of the limits, the same for every codec: `$at` is where its [`Limits`] are.
macro_rules! limit_setters {
    ($($at:ident).+) => {
        /// The longest control line, in bytes without its `\r\n`.
        #[must_use]
        pub const fn max_control_line(mut self, max: usize) -> Self {
            self.$($at).+.control_line = max;
            self
        }

        /// The longest message, in bytes of headers and payload together, which is how servers count.
        #[must_use]
        pub const fn max_payload(mut self, max: usize) -> Self {
            self.$($at).+.payload = max;
            self
        }

        /// The longest headers of a message, in bytes.
        #[must_use]
        pub const fn max_headers(mut self, max: usize) -> Self {
            self.$($at).+.headers = max;
            self
        }
    };
}

pub(super) use limit_setters;
