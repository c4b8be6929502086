//! What is kept of the output of tasks: its beginning and its end.

use serde::{Deserialize, Serialize};

use crate::task::{Piece, parts};

/// A row that has so many bytes does not grow any more.
const ROW: usize = 8 * 1024;
/// What a piece counts for besides its text.
const PIECE: usize = 24;

/// A part of a task's output, as it is kept. It is kept under its *offset*: how many bytes the task had written before,
/// in all of its attempts, those included that are not kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutputRow {
    /// Which attempt wrote it.
    pub attempt: u32,
    /// How much that attempt had written with this.
    pub received: u64,
    /// What.
    pub pieces: Vec<Piece>,
}

/// Which rows there are of the output of one task, and which go when there is more.
#[derive(Debug, Default)]
pub(super) struct OutputLog {
    /// Offsets and sizes.
    rows: Vec<(u64, usize)>,
    /// The last row, which may grow.
    last: Option<OutputRow>,
    /// The offset of what comes next.
    next: u64,
    /// Of all rows.
    size: usize,
}

/// A row that is kept so from now on, or not any more.
pub(super) type OutputChange = (u64, Option<OutputRow>);

impl OutputRow {
    /// How much of the limit it takes.
    fn size(&self) -> usize {
        self.pieces.iter().map(|piece| piece.text().len() + PIECE).sum()
    }

    /// How many bytes of text it has.
    pub fn length(&self) -> u64 {
        self.pieces.iter().map(|piece| piece.text().len() as u64).sum()
    }

    fn add(&mut self, is_stderr: bool, text: &str) {
        self.received += text.len() as u64;
        if !self.pieces.last_mut().is_some_and(|last| last.joined(text, is_stderr)) {
            self.pieces.push(Piece::of(is_stderr, text.to_owned()));
        }
    }
}

impl OutputLog {
    /// That of the rows that are kept.
    pub(super) fn new(rows: Vec<(u64, OutputRow)>) -> Self {
        let mut log = Self::default();
        for (offset, row) in rows {
            log.rows.push((offset, row.size()));
            log.size += row.size();
            log.next = offset + row.length();
            log.last = Some(row);
        }
        log
    }

    /// An attempt has written more, at an offset of its own. What it says again changes nothing; what it has left out is
    /// left out here. `most` is how many bytes are kept: a quarter of the beginning, and the rest of the end.
    pub(super) fn append(
        &mut self,
        attempt: u32,
        offset: u64,
        pieces: &[Piece],
        most: usize,
    ) -> Vec<OutputChange> {
        let length: u64 = pieces.iter().map(|piece| piece.text().len() as u64).sum();
        let last = self.last.as_ref().filter(|last| last.attempt == attempt);
        let received = last.map_or(0, |last| last.received);
        if offset + length <= received {
            return Vec::new();
        }
        let mut changes = Vec::new();
        if offset > received || last.is_none() {
            self.next += offset.saturating_sub(received);
            self.begin(OutputRow { attempt, received: offset.max(received), pieces: Vec::new() });
        }
        for piece in pieces {
            for text in parts(piece.text(), ROW) {
                self.add(piece.is_stderr(), text, &mut changes);
            }
        }
        self.note_last(&mut changes);
        self.drop_middle(most, &mut changes);
        changes
    }

    fn begin(&mut self, row: OutputRow) {
        self.rows.push((self.next, 0));
        self.last = Some(row);
    }

    fn add(&mut self, is_stderr: bool, text: &str, changes: &mut Vec<OutputChange>) {
        if self.rows.last().is_some_and(|(_, size)| *size >= ROW) {
            self.note_last(changes);
            if let Some(last) = &self.last {
                let (attempt, received) = (last.attempt, last.received);
                self.begin(OutputRow { attempt, received, pieces: Vec::new() });
            }
        }
        if let (Some(last), Some((_, size))) = (&mut self.last, self.rows.last_mut()) {
            last.add(is_stderr, text);
            let grown = last.size();
            self.size += grown - *size;
            *size = grown;
            self.next += text.len() as u64;
        }
    }

    fn note_last(&self, changes: &mut Vec<OutputChange>) {
        if let (Some(last), Some((offset, _))) = (&self.last, self.rows.last()) {
            changes.push((*offset, Some(last.clone())));
        }
    }

    /// The beginning says how it began, and the end why it ended: what goes is between.
    fn drop_middle(&mut self, most: usize, changes: &mut Vec<OutputChange>) {
        while self.size > most {
            let mut before = 0;
            let is_after_head = |(_, size): &(u64, usize)| {
                let is_after = before >= most / 4;
                before += size;
                is_after
            };
            let Some(first) = self.rows.iter().position(is_after_head) else { return };
            if first + 1 >= self.rows.len() {
                return;
            }
            let (offset, size) = self.rows.remove(first);
            self.size -= size;
            changes.push((offset, None));
        }
    }
}
