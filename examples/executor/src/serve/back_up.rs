//! Copies of the store for clients, taken while it is in use.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::limits::MOST_COPIES;
use super::server::{PeerKey, Shared};
use crate::store::{DiskWriter, StoreError};
use crate::wire::{Answer, FromCoordinator};

/// How much of a copy is told at once, in bytes.
const PART: u64 = 1024 * 1024;

const ONE_AT_A_TIME: &str =
    "a connection takes one copy, part by part: this comes before the last answer";
const NO_COPY: &str =
    "there is no copy: it begins again with each connection, and ends with its last part";

/// A copy that a client is taking. The file has no name, and ends with this.
pub(super) struct Copy {
    file: Arc<File>,
    length: u64,
}

/// Copies that clients are taking. Each connection has one, and one thread that works for it: the rest of the threads are
/// for what is committed.
#[derive(Default)]
pub(super) struct Copies(HashMap<PeerKey, Taking>);

struct Taking {
    /// `None`: it is being made.
    copy: Option<Copy>,
    /// A thread makes it or reads it.
    is_busy: bool,
    /// Nobody takes it any more: it ends with what the thread does.
    is_gone: bool,
}

impl Copies {
    /// How many connections take one.
    pub(super) fn taken(&self) -> usize {
        self.0.len()
    }

    /// A copy is to be made. A former one of this connection is gone.
    fn begin(&mut self, peer: PeerKey) -> Result<(), Box<str>> {
        match self.0.get(&peer) {
            Some(taking) if taking.is_busy => return Err(ONE_AT_A_TIME.into()),
            None if self.taken() >= MOST_COPIES => {
                let text = format!("{MOST_COPIES} copies are being taken: ask again later");
                return Err(text.into());
            }
            _ => {}
        }
        self.0.insert(peer, Taking { copy: None, is_busy: true, is_gone: false });
        Ok(())
    }

    /// A part is to be read.
    fn begin_part(&mut self, peer: PeerKey) -> Result<(Arc<File>, u64), Box<str>> {
        let Some(taking) = self.0.get_mut(&peer) else { return Err(NO_COPY.into()) };
        match &taking.copy {
            Some(copy) if !taking.is_busy => {
                taking.is_busy = true;
                Ok((Arc::clone(&copy.file), copy.length))
            }
            _ => Err(ONE_AT_A_TIME.into()),
        }
    }

    fn made(&mut self, peer: PeerKey, copy: Option<Copy>) {
        if let Some(taking) = self.0.get_mut(&peer) {
            taking.copy = copy;
            self.end_part(peer, false);
        }
    }

    /// A part was read. With the last one the copy is gone.
    fn end_part(&mut self, peer: PeerKey, is_last: bool) {
        if let Some(taking) = self.0.get_mut(&peer) {
            taking.is_busy = false;
            if is_last || taking.is_gone || taking.copy.is_none() {
                self.0.remove(&peer);
            }
        }
    }

    /// A connection has ended. What a thread does for it counts until it is done.
    pub(super) fn forget(&mut self, peer: PeerKey) {
        match self.0.get_mut(&peer) {
            Some(taking) if taking.is_busy => taking.is_gone = true,
            _ => drop(self.0.remove(&peer)),
        }
    }
}

impl Shared {
    /// Copies the store as it is now, for one client. It replaces a former copy of the same client.
    pub(super) fn begin_back_up(self: &Rc<Self>, peer: PeerKey, number: u64) {
        let begun = self.state.borrow_mut().copies.begin(peer);
        if let Err(why) = begun {
            return self.answer_later(peer, number, Answer::Failed(why));
        }
        let writer = self.state.borrow().commits.writer();
        let directory = self.options.directory.clone();
        let copied = self.event_loop.run_in_executor(move || copy(&writer, directory.as_deref()));
        let shared = Rc::clone(self);
        let answered = async move {
            let (copy, answer) = match copied.await {
                Ok(Ok(copy)) => {
                    let length = copy.length;
                    (Some(copy), Answer::Copied(length))
                }
                Ok(Err(error)) => (None, Answer::Failed(error.to_string().into())),
                Err(error) => (None, Answer::Failed(error.to_string().into())),
            };
            shared.state.borrow_mut().copies.made(peer, copy);
            shared.answer_later(peer, number, answer);
        };
        self.event_loop.create_task(answered).detach();
    }

    /// Tells the next part of a client's copy.
    pub(super) fn read_back_up(self: &Rc<Self>, peer: PeerKey, number: u64, offset: u64) {
        let begun = self.state.borrow_mut().copies.begin_part(peer);
        let (file, length) = match begun {
            Ok(copy) => copy,
            Err(why) => return self.answer_later(peer, number, Answer::Failed(why)),
        };
        let part = PART.min(length.saturating_sub(offset));
        let read = self.event_loop.run_in_executor(move || {
            let mut bytes = vec![0; part as usize];
            file.read_exact_at(&mut bytes, offset).map(|()| STANDARD.encode(bytes))
        });
        let shared = Rc::clone(self);
        let answered = async move {
            let answer = match read.await {
                Ok(Ok(part)) => Answer::Part(part.into()),
                Ok(Err(error)) => Answer::Failed(error.to_string().into()),
                Err(error) => Answer::Failed(error.to_string().into()),
            };
            let is_last = matches!(answer, Answer::Part(_)) && offset + part >= length;
            shared.state.borrow_mut().copies.end_part(peer, is_last);
            shared.answer_later(peer, number, answer);
        };
        self.event_loop.create_task(answered).detach();
    }

    fn answer_later(self: &Rc<Self>, peer: PeerKey, number: u64, answer: Answer) {
        self.state.borrow_mut().tell(peer, &FromCoordinator::Answer { number, answer });
        self.settle_soon();
    }
}

fn copy(writer: &DiskWriter, directory: Option<&Path>) -> Result<Copy, StoreError> {
    let failed = |error: io::Error| StoreError(error.to_string().into());
    let file = match directory {
        Some(directory) => tempfile::tempfile_in(directory),
        None => tempfile::tempfile(),
    };
    let file = file.map_err(failed)?;
    writer.back_up_into(file.try_clone().map_err(failed)?)?;
    let length = file.metadata().map_err(failed)?.len();
    Ok(Copy { file: Arc::new(file), length })
}
