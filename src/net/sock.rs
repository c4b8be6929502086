//! asyncio's `sock_*`: sockets of the user's own, awaited one operation at a time.

use std::fmt;
use std::future::Future;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rustix::net::{RecvFlags, SendFlags};
use socket2::SockRef;

use crate::address::Address;
use crate::error::Error;
use crate::event_loop::{Direction, EventLoop, Wait};

/// # Sockets of your own
///
/// For programs that have a socket and no protocol: each operation is tried at once, and waits only
/// when the system says that it would block. Giving up a wait takes nothing from the next one that
/// waits.
impl EventLoop {
    /// Receives what is there, at least one byte, into `buffer`; 0 is the peer's end.
    ///
    /// It never blocks the loop, whatever mode the socket is in. What was received is not lost when
    /// the future is dropped: it is taken only in the step that completes it.
    ///
    /// ```
    /// use std::os::unix::net::UnixStream;
    ///
    /// # fn main() -> wharf::Result {
    /// let event_loop = wharf::EventLoop::new()?;
    /// let (ours, theirs) = UnixStream::pair()?;
    /// event_loop.run(async |event_loop| {
    ///     event_loop.sock_sendall(&theirs, b"hello").await?;
    ///     let mut buffer = [0; 16];
    ///     let count = event_loop.sock_recv(&ours, &mut buffer).await?;
    ///     assert_eq!(&buffer[..count], b"hello");
    ///     Ok(())
    /// })
    /// # }
    /// ```
    ///
    /// # Errors
    /// What the operating system says; and as [`add_reader`](Self::add_reader).
    pub fn sock_recv<'a, S: AsFd>(&self, socket: S, buffer: &'a mut [u8]) -> SockRecv<'a, S> {
        SockRecv { event_loop: self.clone(), socket, buffer, waiting: None }
    }

    /// Sends all of `data`.
    ///
    /// When the future is dropped before it is done, a part that nobody knows was sent (asyncio's
    /// rule). It never blocks the loop, whatever mode the socket is in.
    ///
    /// # Errors
    /// What the operating system says; and as [`add_writer`](Self::add_writer).
    pub async fn sock_sendall(&self, socket: impl AsFd, mut data: &[u8]) -> Result<(), Error> {
        self.core().check_open()?;
        while !data.is_empty() {
            let sent = rustix::net::send(&socket, data, SendFlags::DONTWAIT | SendFlags::NOSIGNAL);
            match sent.map_err(io::Error::from) {
                Ok(count) => data = &data[count..],
                Err(error) => {
                    self.go_on(error)?;
                    self.wait_writable(&socket).await?;
                }
            }
        }
        Ok(())
    }

    /// Connects a socket; host names are not resolved.
    ///
    /// # Errors
    /// What the operating system says, with the address; [`is_invalid`](Error::is_invalid) for a
    /// blocking socket; and as [`add_writer`](Self::add_writer).
    pub async fn sock_connect(
        &self,
        socket: impl AsFd,
        address: impl Into<Address>,
    ) -> Result<(), Error> {
        self.core().check_open()?;
        check_nonblocking(&socket)?;
        let address = address.into();
        let failed = |error| Error::io(format!("connecting to {address}"), error);
        let to = address.to_socket2().map_err(failed)?;
        match SockRef::from(&socket).connect(&to) {
            Ok(()) => return Ok(()),
            Err(error) if is_in_progress(&error) => {}
            Err(error) => return Err(failed(error)),
        }
        self.wait_writable(&socket).await?;
        match SockRef::from(&socket).take_error() {
            Ok(None) => Ok(()),
            Ok(Some(error)) | Err(error) => Err(failed(error)),
        }
    }

    /// Accepts a connection: its socket, which does not block and is closed on `exec`, and the
    /// peer's address.
    ///
    /// # Errors
    /// What the operating system says; [`is_invalid`](Error::is_invalid) for a blocking listener;
    /// and as [`add_reader`](Self::add_reader).
    pub async fn sock_accept(
        &self,
        listener: impl AsFd,
    ) -> Result<(OwnedFd, Option<Address>), Error> {
        self.core().check_open()?;
        check_nonblocking(&listener)?;
        loop {
            match SockRef::from(&listener).accept() {
                Ok((socket, peer)) => {
                    socket.set_nonblocking(true)?;
                    return Ok((socket.into(), Address::from_socket2(&peer)));
                }
                Err(error) => self.go_on(error)?,
            }
            self.wait_readable(&listener).await?;
        }
    }

    /// Whether an operation that failed is worth another try once the socket is ready.
    fn go_on(&self, error: io::Error) -> Result<(), Error> {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => self.core().check_open(),
            _ => Err(error.into()),
        }
    }
}

/// What [`EventLoop::sock_recv`] returns: it receives when it is awaited.
///
/// The buffer is free again as soon as it has been awaited, also where it was pinned:
///
/// ```
/// use std::os::unix::net::UnixStream;
/// use std::pin::pin;
///
/// # fn main() -> wharf::Result {
/// let event_loop = wharf::EventLoop::new()?;
/// let (ours, theirs) = UnixStream::pair()?;
/// event_loop.run(async |event_loop| {
///     event_loop.sock_sendall(&theirs, b"hello").await?;
///     let mut buffer = [0; 16];
///     let receiving = pin!(event_loop.sock_recv(&ours, &mut buffer));
///     let count = receiving.await?;
///     assert_eq!(&buffer[..count], b"hello");
///     Ok(())
/// })
/// # }
/// ```
// No `async` block: the borrow of the buffer would last until that is dropped.
#[must_use = "it receives only when it is awaited"]
pub struct SockRecv<'a, S> {
    event_loop: EventLoop,
    socket: S,
    buffer: &'a mut [u8],
    waiting: Option<Wait>,
}

/// Nothing in it is pinned.
impl<S> Unpin for SockRecv<'_, S> {}

impl<S: AsFd> Future for SockRecv<'_, S> {
    type Output = Result<usize, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        loop {
            if let Some(wait) = &mut this.waiting {
                ready!(Pin::new(wait).poll(context));
                this.waiting = None;
            }
            this.event_loop.core().check_open()?;
            let received = rustix::net::recv(&this.socket, &mut *this.buffer, RecvFlags::DONTWAIT);
            match received.map_err(io::Error::from) {
                Ok((count, _)) => return Poll::Ready(Ok(count)),
                Err(error) => this.event_loop.go_on(error)?,
            }
            this.waiting =
                Some(Wait::begin(&this.event_loop, this.socket.as_fd(), Direction::Read)?);
        }
    }
}

impl<S> fmt::Debug for SockRecv<'_, S> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SockRecv").field("room", &self.buffer.len()).finish_non_exhaustive()
    }
}

/// Connecting and accepting on a blocking socket would stop the whole loop.
fn check_nonblocking(socket: &impl AsFd) -> Result<(), Error> {
    let flags = rustix::fs::fcntl_getfl(socket).map_err(io::Error::from)?;
    if flags.contains(rustix::fs::OFlags::NONBLOCK) {
        Ok(())
    } else {
        Err(Error::invalid("the socket must be non-blocking"))
    }
}

fn is_in_progress(error: &io::Error) -> bool {
    // Interrupted by a signal, it goes on all the same.
    error.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error())
        || error.kind() == io::ErrorKind::Interrupted
}
