//! One implementation of [`Transport`] for everything that leads to a stream.

use std::fs::File;
use std::io::IoSlice;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;

use super::Stream;
use super::flags::Flags;
use crate::driver::{Key, TransportId};
use crate::error::{Error, Kind};
use crate::event_loop::{Core, EventLoop};
use crate::protocol::Protocol;
use crate::timeout::Timeout;
#[cfg(feature = "tls-core")]
use crate::transport::TlsUpgrade;
use crate::transport::rate_limit::Direction;
use crate::transport::{
    CloseReason, Facts, Info, RateGroup, RateLimit, SendFile, Transport, TransportHandle,
    WaterMarks, WriteStatus,
};

pub(crate) mod sealed {
    /// Only wharf implements what requires this.
    #[diagnostic::on_unimplemented(
        message = "`Transport` is sealed: `{Self}` cannot implement it",
        label = "only wharf's own types implement `wharf::Transport`",
        note = "to test a protocol without sockets, use `wharf::testing`"
    )]
    #[allow(unnameable_types, unreachable_pub)]
    pub trait Sealed {}
}

/// What leads to a stream: the transport lent to a callback, or a handle.
pub(crate) trait Access {
    fn core(&self) -> &Rc<Core>;
    fn key(&self) -> Key;
    fn facts(&self) -> Rc<Facts>;
    /// What `act` makes of the stream; `None` when it is closed.
    fn with<R>(&self, act: impl FnOnce(&Rc<Stream>) -> R) -> Option<R>;
}

/// The transport that is lent to a callback.
pub(super) struct Lent<'a> {
    pub(super) core: &'a Rc<Core>,
    pub(super) stream: &'a Rc<Stream>,
}

impl Access for Lent<'_> {
    fn core(&self) -> &Rc<Core> {
        self.core
    }

    fn key(&self) -> Key {
        self.stream.key
    }

    fn facts(&self) -> Rc<Facts> {
        self.stream.facts()
    }

    #[inline]
    fn with<R>(&self, act: impl FnOnce(&Rc<Stream>) -> R) -> Option<R> {
        Some(act(self.stream))
    }
}

/// The error of what cannot be done because the connection is closed: it says why.
pub(crate) fn closed(transport: &impl Transport) -> Error {
    transport.close_reason().map_or_else(|| Error::bare(Kind::Closed), Error::from)
}

impl<A: Access> sealed::Sealed for A {}

impl<A: Access> Transport for A {
    fn write(&self, data: &[u8]) -> WriteStatus {
        self.with(|stream| stream.write(self.core(), data, None)).unwrap_or(WriteStatus::Closed)
    }

    fn write_bytes(&self, data: Bytes) -> WriteStatus {
        let status = self.with(|stream| stream.write(self.core(), &data, Some(&data)));
        self.core().drop_user(data, "buffer");
        status.unwrap_or(WriteStatus::Closed)
    }

