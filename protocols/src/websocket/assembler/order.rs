use super::limits::Limits;
use crate::websocket::{DataKind, FrameHeader, Opcode, Violation};

/// The message whose last fragment has not come.
#[derive(Clone, Copy, Debug)]
pub(super) struct UnfinishedMessage {
    pub(super) kind: DataKind,
    pub(super) is_compressed: bool,
    pub(super) fragments: u32,
    /// The bytes so far, of which those of parts are kept no more.
    pub(super) length: usize,
    /// Whether a part of it was given.
    pub(super) is_begun: bool,
}

impl UnfinishedMessage {
    const fn new(kind: DataKind, is_compressed: bool) -> Self {
        Self { kind, is_compressed, fragments: 0, length: 0, is_begun: false }
    }

    /// The message that a data frame belongs to, where `current` is unfinished (RFC 6455, 5.4).
    pub(super) fn with(
        current: Option<Self>,
        header: &FrameHeader,
        limits: &Limits,
    ) -> Result<Self, Violation> {
        let kind = match header.opcode {
            Opcode::Text => Some(DataKind::Text),
            Opcode::Binary => Some(DataKind::Binary),
            _ => None,
        };
        let mut message = match (current, kind) {
            (None, Some(kind)) => Self::new(kind, header.is_compressed),
            (Some(message), None) => message,
            (None, None) => return Err(Violation::UnexpectedContinuation),
            (Some(_), Some(_)) => return Err(Violation::MissingContinuation),
        };

        let length = usize::try_from(header.length).unwrap_or(usize::MAX);
        limits.check_frame(length)?;
        if !message.is_compressed {
            message.length = message.length.saturating_add(length);
            limits.check_message(message.length)?;
        }
        message.fragments = message.fragments.saturating_add(1);
        limits.check_fragments(message.fragments)?;
        Ok(message)
    }
}
