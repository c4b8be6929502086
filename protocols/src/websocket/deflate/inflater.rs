use std::cell::RefCell;
use std::fmt;

use flate2::{Decompress, FlushDecompress, Status};

use super::shared::{self, Spares};
use crate::websocket::Violation;

/// Decompresses messages, one after the other (RFC 7692, 7.2.2).
pub(in crate::websocket) struct Inflater {
    stream: Option<Decompress>,
    window_bits: u8,
    keeps_context: bool,
    /// Whether a part of the current message was not empty.
    is_fed: bool,
}

impl Inflater {
    /// Of a peer that compresses with a window of `window_bits`, and with or without what came before.
    pub(super) const fn new(window_bits: u8, keeps_context: bool) -> Self {
        Self { stream: None, window_bits, keeps_context, is_fed: false }
    }

    /// Decompresses a part of a message, and appends what comes out to `output`: at most `room` bytes, and with an
    /// error what came before it.
    pub(in crate::websocket) fn inflate(
        &mut self,
        mut input: &[u8],
        output: &mut Vec<u8>,
        room: usize,
    ) -> Result<(), InflateError> {
        if input.is_empty() {
            return Ok(());
        }
        self.is_fed = true;
        let key = u32::from(self.window_bits);
        let stream = self.stream.get_or_insert_with(|| {
            let spare = shared::take(&SPARES, key);
            spare.unwrap_or_else(|| {
                // zlib has no smaller window than that of 9 bits.
                Decompress::new_with_window_bits(false, self.window_bits.max(9))
            })
        });
        let end = output.len().saturating_add(room);
        loop {
            if output.len() == output.capacity() {
                // One byte more than may come shows that more does.
                let most = end.saturating_add(1) - output.len();
                output.reserve_exact(output.len().max(STEP).min(most));
            }
            let (taken, given) = (stream.total_in(), output.len());
            let status = stream.decompress_vec(input, output, FlushDecompress::Sync);
            let taken = (stream.total_in() - taken) as usize;
            if output.len() > end {
                output.truncate(end);
                return Err(InflateError::TooLong);
            }
            input = &input[taken..];
            match status.map_err(|_| InflateError::Invalid)? {
                // A last block, after which there may be others (RFC 7692, 7.2.3.4).
                Status::StreamEnd => stream.reset(false),
                _ if taken == 0 && output.len() == given && output.len() < output.capacity() => {
                    break;
                }
                _ => (),
            }
            if input.is_empty() && output.len() < output.capacity() {
                break;
            }
        }
        if input.is_empty() { Ok(()) } else { Err(InflateError::Invalid) }
    }

    /// Ends a message.
    pub(in crate::websocket) fn finish(
        &mut self,
        output: &mut Vec<u8>,
        room: usize,
    ) -> Result<(), InflateError> {
        if !self.is_fed {
            // Nothing stands for an empty message, too: some senders take more away than they should.
            return Ok(());
        }
        // What the sender has taken away (RFC 7692, 7.2.1).
        self.inflate(&[0x00, 0x00, 0xff, 0xff], output, room)?;
        self.is_fed = false;
        if !self.keeps_context
            && let Some(mut stream) = self.stream.take()
        {
            stream.reset(false);
            shared::give(&SPARES, u32::from(self.window_bits), stream);
        }
        Ok(())
    }
}

/// The least room for what comes out of one step.
const STEP: usize = 4096;

thread_local! {
    static SPARES: Spares<Decompress> = const { RefCell::new(Vec::new()) };
}

/// Why a message cannot be decompressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::websocket) enum InflateError {
    TooLong,
    Invalid,
}

impl InflateError {
    pub(in crate::websocket) const fn violation(self, max_length: usize) -> Violation {
        match self {
            Self::TooLong => Violation::MessageTooLong { max_length },
            Self::Invalid => Violation::InvalidDeflate,
        }
    }
}

impl fmt::Debug for Inflater {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Inflater")
            .field("window_bits", &self.window_bits)
            .field("keeps_context", &self.keeps_context)
            .finish_non_exhaustive()
    }
}
