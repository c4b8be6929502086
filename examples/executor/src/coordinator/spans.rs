//! What has run, for who watches.

use std::collections::{HashMap, VecDeque};

use super::views::Span;

/// How many spans are kept until they are taken.
const MOST: usize = 512;
/// Short tasks one after the other in a slot are one span, which is no longer than this, in milliseconds.
const LONGEST: u64 = 50;
/// There may be so much between them, in milliseconds.
const GAP: u64 = 3;

/// Bounded: with thousands of short tasks a second there are a few spans in each slot for them.
#[derive(Debug, Default)]
pub(crate) struct SpanLog {
    /// `None`: nobody watches.
    spans: Option<VecDeque<Span>>,
    /// The last one of each slot of each worker.
    last: HashMap<(u64, usize), usize>,
    missed: u64,
}

impl SpanLog {
    /// Whether spans are kept until they are taken.
    pub(crate) fn watch(&mut self, on: bool) {
        *self = Self { spans: on.then(VecDeque::new), ..Self::default() };
    }

    pub(crate) fn is_watched(&self) -> bool {
        self.spans.is_some()
    }

    /// Something has run.
    pub(crate) fn add(&mut self, span: Span) {
        let Some(spans) = &mut self.spans else { return };
        let place = (span.worker, span.slot);
        if let Some(last) = self.last.get(&place).and_then(|last| spans.get_mut(*last))
            && last.is_continued_by(&span)
        {
            last.until = span.until;
            last.count += span.count;
        } else if spans.len() < MOST {
            self.last.insert(place, spans.len());
            spans.push_back(span);
        } else {
            // What follows must not seem to go on from before this one.
            self.last.remove(&place);
            self.missed += 1;
        }
    }

    /// What has run since the last call, and how many more did.
    pub(crate) fn take(&mut self) -> (VecDeque<Span>, u64) {
        self.last.clear();
        let spans = self.spans.as_mut().map(std::mem::take).unwrap_or_default();
        (spans, std::mem::take(&mut self.missed))
    }
}

impl Span {
    fn is_continued_by(&self, next: &Self) -> bool {
        let is_close = next.since.0 <= self.until.0.saturating_add(GAP);
        let is_short = next.until.0.saturating_sub(self.since.0) <= LONGEST;
        is_close && is_short && self.end == next.end && self.kind == next.kind
    }
}
