use super::{ChunkedDecoder, ChunkedEvent, ContentLength, Headers, HttpError, Limits, Rule};
use crate::codec::Decoder;

/// The content of a message, which both decoders take apart in the same way.
#[derive(Clone, Debug)]
pub(super) struct Body {
    kind: Kind,
    chunked: ChunkedDecoder,
    max_content: u64,
    taken: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Exact(u64),
    Chunked,
    UntilClose,
}

pub(super) enum BodyEvent<'a> {
    Data(&'a [u8]),
    Trailers(Headers<'a>),
    End,
}

impl Body {
    pub(super) const fn new(limits: Limits) -> Self {
        Self {
            kind: Kind::Exact(0),
            chunked: ChunkedDecoder::new().limits(limits),
            max_content: limits.max_content,
            taken: 0,
        }
    }

    /// Changes the limits of what is still to come.
    pub(super) const fn set_limits(&mut self, limits: Limits) {
        self.chunked.set_limits(limits);
        self.max_content = limits.max_content;
    }

    /// Begins content of that length at this place of the stream.
    pub(super) fn begin(&mut self, length: ContentLength, position: u64) -> Result<(), Rule> {
        self.taken = 0;
        self.kind = match length {
            ContentLength::Exact(length) if length > self.max_content => {
                return Err(Rule::ContentTooLarge);
            }
            ContentLength::Exact(length) => Kind::Exact(length),
            ContentLength::Chunked => {
                self.chunked.begin(position);
                Kind::Chunked
            }
            ContentLength::UntilClose => Kind::UntilClose,
        };
        Ok(())
    }

    /// Begins content that is none.
    pub(super) fn begin_empty(&mut self) {
        self.kind = Kind::Exact(0);
    }

    pub(super) fn decode<'a, 'i: 'a>(
        &'a mut self,
        input: &mut &'i [u8],
        position: &mut u64,
    ) -> Result<Option<BodyEvent<'a>>, HttpError> {
        match &mut self.kind {
            Kind::Exact(0) => Ok(Some(BodyEvent::End)),
            Kind::Exact(_) | Kind::UntilClose if input.is_empty() => Ok(None),
            Kind::Exact(left) => {
                let count = input.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= count as u64;
                Ok(Some(BodyEvent::Data(take(input, count, position))))
            }
            Kind::UntilClose => {
                // All that may be taken comes before the error, however it comes.
                let room = self.max_content.saturating_sub(self.taken);
                if room == 0 {
                    return Err(HttpError::at(Rule::ContentTooLarge, *position));
                }
                let count = input.len().min(usize::try_from(room).unwrap_or(usize::MAX));
                self.taken += count as u64;
                Ok(Some(BodyEvent::Data(take(input, count, position))))
            }
            Kind::Chunked => {
                let before = input.len();
                let event = self.chunked.decode(input);
                *position += (before - input.len()) as u64;
                Ok(event?.map(|event| match event {
                    ChunkedEvent::Data(data) => BodyEvent::Data(data),
                    ChunkedEvent::Trailers(trailers) => BodyEvent::Trailers(trailers),
                    ChunkedEvent::End => BodyEvent::End,
                }))
            }
        }
    }

    /// Whether the end of the stream is the end of the content.
    pub(super) fn ends_with_stream(&self) -> bool {
        matches!(self.kind, Kind::UntilClose | Kind::Exact(0))
    }

    pub(super) fn buffered(&self) -> &[u8] {
        self.chunked.buffered()
    }

    pub(super) fn capacity(&self) -> usize {
        self.chunked.buffer_capacity()
    }

    pub(super) fn take_buffered(&mut self) -> Vec<u8> {
        self.chunked.take_remainder()
    }
}

fn take<'i>(input: &mut &'i [u8], count: usize, position: &mut u64) -> &'i [u8] {
    let (data, rest) = input.split_at(count);
    *input = rest;
    *position += count as u64;
    data
}