    fn write_vectored(&self, slices: &[IoSlice<'_>]) -> WriteStatus {
        self.with(|stream| stream.write_vectored(self.core(), slices))
            .unwrap_or(WriteStatus::Closed)
    }

    fn send_file(&self, file: Rc<File>, offset: u64, count: Option<u64>) -> SendFile {
        self.with(|stream| stream.send_file(self.core(), file, offset, count))
            .unwrap_or_else(|| SendFile::refused(self.core(), closed(self)))
    }

    fn write_with_descriptors(
        &self,
        data: &[u8],
        descriptors: Vec<OwnedFd>,
    ) -> Result<WriteStatus, Error> {
        self.with(|stream| stream.write_with_descriptors(self.core(), data, descriptors))
            .unwrap_or(Ok(WriteStatus::Closed))
    }

    fn write_eof(&self) {
        self.with(|stream| stream.write_eof(self.core()));
    }

    fn can_write_eof(&self) -> bool {
        self.with(|stream| stream.can_write_eof()).unwrap_or(false)
    }

    fn close(&self) {
        self.with(|stream| stream.close(self.core()));
    }

    fn abort(&self) {
        self.with(|stream| stream.abort(self.core()));
    }

    fn is_closing(&self) -> bool {
        self.with(|stream| stream.is_closing()).unwrap_or(true)
    }

    fn close_reason(&self) -> Option<CloseReason> {
        self.with(|stream| stream.close_reason()).unwrap_or_else(|| self.facts().close_reason())
    }

    fn pause_reading(&self) {
        self.with(|stream| stream.pause_reading(self.core()));
    }

    fn resume_reading(&self) {
        self.with(|stream| stream.resume_reading(self.core()));
    }

    fn hold_reading(&self) {
        self.with(|stream| stream.hold_reading());
    }

    fn is_reading(&self) -> bool {
        self.with(|stream| {
            stream.is_reading() && !stream.has(Flags::SWITCHING.union(Flags::HANDSHAKING))
        })
        .unwrap_or(false)
    }

    fn unread(&self, count: usize) {
        self.with(|stream| stream.unread(self.core(), count));
    }

    fn write_buffer_size(&self) -> usize {
        self.with(|stream| stream.write_buffer_size(self.core())).unwrap_or(0)
    }

    fn write_buffer_limits(&self) -> WaterMarks {
        self.with(|stream| stream.writing.marks().get()).unwrap_or(WaterMarks { low: 0, high: 0 })
    }

    fn set_write_buffer_limits(&self, limits: WaterMarks) -> Result<(), Error> {
        self.with(|stream| stream.set_write_buffer_limits(self.core(), limits)).unwrap_or(Ok(()))
    }

    fn set_write_buffer_cap(&self, cap: Option<usize>) {
        self.with(|stream| stream.writing.set_cap(cap));
    }

    fn set_timeout(&self, timeout: Timeout, after: Option<Duration>) {
        self.with(|stream| stream.set_timeout(self.core(), timeout, after));
    }

    fn set_protocol(&self, next: Box<dyn Protocol>, leftover: Bytes) {
        let core = self.core();
        let mut given = Some((next, leftover));
        self.with(|stream| {
            if let Some((next, leftover)) = given.take() {
                stream.set_protocol(core, next, leftover);
            }
        });
        // The connection is closed.
        if let Some((next, leftover)) = given {
            core.drop_user(next, "protocol");
            core.drop_user(leftover, "buffer");
        }
    }

    #[cfg(feature = "tls-core")]
    fn export_keying_material(
        &self,
        output: &mut [u8],
        label: &[u8],
        context: Option<&[u8]>,
    ) -> Result<(), Error> {
        self.with(|stream| stream.export_keying_material(output, label, context))
            .unwrap_or_else(|| Err(closed(self)))
    }

    #[cfg(feature = "tls-core")]
    fn start_tls(&self, upgrade: TlsUpgrade, leftover: Bytes) {
        self.with(|stream| stream.start_tls(self.core(), &upgrade, &leftover));
        self.core().drop_user(leftover, "buffer");
        self.core().drop_user(upgrade, "TLS configuration");
    }

    fn set_read_limit(&self, limit: Option<RateLimit>) {
        self.with(|stream| stream.set_limit(self.core(), Direction::Read, limit));
    }

    fn set_write_limit(&self, limit: Option<RateLimit>) {
        self.with(|stream| stream.set_limit(self.core(), Direction::Write, limit));
    }

    fn set_rate_group(&self, group: Option<&RateGroup>) -> Result<(), Error> {
        self.with(|stream| stream.set_rate_group(self.core(), group)).unwrap_or(Ok(()))
    }

    fn info(&self) -> Rc<Info> {
        let info = self.with(|stream| stream.info());
        info.or_else(|| self.facts().info()).unwrap_or_default()
    }

    fn id(&self) -> TransportId {
        TransportId(self.key())
    }

    fn handle(&self) -> TransportHandle {
        TransportHandle::new(Rc::clone(self.core()), self.key(), self.facts())
    }

    fn event_loop(&self) -> EventLoop {
        EventLoop::from_core(Rc::clone(self.core()))
    }
}
