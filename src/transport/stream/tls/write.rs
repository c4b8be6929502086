//! The write side of TLS: plaintext becomes records when the socket takes them.
//!
//! Plaintext waits in the stream's queue and is encrypted when everything before it is sent, so that
//! what is shared stays shared, what is small is joined, and of final bytes no more waits than the
//! socket left of one write.

use std::io::{self, IoSlice};
use std::rc::Rc;

use bytes::Bytes;
use rustls::ProtocolVersion;

use super::Tls;
use crate::error::Error;
use crate::event_loop::Core;
use crate::tls::tls_error;
use crate::transport::stream::Stream;
use crate::transport::stream::flags::Flags;
use crate::transport::stream::write::{BYTES_PER_TURN, Front, SLICES};
use crate::transport::tls::{RECORD, Scratch};

/// The most plaintext that one system call sends: a few full records.
const SENT_AT_ONCE: usize = 4 * RECORD;

/// Why writing cannot go on.
enum Broken {
    Socket(io::Error),
    File(io::Error),
    Tls(rustls::Error),
}

impl Stream {
    /// Sends `first`, then `second`; what the socket does not take waits.
    pub(in crate::transport::stream) fn send_by_tls(
        self: &Rc<Self>,
        core: &Rc<Core>,
        first: &[u8],
        second: &[u8],
        shared: Option<&Bytes>,
    ) {
        let mut sent = 0;
        let goes_out =
            self.flags.get().matches(Flags::WRITABLE, CANNOT_SEND.union(Flags::WRITABLE));
        let mut broken = None;
        if goes_out && let Some(mut tls) = self.take_tls() {
            if !self.has(Flags::HANDSHAKING) {
                match self.send_parts(core, &mut tls, first, second) {
                    Ok(count) => sent = count,
                    Err(error) => broken = Some(error),
                }
            }
            self.put_tls(tls);
        }
        if let Some(broken) = broken {
            return self.tls_write_failed(core, broken);
        }
        self.queue_rest(core, sent, first, second, shared);
    }

    /// Encrypts and sends as long as the socket takes it. Returns how much plaintext is dealt with.
    fn send_parts(
        &self,
        core: &Core,
        tls: &mut Tls,
        first: &[u8],
        second: &[u8],
    ) -> Result<usize, Broken> {
        core.tls.with_records(|records| {
            tls.take_held(self, core, records);
            let mut done = 0;
            let len = first.len() + second.len();
            while done < len && self.has(Flags::WRITABLE) {
                let mut room = SENT_AT_ONCE;
                for (part, begins) in [(first, 0), (second, first.len())] {
                    let from = done.saturating_sub(begins).min(part.len());
                    if done < begins || from == part.len() {
                        continue;
                    }
                    let piece = &part[from..][..(part.len() - from).min(room)];
                    tls.layer.seal(piece, records).map_err(Broken::Tls)?;
                    room -= piece.len();
                    done += piece.len();
                }
                self.send_records(core, tls, records)?;
                records.clear();
            }
            Ok(done)
        })
    }

