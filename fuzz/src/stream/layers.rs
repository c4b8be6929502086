//! TLS under the connections of a script, layer in layer.
//!
//! Only in scripts that begin with a marker: the meaning of all others, and so of older inputs, stays.
//! The byte behind the marker chooses the version and the number of layers.
//!
//! A protocol does nothing before all layers of its connection are established: bytes that it wrote
//! earlier would reach the other side as part of a handshake.

use std::cell::Cell;

use wharf::bytes::Bytes;
use wharf::{TlsUpgrade, Transport};

use super::{Life, World};
use crate::sides::SIDES;

/// Such a script begins with 255 and this.
pub(super) const KIND: u8 = 0xfd;

/// Which side of a connection a protocol is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Client,
    Server,
}

/// The layers of each connection of a script.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layers {
    /// A place in [`SIDES`].
    version: usize,
    depth: usize,
}

impl Layers {
    pub(super) fn chosen_by(choice: u8) -> Self {
        let choice = usize::from(choice);
        Self { version: choice % 2, depth: 1 + choice / 2 % 3 }
    }

    fn upgrade(self, side: Side) -> TlsUpgrade {
        let (client, server) = &SIDES[self.version];
        let upgrade: TlsUpgrade = match side {
            Side::Client => client.into(),
            Side::Server => server.into(),
        };
        upgrade.feed_leftover()
    }
}

/// How far a connection is with its layers.
#[derive(Default)]
pub(super) struct Progress {
    side: Cell<Option<Side>>,
    missing: Cell<usize>,
}

impl Progress {
    /// Whether nothing that is written can reach a handshake any more.
    pub(super) fn is_done(&self) -> bool {
        self.missing.get() == 0
    }
}

impl World {
    /// Begins the first layer of a connection, if it is to have any.
    pub(super) fn begin_layers(&self, transport: &dyn Transport, life: &Life, side: Side) {
        if let Some(layers) = self.layers {
            life.layers.side.set(Some(side));
            life.layers.missing.set(layers.depth);
            transport.start_tls(layers.upgrade(side), Bytes::new());
        }
    }

    /// A layer is established: begins the next one, if there is one.
    pub(super) fn end_layer(&self, transport: &dyn Transport, life: &Life) {
        let missing = life.layers.missing.get();
        self.check(missing > 0, "tls_established without a handshake");
        life.layers.missing.set(missing.saturating_sub(1));
        if let (Some(layers), Some(side), 2..) = (self.layers, life.layers.side.get(), missing) {
            transport.start_tls(layers.upgrade(side), Bytes::new());
        }
    }
}
