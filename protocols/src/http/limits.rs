/// What a peer may send at most. Every limit has a default; there is no way to have none but the largest number.
///
/// ```
/// use wharf_protocols::http::{Limits, RequestDecoder};
///
/// let limits = Limits { max_content: 1024, ..Limits::default() };
/// let decoder = RequestDecoder::new().limits(limits);
/// # drop(decoder);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a head, with its line ends: 16 KiB.
    pub max_head: usize,
    /// Fields of a head, and of a trailer section: 100. At most 256, whatever is set.
    pub max_fields: usize,
    /// Bytes of content, without chunk sizes: 2 MiB in requests; in responses, where the content is lent in pieces,
    /// there is no limit unless set.
    pub max_content: u64,
    /// Bytes of the chunk extensions of one content, all together: 16 KiB.
    pub max_chunk_extensions: usize,
    /// Bytes of a trailer section: 8 KiB.
    pub max_trailers: usize,
}

impl Limits {
    pub(super) const DEFAULT: Self = Self {
        max_head: 16 * 1024,
        max_fields: 100,
        max_content: 2 * 1024 * 1024,
        max_chunk_extensions: 16 * 1024,
        max_trailers: 8 * 1024,
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// The most fields that are ever taken.
pub(super) const MOST_FIELDS: usize = 256;
