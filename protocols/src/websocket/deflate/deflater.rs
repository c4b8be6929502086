use std::cell::RefCell;
use std::fmt;

use flate2::{Compress, Compression, FlushCompress};

use super::shared::{self, Spares};

/// Compresses messages, one after the other (RFC 7692, 7.2.1).
pub(in crate::websocket) struct Deflater {
    stream: Option<Compress>,
    level: u32,
    window_bits: u8,
    keeps_context: bool,
    min_length: usize,
}

impl Deflater {
    /// With a window of 9 to 15 bits, and a level of 0 to 9; for messages from `min_length` bytes on.
    pub(super) const fn new(
        level: u32,
        window_bits: u8,
        keeps_context: bool,
        min_length: usize,
    ) -> Self {
        Self { stream: None, level, window_bits, keeps_context, min_length }
    }

    /// Whether a message of that length is compressed. An empty one is not: nothing would come out.
    pub(in crate::websocket) const fn wants(&self, length: usize) -> bool {
        length > 0 && length >= self.min_length
    }

    /// Compresses a whole message that is not empty, and appends what comes out.
    pub(in crate::websocket) fn deflate(&mut self, mut input: &[u8], output: &mut Vec<u8>) {
        let key = self.level << 8 | u32::from(self.window_bits);
        let (level, window_bits) = (Compression::new(self.level), self.window_bits);
        let stream = self.stream.get_or_insert_with(|| {
            let spare = shared::take(&SPARES, key);
            spare.unwrap_or_else(|| Compress::new_with_window_bits(level, false, window_bits))
        });
        let start = output.len();
        // Room for what does not get smaller, so that one step is mostly enough.
        output.reserve(input.len() + input.len() / 1000 + 64);
        loop {
            let taken = stream.total_in();
            let status = stream.compress_vec(input, output, FlushCompress::Sync);
            debug_assert!(status.is_ok(), "{status:?}");
            input = &input[(stream.total_in() - taken) as usize..];
            // Room that is left shows that all of it came out.
            if output.len() < output.capacity() {
                break;
            }
            output.reserve(64.max(input.len() / 2));
        }
        debug_assert!(input.is_empty());
        if output[start..].ends_with(&[0x00, 0x00, 0xff, 0xff]) {
            output.truncate(output.len() - 4);
        }
        if !self.keeps_context
            && let Some(mut stream) = self.stream.take()
        {
            stream.reset();
            shared::give(&SPARES, key, stream);
        }
    }
}

thread_local! {
    static SPARES: Spares<Compress> = const { RefCell::new(Vec::new()) };
}

impl fmt::Debug for Deflater {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Deflater")
            .field("level", &self.level)
            .field("window_bits", &self.window_bits)
            .field("keeps_context", &self.keeps_context)
            .finish_non_exhaustive()
    }
}
