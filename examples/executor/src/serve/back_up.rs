//! Copies of the store for clients, taken while it is in use.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::server::{PeerKey, Shared};
use crate::store::{DiskWriter, StoreError};
use crate::wire::{Answer, FromCoordinator};

/// How much of a copy is told at once, in bytes.
const PART: u64 = 1024 * 1024;

/// A copy that a client is taking. The file has no name, and ends with this.
pub(super) struct Copy {
    file: Arc<File>,
    length: u64,
}

impl Shared {
    /// Copies the store as it is now, for one client. It replaces a former copy of the same client.
    pub(super) fn begin_back_up(self: &Rc<Self>, peer: PeerKey, number: u64) {
        let writer = self.state.borrow().commits.writer();
        let directory = self.options.directory.clone();
        let copied = self.event_loop.run_in_executor(move || copy(&writer, directory.as_deref()));
        let shared = Rc::clone(self);
        let answered = async move {
            let answer = match copied.await {
                Ok(Ok(copy)) => {
                    let length = copy.length;
                    let mut state = shared.state.borrow_mut();
                    if state.peers.contains_key(&peer) {
                        state.copies.insert(peer, copy);
                    }
                    Answer::Copied(length)
                }
                Ok(Err(error)) => Answer::Failed(error.to_string().into()),
                Err(error) => Answer::Failed(error.to_string().into()),
            };
            shared.answer_later(peer, number, answer);
        };
        self.event_loop.create_task(answered).detach();
    }

    /// Tells the next part of a client's copy.
    pub(super) fn read_back_up(self: &Rc<Self>, peer: PeerKey, number: u64, offset: u64) {
        let state = self.state.borrow();
        let copy = state.copies.get(&peer).map(|copy| (Arc::clone(&copy.file), copy.length));
        drop(state);
        let Some((file, length)) = copy else {
            let answer = Answer::Failed("the connection was lost: the copy begins again".into());
            return self.answer_later(peer, number, answer);
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
