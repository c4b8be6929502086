//! What stands in the place of `tls/` without the feature `tls-core`: no stream has TLS.

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;

use super::Stream;
use crate::error::Error;
use crate::event_loop::Core;

/// Where the TLS of a stream would be.
#[derive(Default)]
pub(super) struct TlsPlace {}

/// None of these is called but those that answer for all streams, as no stream has the flag.
impl Stream {
    pub(super) fn read_tls(self: &Rc<Self>, _: &Rc<Core>, _: &mut [u8]) {}

    pub(super) fn look_ahead(self: &Rc<Self>, _: &Rc<Core>, _: &mut [u8]) -> bool {
        false
    }

    pub(super) fn feed_handshake(&self) {}

    pub(super) fn continue_handshake(self: &Rc<Self>, _: &Rc<Core>, _: &mut [u8]) {}

    pub(super) fn closes_before_handshake(&self) -> bool {
        false
    }

    pub(super) fn handshake_failed(self: &Rc<Self>, core: &Rc<Core>, error: Option<Error>) {
        core.drop_user(error, "user's error");
    }

    pub(super) fn send_by_tls(
        self: &Rc<Self>,
        _: &Rc<Core>,
        _: &[u8],
        _: &[u8],
        _: Option<&Bytes>,
    ) {
    }

    pub(super) fn flush_tls(self: &Rc<Self>, _: &Rc<Core>) {}

    pub(super) fn tls_waiting(&self) -> usize {
        0
    }

    pub(super) fn discard_tls_queue(&self, _: &Core) {}

    pub(super) fn tls_can_write_eof(&self) -> bool {
        true
    }

    pub(super) fn tls_said_nothing(&self) -> bool {
        false
    }

    pub(super) fn close_tls(self: &Rc<Self>, _: &Rc<Core>) -> bool {
        true
    }

    pub(super) fn await_end(self: &Rc<Self>, _: &Rc<Core>, _: &mut [u8]) {}

    pub(super) fn shutdown_timeout(&self) -> Option<Duration> {
        None
    }

    pub(super) fn report_tls_panic(&self, _: &Core, _: &Error) {}

    pub(super) fn has_lost_tls(&self) -> bool {
        false
    }

    pub(super) fn drop_tls(&self, _: &Core) {}

    pub(crate) fn withhold_close_notify(&self) {}
}
