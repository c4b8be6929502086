//! Protocols under TLS: of either version, and one in the other.

use wharf::bytes::Bytes;
use wharf::interop::rustls::{SupportedProtocolVersion, version};
use wharf::testing::pair;
use wharf::{Buffered, BufferedProtocol, Eof, Error, Protocol, Result, TlsUpgrade, Transport};

use super::actor::{Actor, At, By};
use super::tls::{client_config_of, quiet, server_config};
use crate::bomb::{Bomb, Owner};
use crate::stage::{Point, Stage, blow_up, reported};

/// Puts layer upon layer; what it is for comes under the last.
struct Layers {
    actor: Actor,
    upgrade: TlsUpgrade,
    /// Layers that are still to come.
    left: u32,
    /// It writes bytes whose owner is the point.
    writes: Option<Bomb>,
    /// It ends with what it has written.
    closes: bool,
}

impl Layers {
    fn begin(&mut self, transport: &dyn Transport) {
        self.left -= 1;
        transport.start_tls(self.upgrade.clone(), Bytes::new());
    }
}

impl Protocol for Layers {
    fn connection_made(&mut self, transport: &dyn Transport) -> Result {
        Protocol::connection_made(&mut self.actor, transport)?;
        self.begin(transport);
        Ok(())
    }

    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
        // What it says is not answered again: the two would go on for ever.
        let _ = data;
        self.actor.data_received(transport, b"")
    }

    fn eof_received(&mut self, transport: &dyn Transport) -> Result<Eof> {
        Protocol::eof_received(&mut self.actor, transport)
    }

    fn tls_established(&mut self, transport: &dyn Transport) -> Result {
        if self.left > 0 {
            self.begin(transport);
            return Ok(());
        }
        if let Some(bomb) = &self.writes {
            for len in [20, 40_000] {
                let owner = Owner(vec![7; len], bomb.on_drop());
                transport.write_bytes(Bytes::from_owner(owner));
            }
        } else {
            transport.write(b"hello");
        }
        Protocol::tls_established(&mut self.actor, transport)?;
        if self.closes {
            transport.close();
        }
        Ok(())
    }

    fn connection_lost(&mut self, transport: &dyn Transport, error: Option<&Error>) -> Result {
        Protocol::connection_lost(&mut self.actor, transport, error)
    }
}

impl BufferedProtocol for Layers {
    fn connection_made(&mut self, transport: &dyn Transport) -> Result {
        Protocol::connection_made(self, transport)
    }

    fn get_buffer(&mut self, transport: &dyn Transport, hint: usize) -> Result<&mut [u8]> {
        self.actor.get_buffer(transport, hint)
    }

    fn buffer_updated(&mut self, transport: &dyn Transport, _: usize) -> Result {
        self.actor.buffer_updated(transport, 0)
    }

    fn eof_received(&mut self, transport: &dyn Transport) -> Result<Eof> {
        Protocol::eof_received(self, transport)
    }

    fn tls_established(&mut self, transport: &dyn Transport) -> Result {
        Protocol::tls_established(self, transport)
    }

    fn connection_lost(&mut self, transport: &dyn Transport, error: Option<&Error>) -> Result {
        Protocol::connection_lost(self, transport, error)
    }
}

/// What the near end of a pair is, and how deep.
struct Setup {
    version: &'static SupportedProtocolVersion,
    depth: u32,
}

const SETUPS: [Setup; 4] = [
    Setup { version: &version::TLS12, depth: 1 },
    Setup { version: &version::TLS13, depth: 1 },
    Setup { version: &version::TLS12, depth: 2 },
    Setup { version: &version::TLS13, depth: 2 },
];

/// Reaches the point under every setup, in a pair whose other end closes when it has said something.
fn under_tls(stage: &Stage, actor: impl Fn() -> Actor, writes: bool, buffered: bool) {
    for Setup { version, depth } in SETUPS {
        let before = stage.bomb.count();
        let client = wharf::interop::tls_client(client_config_of(version)).server_name("localhost");
        let server = wharf::interop::tls_server(server_config(quiet()));
        let layers = |actor, upgrade: TlsUpgrade, writes, closes| Layers {
            actor,
            upgrade: upgrade.feed_leftover(),
            left: depth,
            writes,
            closes,
        };
        let writes = writes.then(|| stage.bomb.clone());
        let near = layers(actor(), client.into(), writes, false);
        let quiet = Actor::new(stage, At::Nowhere, By::Panic)();
        let far = layers(quiet, (&server).into(), None, true);
        if buffered {
            pair(&stage.event_loop, 1 << 16, Buffered(near), far).expect("a pair");
        } else {
            pair(&stage.event_loop, 1 << 16, near, far).expect("a pair");
        }
        stage.until("the end", || stage.event_loop.statistics().connections_open == 0);
        stage.until_reached(before);
    }
}

fn at(stage: &Stage, at: At, by: By) {
    under_tls(stage, || Actor::new(stage, at, by)(), false, false);
}

fn buffered(stage: &Stage, at: At, by: By) {
    under_tls(stage, || Actor::new(stage, at, by)(), false, true);
}

const POINTS: &[Point] = &[
    reported("tls_established", |stage| at(stage, At::Established, By::Panic)),
    reported("a buffered protocol's tls_established", |stage| {
        buffered(stage, At::Established, By::Panic);
    }),
    reported("the drop of tls_established's error", |stage| {
        at(stage, At::Established, By::DroppedError);
    }),
    reported("data_received under TLS", |stage| at(stage, At::Data, By::Panic)),
    reported("the drop of data_received's error under TLS", |stage| {
        at(stage, At::Data, By::DroppedError);
    }),
    reported("get_buffer under TLS", |stage| buffered(stage, At::GetBuffer, By::Panic)),
    reported("buffer_updated under TLS", |stage| buffered(stage, At::BufferUpdated, By::Panic)),
    reported("eof_received under TLS", |stage| at(stage, At::Eof, By::Panic)),
    reported("connection_lost under TLS", |stage| at(stage, At::Lost, By::Panic)),
    reported("the drop of a protocol under TLS", |stage| {
        under_tls(stage, || Actor::dropped(stage)(), false, false);
    }),
    reported("the drop of bytes written under TLS", |stage| {
        under_tls(stage, || Actor::new(stage, At::Nowhere, By::Panic)(), true, false);
    }),
    reported("the drop of bytes left over under TLS", |stage| {
        under_tls(stage, || Actor::new(stage, At::Data, By::Leftover)(), false, false);
    }),
];

#[test]
fn protocols_under_tls_at_any_depth_may_panic_and_what_they_write_too() {
    blow_up(POINTS);
}
