//! Sockets, in the clear and under TLS.

use std::cell::Cell;
use std::os::fd::OwnedFd;
use std::rc::Rc;

#[cfg(feature = "tls")]
use wharf::TlsVersion;
use wharf::{Connection, EventLoop, Protocol};

use super::link::{Capabilities, Link};
use crate::encryption::{Tls, connect};
#[cfg(feature = "sim")]
use crate::simulated::World;

/// A kind of socket, which TLS can be put on.
pub(crate) trait Socket: Sized {
    /// As in [`Capabilities`].
    const CUT: bool = true;

    fn new() -> Self;

    fn event_loop(&self) -> &EventLoop;

    /// As in [`Link`].
    #[cfg(feature = "sim")]
    fn world(&self) -> Option<&World> {
        None
    }

    fn join<A: Protocol, B: Protocol>(&self, tls: Option<&Tls>, near: A, far: B) -> Connection<A>;

    /// A server for `near`, and a socket that is connected to it.
    fn accept<A: Protocol>(&self, tls: Option<&Tls>, near: A) -> Option<OwnedFd> {
        let _ = (tls, near);
        None
    }

    fn join_urgent<A: Protocol, B: Protocol>(
        &self,
        tls: Option<&Tls>,
        near: A,
        far: B,
    ) -> Option<OwnedFd> {
        let socket = self.accept(tls, near)?;
        let copy = socket.try_clone().expect("another descriptor");
        let event_loop = self.event_loop();
        let connecting = connect(tls, event_loop.create_connection_on(|| far, socket)).start();
        event_loop.run_until_complete(connecting).expect("it runs").expect("a connection");
        Some(copy)
    }
}

impl<S: Socket> Link for S {
    const CAPABILITIES: Capabilities = Capabilities { cut: S::CUT, ..Capabilities::ALL };

    fn new() -> Self {
        Socket::new()
    }

    fn event_loop(&self) -> &EventLoop {
        Socket::event_loop(self)
    }

    #[cfg(feature = "sim")]
    fn world(&self) -> Option<&World> {
        Socket::world(self)
    }

    fn join<A: Protocol, B: Protocol>(&self, near: A, far: B) -> Connection<A> {
        Socket::join(self, None, near, far)
    }

    fn join_urgent<A: Protocol, B: Protocol>(&self, near: A, far: B) -> Option<OwnedFd> {
        Socket::join_urgent(self, None, near, far)
    }
}

/// TLS 1.2 over a socket.
#[cfg(feature = "tls")]
pub(crate) struct Tls12<S>(S);

#[cfg(feature = "tls")]
impl<S: Socket> Link for Tls12<S> {
    const CAPABILITIES: Capabilities = Capabilities { half_close: false, ..Capabilities::TLS };

    fn new() -> Self {
        Self(S::new())
    }

    fn event_loop(&self) -> &EventLoop {
        self.0.event_loop()
    }

    #[cfg(feature = "sim")]
    fn world(&self) -> Option<&World> {
        Socket::world(&self.0)
    }

    fn join<A: Protocol, B: Protocol>(&self, near: A, far: B) -> Connection<A> {
        self.0.join(Some(&Tls::new(TlsVersion::Tls12)), near, far)
    }

    fn join_urgent<A: Protocol, B: Protocol>(&self, near: A, far: B) -> Option<OwnedFd> {
        self.0.join_urgent(Some(&Tls::new(TlsVersion::Tls12)), near, far)
    }
}

/// TLS 1.3 over a socket.
#[cfg(feature = "tls")]
pub(crate) struct Tls13<S>(S);

#[cfg(feature = "tls")]
impl<S: Socket> Link for Tls13<S> {
    const CAPABILITIES: Capabilities = Capabilities::TLS;

    fn new() -> Self {
        Self(S::new())
    }

    fn event_loop(&self) -> &EventLoop {
        self.0.event_loop()
    }

    #[cfg(feature = "sim")]
    fn world(&self) -> Option<&World> {
        Socket::world(&self.0)
    }

    fn join<A: Protocol, B: Protocol>(&self, near: A, far: B) -> Connection<A> {
        self.0.join(Some(&Tls::new(TlsVersion::Tls13)), near, far)
    }

    fn join_urgent<A: Protocol, B: Protocol>(&self, near: A, far: B) -> Option<OwnedFd> {
        self.0.join_urgent(Some(&Tls::new(TlsVersion::Tls13)), near, far)
    }
}

/// A server's factory that makes one protocol, and whether it did.
pub(crate) fn once<P: Protocol>(protocol: P) -> (impl FnMut() -> P + 'static, Rc<Cell<bool>>) {
    let made = Rc::new(Cell::new(false));
    let mark = Rc::clone(&made);
    let mut place = Some(protocol);
    let factory = move || {
        mark.set(true);
        place.take().expect("one connection")
    };
    (factory, made)
}
