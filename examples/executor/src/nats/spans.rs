//! What has run in slots, as workers tell it.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::coordinator::Span;

/// What is in the request to workers of those who want to hear it.
pub(super) const WANTED: &[u8] = b"spans";

/// What has run in slots of a worker since it was told last, as JSON.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Ran {
    pub(super) spans: VecDeque<Span>,
    /// How much more has, of which nothing is told.
    #[serde(default)]
    pub(super) missed: u64,
}
