//! The server's answer as a client reads it, to its end: whether it agrees, or what it says instead.

use super::refusal::RefusalBody;
use super::{Agreed, ClientHandshake, HandshakeError, ResponseDecoder, UpgradeResponse};
use crate::codec::Decoder;

/// Reads the answer to a [`ClientHandshake`].
#[derive(Debug, Default)]
pub(in crate::websocket) struct AnswerReader {
    decoder: ResponseDecoder,
    /// The server does not agree, and says why.
    refusal: Option<(UpgradeResponse, RefusalBody)>,
}

impl AnswerReader {
    /// Takes the answer out of the input; `None`: there is more of it. What follows an agreement is left.
    pub(in crate::websocket) fn read(
        &mut self,
        handshake: &ClientHandshake,
        input: &mut &[u8],
    ) -> Result<Option<Agreed>, HandshakeError> {
        match self.read_if(|status| status == 101, input)? {
            Some(response) => handshake.finish(&response).map(Some),
            None => Ok(None),
        }
    }

    /// As [`read`](Self::read), for an answer with a status that `agrees`.
    pub(in crate::websocket) fn read_if(
        &mut self,
        agrees: impl Fn(u16) -> bool,
        input: &mut &[u8],
    ) -> Result<Option<UpgradeResponse>, HandshakeError> {
        while self.refusal.is_none() {
            let Some(response) = self.decoder.decode(input)? else { return Ok(None) };
            match response.status() {
                status if agrees(status) => return Ok(Some(response)),
                // Only the beginning of an answer (RFC 9110, 15.2).
                100..200 => (),
                _ => {
                    let body = RefusalBody::of(&response);
                    self.refusal = Some((response, body));
                }
            }
        }
        let is_whole = self.refusal.as_mut().is_none_or(|(_, body)| body.read(input));
        if is_whole { Err(self.broken_off(HandshakeError::Truncated)) } else { Ok(None) }
    }

    /// No more comes, because of `error`: the server's refusal if there was one, whatever is missing of it.
    pub(in crate::websocket) fn broken_off(&mut self, error: HandshakeError) -> HandshakeError {
        match self.refusal.take() {
            Some((response, body)) => {
                HandshakeError::Answered(Box::new(response.with_body(body.into_bytes())))
            }
            None => error,
        }
    }
}
