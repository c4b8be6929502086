//! Files on their way out: ranges of files in the write queue.

use std::cell::Cell;
use std::fmt;
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::rc::Rc;

use rustix::fs::{OFlags, fcntl_getfl};
use rustix::io::Errno;

use crate::driver::Socket;
use crate::error::{Error, Kind};
use crate::event_loop::{Callback, Core, Ready};
use crate::task::{Promise, future};
use crate::transport::stream::Stream;
use crate::transport::stream::flags::Flags;
use crate::transport::{Progress, SendFile};

/// What is read of a file at a time where the system cannot send it by itself.
const BLOCK: usize = 128 * 1024;

/// What the system is asked to read ahead as soon as a file is queued.
const READ_AHEAD: u64 = 1024 * 1024;

impl Stream {
    pub(in crate::transport::stream) fn send_file(
        self: &Rc<Self>,
        core: &Rc<Core>,
        file: Rc<File>,
        offset: u64,
        count: Option<u64>,
    ) -> SendFile {
        if !self.admits_write(core) {
            return SendFile::refused(core, Error::bare(Kind::Closed));
        }
        let count = match checked_range(&file, offset, count) {
            Ok(count) => count,
            Err(error) => return SendFile::refused(core, error),
        };
        let (promise, future) = future(core);
        let progress = Rc::new(Progress::default());
        let sending = SendFile::new(core, future, Rc::clone(&progress), count);
        if count == 0 {
            promise.set(Ok(0));
            return sending;
        }
        read_ahead(&file, offset, count.min(READ_AHEAD));
        let (key, own, mark) = (self.key, Rc::clone(core), Rc::clone(&progress));
        promise.on_cancel_at_once(move || {
            if let Some(stream) = own.stream(key) {
                stream.cancel_file(&own, &mark);
            }
        });
        self.queue_gathered(core);
        let file = QueuedFile::new(file, offset, count, progress, promise);
        self.push(core, |queue| queue.push_file(file));
        self.update_soon(core);
        sending
    }

    /// Takes the file with this progress out of the queue; what comes after it takes its place.
    fn cancel_file(self: &Rc<Self>, core: &Rc<Core>, progress: &Rc<Progress>) {
        let file = self.writing.queue.borrow_mut().take_file(progress);
        if file.is_some() {
            if self.waiting() == 0 {
                self.clear(Flags::HAS_QUEUE);
            }
            self.update_soon(core);
        }
        drop(file);
    }
}

/// A range of a file in the write queue.
pub(in crate::transport::stream) struct QueuedFile {
    file: Rc<File>,
    /// Where the next byte to send is.
    offset: u64,
    left: u64,
    /// Shared with whoever asked for it.
    progress: Rc<Progress>,
    promise: Promise<u64>,
    /// Whether the system sends it by itself, as far as is known.
    zero_copy: bool,
    /// Where it does not: what was read of it and not yet sent.
    block: Block,
}

#[derive(Default)]
struct Block {
    bytes: Vec<u8>,
    sent: usize,
}

/// What one step brought.
pub(in crate::transport::stream) enum Step {
    Sent(usize),
    /// The socket takes nothing now.
    Full,
    FileFailed(io::Error),
    SocketFailed(io::Error),
}

impl QueuedFile {
    pub(in crate::transport::stream) fn new(
        file: Rc<File>,
        offset: u64,
        count: u64,
        progress: Rc<Progress>,
        promise: Promise<u64>,
    ) -> Self {
        let block = Block::default();
        Self { file, offset, left: count, progress, promise, zero_copy: true, block }
    }

