use crate::websocket::frame::RSV1;
use crate::websocket::{FrameHeader, Role, Violation};

/// The beginning of a header whose end has not come.
#[derive(Debug)]
pub(super) struct PartialHeader {
    bytes: [u8; FrameHeader::MAX_LENGTH],
    length: u8,
}

impl PartialHeader {
    pub(super) const fn new() -> Self {
        Self { bytes: [0; FrameHeader::MAX_LENGTH], length: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.length == 0
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }

    /// Takes a header out of the input; what is there of one whose end has not come is kept. A header is refused at the
    /// first byte that breaks a rule.
    pub(super) fn read(
        &mut self,
        input: &mut &[u8],
        role: Role,
        may_be_compressed: bool,
    ) -> Result<Option<FrameHeader>, Violation> {
        if self.is_empty()
            && let Some((header, length)) = decode(input, role, may_be_compressed)?
        {
            *input = &input[length..];
            return Ok(Some(header));
        }
        while let Some((&byte, rest)) = input.split_first() {
            *input = rest;
            self.bytes[usize::from(self.length)] = byte;
            self.length += 1;
            if let Some((header, _)) = decode(self.bytes(), role, may_be_compressed)? {
                self.length = 0;
                return Ok(Some(header));
            }
        }
        Ok(None)
    }
}

fn decode(
    bytes: &[u8],
    role: Role,
    may_be_compressed: bool,
) -> Result<Option<(FrameHeader, usize)>, Violation> {
    if bytes.first().is_some_and(|&first| first & RSV1 != 0) && !may_be_compressed {
        return Err(Violation::ReservedBits);
    }
    FrameHeader::decode(bytes, role)
}
