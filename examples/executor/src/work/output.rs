//! What a task writes, on its way to the coordinator.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::task::{Piece, Progress, parts};

/// The most that is sent at once.
const MESSAGE: usize = 64 * 1024;
/// A piece that has so many bytes does not grow any more.
const PIECE: usize = 8 * 1024;
/// Who can wait does when so much is not sent yet.
const ENOUGH: usize = 128 * 1024;
/// Of what is not sent yet, no more is kept.
const MOST_WAITING: usize = 512 * 1024;
/// After so many bytes only the end is sent, when it is known.
const MOST_SENT: u64 = 16 * 1024 * 1024;
/// How many bytes that end has.
const MOST_AT_END: usize = 64 * 1024;

/// What an attempt has written and its coordinator has not kept yet. It is filled on any thread, and emptied on the loop's.
#[derive(Default)]
pub(super) struct TaskOutput {
    state: Mutex<State>,
}

/// What is sent at once.
pub(super) struct Chunk {
    /// How much was written before.
    pub(super) offset: u64,
    pub(super) pieces: Vec<Piece>,
    pub(super) progress: Option<Progress>,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Piece>,
    /// How many bytes those are.
    length: usize,
    /// The offset of the first of them.
    begin: u64,
    progress: Option<Progress>,
    is_closed: bool,
    /// Nobody wants it.
    is_unwanted: bool,
    sender: Option<Waker>,
    writers: Vec<Waker>,
}

impl TaskOutput {
    /// More was written. What is too much is left out where it is the oldest that was not sent.
    pub(super) fn write(&self, is_stderr: bool, text: &str) {
        let mut state = self.lock();
        if state.is_unwanted || state.is_closed {
            return;
        }
        for part in parts(text, PIECE) {
            state.push(is_stderr, part);
        }
        state.wake_sender();
    }

    pub(super) fn set_progress(&self, progress: Progress) {
        let mut state = self.lock();
        state.progress = Some(progress);
        state.wake_sender();
    }

    /// Nothing more is written.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.is_closed = true;
        state.wake_sender();
    }

    /// Whatever is written is thrown away from now on.
    pub(super) fn throw_away(&self) {
        let mut state = self.lock();
        state.is_unwanted = true;
        state.waiting.clear();
        state.length = 0;
        state.wake_writers();
    }

    /// Waits until so much of it is sent that more may be written without a loss.
    pub(super) async fn has_space(&self) {
        poll_fn(|context| {
            let mut state = self.lock();
            // What is beyond the limit waits for nobody.
            if state.length <= ENOUGH || state.begin >= MOST_SENT {
                return Poll::Ready(());
            }
            state.writers.push(context.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// What is to be sent next; `None`: there will be nothing more.
    pub(super) async fn next(&self) -> Option<Chunk> {
        poll_fn(|context| self.lock().poll_next(context)).await
    }

    /// Waits for something else than progress.
    pub(super) async fn has_text(&self) {
        poll_fn(|context| {
            let mut state = self.lock();
            if state.is_closed || state.is_ready() {
                return Poll::Ready(());
            }
            state.sender = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// A function that panics leaves it as it should be.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn push(&mut self, is_stderr: bool, text: &str) {
        let last = self.waiting.back_mut().filter(|last| last.text().len() + text.len() <= PIECE);
        if !last.is_some_and(|last| last.joined(text, is_stderr)) {
            self.waiting.push_back(Piece::of(is_stderr, text.to_owned()));
        }
        self.length += text.len();
        let most = if self.begin < MOST_SENT { MOST_WAITING } else { MOST_AT_END };
        while self.length > most && self.take().is_some() {}
    }

    fn take(&mut self) -> Option<Piece> {
        let piece = self.waiting.pop_front()?;
        self.length -= piece.text().len();
        self.begin += piece.text().len() as u64;
        Some(piece)
    }

    fn poll_next(&mut self, context: &Context<'_>) -> Poll<Option<Chunk>> {
        let mut chunk = Chunk { offset: self.begin, pieces: Vec::new(), progress: None };
        if self.is_ready() {
            let end = self.begin + MESSAGE as u64;
            while self.begin < end
                && let Some(piece) = self.take()
            {
                chunk.pieces.push(piece);
            }
            self.wake_writers();
        } else if self.is_closed {
            return Poll::Ready(None);
        }
        chunk.progress = self.progress.take();
        if chunk.pieces.is_empty() && chunk.progress.is_none() {
            self.sender = Some(context.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(Some(chunk))
    }

    fn is_ready(&self) -> bool {
        !self.waiting.is_empty() && (self.begin < MOST_SENT || self.is_closed)
    }

    fn wake_sender(&mut self) {
        if let Some(sender) = self.sender.take() {
            sender.wake();
        }
    }

    fn wake_writers(&mut self) {
        self.writers.drain(..).for_each(Waker::wake);
    }
}

impl fmt::Debug for TaskOutput {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        formatter
            .debug_struct("TaskOutput")
            .field("begin", &state.begin)
            .field("waiting", &state.length)
            .finish_non_exhaustive()
    }
}