    /// Sends up to `most` bytes.
    pub(in crate::transport::stream) fn step(&mut self, socket: &Socket, most: usize) -> Step {
        let most = usize::try_from(self.left).map_or(most, |left| left.min(most));
        if self.zero_copy && self.block.is_empty() {
            match socket.send_file(&self.file, self.offset, most) {
                Ok(0) => return Step::FileFailed(truncated()),
                Ok(sent) => return self.advance(sent),
                // It may be the file that has nothing now: the poll would not tell when it has.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if !socket.is_writable() {
                        return Step::Full;
                    }
                }
                Err(error) if cannot(&error) => self.zero_copy = false,
                Err(error) if is_of_file(&error) => return Step::FileFailed(error),
                Err(error) => return Step::SocketFailed(error),
            }
        }
        if let Err(error) = self.fill_block(most) {
            return Step::FileFailed(error);
        }
        let rest = &self.block.bytes[self.block.sent..];
        match socket.write(&rest[..rest.len().min(most)]) {
            Ok(sent) => {
                self.block.sent += sent;
                self.advance(sent)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Step::Full,
            Err(error) => Step::SocketFailed(error),
        }
    }

    fn fill_block(&mut self, most: usize) -> io::Result<()> {
        if !self.block.is_empty() {
            return Ok(());
        }
        let most = usize::try_from(self.left).map_or(most, |left| left.min(most));
        self.block.read(&self.file, self.offset, most.min(BLOCK))
    }

    /// Reads up to `most` bytes, to be sent by somebody else.
    pub(in crate::transport::stream) fn read(&mut self, most: usize) -> io::Result<&[u8]> {
        self.fill_block(most)?;
        let rest = &self.block.bytes[self.block.sent..];
        Ok(&rest[..rest.len().min(most)])
    }

    /// Gives the memory back in which nothing waits: the socket takes no more for now.
    pub(in crate::transport::stream) fn release_block(&mut self) {
        if self.block.is_empty() {
            self.block = Block::default();
        }
    }

    /// The first `count` of the bytes that were [read](Self::read) are on their way.
    pub(in crate::transport::stream) fn note_read(&mut self, count: usize) {
        self.block.sent += count;
        self.advance(count);
    }

    pub(in crate::transport::stream) fn progress(&self) -> &Rc<Progress> {
        &self.progress
    }

    pub(in crate::transport::stream) fn is_sent(&self) -> bool {
        self.left == 0
    }

    /// Tells whoever waits that all of it was sent.
    pub(in crate::transport::stream) fn succeed(self, core: &Core) {
        let sent = self.progress.sent.get();
        tell(core, self.promise, Ok(sent));
    }

    /// Tells whoever waits why it was not sent.
    pub(in crate::transport::stream) fn fail(self, core: &Core, error: Error) {
        tell(core, self.promise, Err(error));
    }

    fn advance(&mut self, sent: usize) -> Step {
        self.offset += sent as u64;
        self.left -= sent as u64;
        self.progress.sent.set(self.progress.sent.get() + sent as u64);
        Step::Sent(sent)
    }
}

impl fmt::Debug for QueuedFile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("QueuedFile")
            .field("offset", &self.offset)
            .field("left", &self.left)
            .finish_non_exhaustive()
    }
}

impl Block {
    fn is_empty(&self) -> bool {
        self.sent == self.bytes.len()
    }

    fn read(&mut self, file: &File, offset: u64, most: usize) -> io::Result<()> {
        self.bytes.resize(most, 0);
        self.sent = 0;
        let result = loop {
            match file.read_at(&mut self.bytes, offset) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(0) => break Err(truncated()),
                result => break result,
            }
        };
        self.bytes.truncate(*result.as_ref().unwrap_or(&0));
        result.map(drop)
    }
}

/// Why a file that waits is not going to be sent, when the connection ends for `cause`.
pub(in crate::transport::stream) fn undelivered(cause: Option<&Error>) -> Error {
    let text = "the connection ended before the whole file was sent";
    let Some(cause) = cause else { return Error::new(Kind::Closed, text) };
    cause.clone().in_context(text)
}

/// How many bytes are to be sent; an error if the file does not have them.
fn checked_range(file: &File, offset: u64, count: Option<u64>) -> Result<u64, Error> {
    let failed = |error| Error::io("the file to send cannot be looked at", error);
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        let text = "only regular files can be sent with send_file";
        return Err(Error::new(Kind::Unsupported, text));
    }
    let flags = fcntl_getfl(file).map_err(|error| failed(error.into()))?;
    if flags & OFlags::RWMODE == OFlags::WRONLY {
        return Err(Error::invalid("the file to send is not open for reading"));
    }
    let there = metadata.len().saturating_sub(offset);
    check_size_is_known(file, &metadata, offset, count.unwrap_or(there).min(there))?;
    match count {
        Some(count) if count > there => Err(Error::invalid(format!(
            "{count} bytes from {offset} on are to be sent of a file that has only {there} there"
        ))),
        Some(count) => Ok(count),
        None => Ok(there),
    }
}

