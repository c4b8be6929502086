use std::collections::VecDeque;
use std::fmt;
use std::rc::Rc;

use super::error::ClientError;
use super::handle::{Client, Shared, unexpected};
use crate::task::{Piece, Progress, TaskId};
use crate::wire::{Answer, Ask, AskOutput, OutputPage, OutputPart};

/// What a task writes: what is kept of it so far, and then what comes, until the task has ended.
///
/// Each part is asked for when it is wanted: who reads slowly holds up nobody, and may find that the middle is not kept any
/// more. Dropping it changes nothing.
pub struct OutputReader {
    shared: Rc<Shared>,
    ask: AskOutput,
    items: VecDeque<OutputItem>,
    /// Where the next part begins, if nothing is missing.
    expected: Option<u64>,
    has_ended: bool,
}

/// What an [`OutputReader`] gives.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OutputItem {
    /// Something that the task has written.
    Text {
        /// In which attempt, 1 at first.
        attempt: u32,
        /// What.
        piece: Piece,
    },
    /// So many bytes are not kept.
    Missing(u64),
    /// How far the task is.
    Progress(Progress),
}

impl Client {
    /// One part of what a task has written; `None`: there is no such task.
    pub(crate) async fn output_page(
        &self,
        ask: AskOutput,
    ) -> Result<Option<OutputPage>, ClientError> {
        match self.shared.ask(Ask::Output(ask)).await? {
            Answer::Output(page) => Ok(page),
            _ => Err(unexpected()),
        }
    }
}

impl OutputReader {
    pub(super) fn new(shared: Rc<Shared>, id: TaskId) -> Self {
        let ask = AskOutput { id, offset: 0, last: None, follow: true, progress: None };
        Self { shared, ask, items: VecDeque::new(), expected: Some(0), has_ended: false }
    }

    /// What is kept now and nothing else: it does not wait for more.
    pub fn kept(mut self) -> Self {
        self.ask.follow = false;
        self
    }

    /// From about so many bytes before the end on, which are 64 KiB at most.
    pub fn last(mut self, bytes: u32) -> Self {
        self.ask.last = Some(bytes);
        self.expected = None;
        self
    }

    /// What comes next; `None`: that was all.
    ///
    /// Dropping the future loses nothing.
    ///
    /// # Errors
    /// There is no such task, the coordinator refuses, or the client is closed.
    pub async fn next(&mut self) -> Result<Option<OutputItem>, ClientError> {
        while self.items.is_empty() && !self.has_ended {
            self.ask_for_more().await?;
        }
        Ok(self.items.pop_front())
    }

    async fn ask_for_more(&mut self) -> Result<(), ClientError> {
        let page = match self.shared.ask(Ask::Output(self.ask.clone())).await? {
            Answer::Output(Some(page)) => page,
            Answer::Output(None) => {
                return Err(ClientError::UnknownTask(self.ask.id.as_str().into()));
            }
            _ => return Err(unexpected()),
        };
        self.has_ended = page.ended || !self.ask.follow && page.parts.is_empty();
        for part in page.parts {
            self.add(part);
        }
        if let Some(progress) = page.progress.filter(|_| page.progress != self.ask.progress) {
            self.items.push_back(OutputItem::Progress(progress));
        }
        (self.ask.offset, self.ask.last, self.ask.progress) = (page.next, None, page.progress);
        Ok(())
    }

    fn add(&mut self, part: OutputPart) {
        let missing = part.offset.saturating_sub(self.expected.unwrap_or(part.offset));
        if missing > 0 {
            self.items.push_back(OutputItem::Missing(missing));
        }
        let length: usize = part.pieces.iter().map(|piece| piece.text().len()).sum();
        self.expected = Some(part.offset.saturating_add(length as u64));
        let attempt = part.attempt;
        let items = part.pieces.into_iter().map(|piece| OutputItem::Text { attempt, piece });
        self.items.extend(items);
    }
}

impl fmt::Debug for OutputReader {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("OutputReader")
            .field("id", &self.ask.id)
            .field("offset", &self.ask.offset)
            .field("has_ended", &self.has_ended)
            .finish_non_exhaustive()
    }
}