    /// Hands records to the socket, and keeps what it does not take.
    fn send_records(&self, core: &Core, tls: &mut Tls, records: &Scratch) -> Result<(), Broken> {
        let records = records.bytes();
        let mut sent = 0;
        while sent < records.len() && self.has(Flags::WRITABLE) {
            match self.socket.write(&records[sent..]) {
                Ok(count) => {
                    sent += count;
                    if sent < records.len() {
                        self.note_short_write(count);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.clear(Flags::WRITABLE);
                }
                Err(error) => return Err(Broken::Socket(error)),
            }
        }
        self.note_flushed(core, sent);
        if sent < records.len() {
            tls.outgoing.push_copy(&records[sent..]);
            self.note_write_progress(core);
            self.set(Flags::NEEDS_UPDATE.union(Flags::HAS_QUEUE));
        }
        Ok(())
    }

    /// Sends what TLS itself has to say in return to input: tickets, new keys.
    ///
    /// It is no error if the peer does not take it: the peer may have said everything and gone. A
    /// write of the user's, or a read, will tell.
    pub(super) fn send_answer(&self, core: &Core, tls: &mut Tls, answer: &Scratch) {
        if answer.bytes().is_empty() || self.has(Flags::WRITE_FAILED.union(Flags::CLOSED)) {
            return;
        }
        let goes_out = self.has(Flags::WRITABLE) && tls.outgoing.is_empty();
        if !goes_out {
            tls.outgoing.push_copy(answer.bytes());
            self.set(Flags::HAS_QUEUE.union(Flags::NEEDS_UPDATE));
        } else {
            // Ignored as said.
            let _ = self.send_records(core, tls, answer);
        }
    }

    /// As [`send_answer`](Self::send_answer) at the end of a handshake, before the protocol is called:
    /// what it writes first may go out with it.
    ///
    /// Only where the peer has all that it needs to be established, so that nothing is lost if the
    /// protocol aborts: a server's tickets under TLS 1.3.
    pub(super) fn hold_answer(&self, core: &Core, tls: &mut Tls, answer: &Scratch) {
        let state = tls.layer.session().state();
        let may_wait = !tls.layer.session().is_client()
            && state.protocol_version() == Some(ProtocolVersion::TLSv1_3);
        if may_wait && tls.outgoing.is_empty() && !self.has(Flags::HAS_QUEUE) {
            tls.outgoing.push_copy(answer.bytes());
        } else {
            self.send_answer(core, tls, answer);
        }
    }

    /// Sends what nothing went out with.
    pub(super) fn send_held(&self, core: &Core) {
        if self.has(Flags::HAS_QUEUE.union(Flags::CLOSED)) {
            return;
        }
        self.with_tls(|tls| {
            core.tls.with_records(|records| {
                tls.take_held(self, core, records);
                self.send_answer(core, tls, records);
            });
        });
    }

    /// Sends what the server did not take with the first message, before anything else.
    pub(super) fn send_early_rest(self: &Rc<Self>, core: &Rc<Core>) {
        let sealed = self.with_tls(|tls| {
            let rest = tls.layer.take_early_rest();
            core.tls.with_records(|records| {
                for piece in rest.chunks(SENT_AT_ONCE) {
                    records.clear();
                    tls.layer.seal(piece, records)?;
                    tls.outgoing.push_copy(records.bytes());
                }
                Ok(!tls.outgoing.is_empty())
            })
        });
        match sealed {
            Some(Ok(true)) => {
                self.set(Flags::HAS_QUEUE.union(Flags::NEEDS_UPDATE));
                self.flush(core);
            }
            Some(Err(error)) => self.end(core, Some(tls_error(error))),
            Some(Ok(false)) | None => {}
        }
    }

    /// Hands what waits to the socket until it takes no more, final bytes first.
    pub(in crate::transport::stream) fn flush_tls(self: &Rc<Self>, core: &Rc<Core>) {
        let Some(mut tls) = self.take_tls() else { return };
        let mut broken = None;
        let mut budget = BYTES_PER_TURN;
        while self.has(Flags::WRITABLE) && !self.has(Flags::CLOSED) {
            let (is_final, is_plain) =
                (!tls.outgoing.is_empty(), !self.writing.queue().borrow().is_empty());
            if !is_final && !is_plain {
                self.clear(Flags::HAS_QUEUE);
                break;
            }
            if !is_final && self.has(Flags::HANDSHAKING) {
                break;
            }
            let limit = self.write_room(core, SENT_AT_ONCE);
            if budget == 0 && limit > 0 {
                self.enqueue(core);
            }
            if budget.min(limit) == 0 {
                break;
            }
            let outcome = if is_final {
                self.flush_outgoing(core, &mut tls, limit)
            } else {
                self.flush_plaintext(core, &mut tls, limit)
            };
            match outcome {
                Ok(count) => budget = budget.saturating_sub(count),
                Err(error) => {
                    broken = Some(error);
                    break;
                }
            }
        }
        self.put_tls(tls);
        if let Some(broken) = broken {
            self.tls_write_failed(core, broken);
        }
    }

    /// Makes records of all that waits, whether they can be sent or not.
    pub(super) fn seal_all(&self, core: &Core, tls: &mut Tls) -> Result<(), rustls::Error> {
        core.tls.with_records(|records| {
            loop {
                let taken = {
                    let queue = self.writing.queue().borrow();
                    if queue.is_empty() {
                        return Ok(());
                    }
                    let mut slices = [IoSlice::new(&[]); SLICES];
                    let count = queue.fill(&mut slices, SENT_AT_ONCE);
                    seal_front(core, tls, &slices[..count], records)?
                };
                core.with_deferred_drops(|drops| {
                    self.writing.queue().borrow_mut().advance(taken, drops);
                });
                tls.outgoing.push_copy(records.bytes());
                records.clear();
            }
        })
    }

    fn flush_outgoing(&self, core: &Core, tls: &mut Tls, limit: usize) -> Result<usize, Broken> {
        let mut slices = [IoSlice::new(&[]); SLICES];
        let count = tls.outgoing.fill(&mut slices, limit);
        let offered: usize = slices[..count].iter().map(|slice| slice.len()).sum();
        match self.socket.write_vectored(&slices[..count]) {
            Ok(sent) => {
                core.with_deferred_drops(|drops| tls.outgoing.advance(sent, drops));
                if sent < offered {
                    self.note_short_write(sent);
                }
                self.note_flushed(core, sent);
                Ok(0)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.clear(Flags::WRITABLE);
                Ok(0)
            }
            Err(error) => Err(Broken::Socket(error)),
        }
    }

    /// Encrypts a piece from the front of the queue, and sends it. Returns how much of a file it
    /// was.
    fn flush_plaintext(&self, core: &Core, tls: &mut Tls, limit: usize) -> Result<usize, Broken> {
        core.tls.with_records(|records| {
            let mut queue = self.writing.queue().borrow_mut();
            if let Some(Front::File(file)) = queue.front() {
                let piece = file.read(limit).map_err(Broken::File)?;
                let count = piece.len();
                tls.layer.seal(piece, records).map_err(Broken::Tls)?;
                file.note_read(count);
                let sent = if file.is_sent() { queue.take_front_file() } else { None };
                drop(queue);
                if let Some(file) = sent {
                    file.succeed(core);
                }
                self.send_records(core, tls, records)?;
                if !self.has(Flags::WRITABLE)
                    && let Some(Front::File(file)) = self.writing.queue().borrow_mut().front()
                {
                    file.release_block();
                }
                return Ok(count);
            }
            let mut slices = [IoSlice::new(&[]); SLICES];
            let count = queue.fill(&mut slices, limit);
            let taken = seal_front(core, tls, &slices[..count], records).map_err(Broken::Tls)?;
            core.with_deferred_drops(|drops| queue.advance(taken, drops));
            drop(queue);
            self.send_records(core, tls, records)?;
            Ok(0)
        })
    }

    fn tls_write_failed(self: &Rc<Self>, core: &Rc<Core>, broken: Broken) {
        match broken {
            Broken::Socket(error) => self.write_failed(core, error),
            // The peer was promised bytes that are not there: nothing that could follow would be
            // understood.
            Broken::File(error) => {
                self.end(core, Some(Error::io("the file could not be sent", error)));
            }
            Broken::Tls(error) => self.end(core, Some(tls_error(error))),
        }
    }

    /// Everything written is sent: sends our `close_notify` if the write side is to end. Returns
    /// whether it may be ended now.
    pub(in crate::transport::stream) fn close_tls(self: &Rc<Self>, core: &Rc<Core>) -> bool {
        let Some(mut tls) = self.take_tls() else { return true };
        if self.has(Flags::HANDSHAKING) {
            self.put_tls(tls);
            // There is nothing to say good-bye to yet.
            return self.has(Flags::CLOSING);
        }
        if !tls.layer.close_was_sent() {
            // Whoever closes is not told that the peer was gone already.
            let closed = core.tls.with_records(|records| {
                tls.take_held(self, core, records);
                if !tls.is_cut_off {
                    tls.layer.close(records).map_err(Broken::Tls)?;
                }
                self.send_records(core, &mut tls, records)
            });
            if let Err(Broken::Tls(error)) = closed {
                self.report_tls_panic(core, &tls_error(error));
            }
        }
        let is_sent = tls.outgoing.is_empty();
        self.put_tls(tls);
        is_sent
    }
}

/// With any of these set what is written waits.
const CANNOT_SEND: Flags = Flags::HAS_QUEUE.union(Flags::CLOSED).union(Flags::LIMITED);

/// Appends the records of what is at the front to `records`. Returns how much plaintext that is.
fn seal_front(
    core: &Core,
    tls: &mut Tls,
    slices: &[IoSlice<'_>],
    records: &mut Scratch,
) -> Result<usize, rustls::Error> {
    if let Some(first) = slices.first()
        && first.len() >= RECORD
    {
        let piece = &first[..first.len().min(SENT_AT_ONCE)];
        tls.layer.seal(piece, records)?;
        return Ok(piece.len());
    }
    // What is small shares a record.
    core.tls.with_plaintext(|plaintext| {
        for slice in slices {
            let room = SENT_AT_ONCE - plaintext.len();
            plaintext.extend_from_slice(&slice[..slice.len().min(room)]);
            if plaintext.len() == SENT_AT_ONCE {
                break;
            }
        }
        tls.layer.seal(plaintext, records)?;
        Ok(plaintext.len())
    })
}