/// Refuses files that are made up while they are read: their size is 0 (`/proc`) or a page (`/sys`),
/// however many bytes they have.
///
/// They occupy nothing on any disk. So do empty and sparse files, which have the bytes that they say.
fn check_size_is_known(
    file: &File,
    metadata: &Metadata,
    offset: u64,
    count: u64,
) -> Result<(), Error> {
    if metadata.blocks() > 0 {
        return Ok(());
    }
    // Reading some of the former waits for what is to come, as of /proc/kmsg: they are told by where
    // they are. Of others it shows whether the size is true.
    let is_known = !is_made_up(file) && {
        let last = offset.saturating_add(count.saturating_sub(1));
        let found = loop {
            match file.read_at(&mut [0], last) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => break result,
            }
        };
        let expected = usize::from(count > 0);
        // Beyond the end of what it says it has, a file may have anything.
        found.is_ok_and(|found| found == expected || offset < metadata.len() && count == 0)
    };
    if is_known {
        return Ok(());
    }
    let text = "the size of the file is not known before it is read, as of those in /proc and /sys: \
                read it, and write what came";
    Err(Error::new(Kind::Unsupported, text))
}

#[cfg(linux_kernel)]
fn is_made_up(file: &File) -> bool {
    // As in the kernel's `magic.h`: proc, sysfs, debugfs, tracefs, securityfs, configfs, both cgroups,
    // bpf, resctrl, binfmt_misc, selinux, smack, efivarfs, pstore.
    const KINDS: [u64; 15] = [
        0x9fa0,
        0x6265_6572,
        0x6462_6720,
        0x7472_6163,
        0x7363_6673,
        0x6265_6570,
        0x0027_e0eb,
        0x6367_7270,
        0xcafe_4a11,
        0x0765_5821,
        0x4249_4e4d,
        0xf97c_ff8c,
        0x4341_5d53,
        0xde5e_81e4,
        0x6165_676c,
    ];
    // The kind is a signed number here and an unsigned one there: its lower half is what counts.
    rustix::fs::fstatfs(file)
        .is_ok_and(|status| KINDS.contains(&(status.f_type as u64 & 0xffff_ffff)))
}

#[cfg(not(linux_kernel))]
fn is_made_up(_: &File) -> bool {
    false
}

/// Makes the system begin to fetch what is not in its page cache, and does not wait for it.
fn read_ahead(file: &File, offset: u64, count: u64) {
    #[cfg(any(linux_kernel, target_os = "freebsd"))]
    if let Some(count) = std::num::NonZero::new(count) {
        // Only a hint: where it is not taken the file is read all the same.
        let _ = rustix::fs::fadvise(file, offset, Some(count), rustix::fs::Advice::WillNeed);
    }
    #[cfg(not(any(linux_kernel, target_os = "freebsd")))]
    let _ = (file, offset, count);
}

fn truncated() -> io::Error {
    let text = "the file became shorter while it was sent";
    io::Error::new(io::ErrorKind::UnexpectedEof, text)
}

/// Whether the system does not send such a file to such a socket by itself.
fn cannot(error: &io::Error) -> bool {
    let cannot = [Errno::INVAL, Errno::NOSYS, Errno::OPNOTSUPP, Errno::NOTSOCK];
    error.kind() == io::ErrorKind::Unsupported || is_one_of(error, &cannot)
}

/// What only reading fails with.
fn is_of_file(error: &io::Error) -> bool {
    is_one_of(error, &[Errno::IO, Errno::STALE, Errno::BADF, Errno::ACCESS, Errno::PERM])
}

fn is_one_of(error: &io::Error, several: &[Errno]) -> bool {
    several.iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

/// Completes the future in the next round: whoever waits for it is the user's code.
fn tell(core: &Core, promise: Promise<u64>, result: Result<u64, Error>) {
    let outcome = Outcome(Cell::new(Some((promise, result))));
    core.push_ready(Ready::Callback(Rc::new(outcome)));
}

struct Outcome(Cell<Option<Told>>);

type Told = (Promise<u64>, Result<u64, Error>);

impl Outcome {
    fn tell(&self) {
        if let Some((promise, result)) = self.0.take() {
            promise.set(result);
        }
    }
}

impl Callback for Outcome {
    fn run(self: Rc<Self>, _: &Rc<Core>) {
        self.tell();
    }

    fn discard(self: Rc<Self>, _: &Core) {
        self.tell();
    }
}
