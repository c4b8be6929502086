//! `open_connection` and its kin.

use std::os::fd::OwnedFd;
use std::rc::Rc;

use super::{StreamProtocol, StreamReader, StreamWriter};
use crate::address::UnixAddress;
use crate::event_loop::{Core, EventLoop};
use crate::net::{ConnectionBuilder, Targets};

/// # Streams
///
/// Connections and servers for `async` code: instead of a protocol there are a [`StreamReader`] and a
/// [`StreamWriter`].
impl EventLoop {
    /// Connects to an address, for a reader and a writer: asyncio's `open_connection`.
    ///
    /// `to`, the options and the errors are those of [`create_connection`](Self::create_connection).
    ///
    /// ```
    /// # use wharf::testing::MemoryNetwork;
    /// # fn main() -> wharf::Result {
    /// # let event_loop = MemoryNetwork::new().event_loop();
    /// event_loop.run(async |event_loop| {
    ///     event_loop
    ///         .start_server(
    ///             async |mut reader, writer| {
    ///                 let name = reader.read_line().await?.unwrap_or("nobody");
    ///                 writer.write_all(format!("hello {name}\n").as_bytes()).await?;
    ///                 Ok(())
    ///             },
    ///             "10.0.0.1:7",
    ///         )
    ///         .await?;
    ///
    ///     let (mut reader, writer) = event_loop.open_connection("10.0.0.1:7").await?;
    ///     writer.write_all(b"world\n").await?;
    ///     assert_eq!(reader.read_line().await?, Some("hello world"));
    ///     Ok(())
    /// })
    /// # }
    /// ```
    ///
    /// Dropping the builder, or the future it gives while that is pending, connects nothing. Both halves dropped
    /// close the connection, as [`StreamWriter::close`] does.
    #[doc(alias("TcpStream", "connect"))]
    pub fn open_connection(
        &self,
        to: impl Into<Targets>,
    ) -> ConnectionBuilder<StreamProtocol, (StreamReader, StreamWriter)> {
        let (factory, halves) = stream_factory(self.core());
        self.create_connection(factory, to).finishing(halves)
    }

    /// As [`open_connection`](Self::open_connection), to a Unix socket: see
    /// [`create_unix_connection`](Self::create_unix_connection).
    #[doc(alias("UnixStream"))]
    pub fn open_unix_connection(
        &self,
        path: impl Into<UnixAddress>,
    ) -> ConnectionBuilder<StreamProtocol, (StreamReader, StreamWriter)> {
        let (factory, halves) = stream_factory(self.core());
        self.create_unix_connection(factory, path).finishing(halves)
    }

    /// As [`open_connection`](Self::open_connection), on a socket that is connected already: see
    /// [`create_connection_on`](Self::create_connection_on).
    pub fn open_connection_on(
        &self,
        socket: impl Into<OwnedFd>,
    ) -> ConnectionBuilder<StreamProtocol, (StreamReader, StreamWriter)> {
        let (factory, halves) = stream_factory(self.core());
        self.create_connection_on(factory, socket).finishing(halves)
    }
}

/// A factory for one protocol, and what makes its halves once it has a connection. If it gets none, there never are
/// halves.
pub(crate) fn stream_factory<C>(
    core: &Rc<Core>,
) -> (
    impl FnOnce() -> StreamProtocol + 'static,
    impl FnOnce(C) -> (StreamReader, StreamWriter) + 'static,
) {
    let protocol = StreamProtocol::new(core);
    let link = Rc::clone(protocol.link());
    let halves = move |_: C| StreamProtocol::halves_of(&link);
    (move || protocol, halves)
}
