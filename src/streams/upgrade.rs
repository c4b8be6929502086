//! Changing what a stream is: TLS in the middle, and from a protocol to a stream and back.

use std::rc::Rc;

use bytes::Bytes;

use super::link::Link;
#[cfg(feature = "tls-core")]
use super::link::State;
use super::{ByteStream, StreamProtocol};
use crate::error::Error;
use crate::protocol::Protocol;
#[cfg(feature = "tls-core")]
use crate::transport::{Access, TlsUpgrade};
use crate::transport::{Connection, Transport};

/// # Changing what it is
impl ByteStream {
    /// Goes on under TLS (STARTTLS), when the handshake is done: asyncio's `StreamWriter.start_tls`.
    ///
    /// What was written before goes out as it is. What the reader holds came without TLS: unless it holds nothing,
    /// or the upgrade [says to feed it to TLS](TlsUpgrade::feed_leftover), the connection is aborted. So read all that
    /// belongs to the time before, and nothing more, as `read_line` does.
    ///
    /// Dropping the future does not stop the handshake: what is written is sent under TLS when it is done, and what is
    /// read came under TLS.
    ///
    /// ```
    /// use wharf::{ByteStream, Result, TlsClient};
    ///
    /// async fn upgrade(stream: &mut ByteStream, tls: TlsClient) -> Result {
    ///     stream.writer().write_all(b"STARTTLS\r\n").await?;
    ///     if stream.reader().read_line().await? != Some("220 go ahead") {
    ///         return Err("the server has no TLS".into());
    ///     }
    ///     stream.start_tls(tls.server_name("mail.example.org")).await?;
    ///     Ok(())
    /// }
    /// # let _ = upgrade;
    /// ```
    ///
    /// # Errors
    /// Those of [`Transport::start_tls`], which end the connection; [`is_invalid`](Error::is_invalid) for halves of
    /// different connections.
    #[cfg(feature = "tls-core")]
    pub async fn start_tls(&mut self, upgrade: impl Into<TlsUpgrade>) -> Result<(), Error> {
        let link = self.one_link()?;
        let leftover = self.reader.take_all().into();
        link.set(State::UPGRADING);
        Transport::start_tls(&*link, upgrade.into(), leftover);
        let look = || {
            if link.has(State::LOST) {
                return Some(Err(link.error().unwrap_or_else(|| link.closed())));
            }
            (!link.has(State::UPGRADING)).then_some(Ok(()))
        };
        link.waiting.wait_for(link.core(), look).await
    }

    /// Makes a stream of a connection that had a protocol until now: asyncio's `StreamReaderProtocol`.
    ///
    /// The protocol is replaced, as by [`Transport::set_protocol`]; `leftover` is what it received but did not
    /// consume, and is read first. For protocols that begin with callbacks, and go on in a task:
    ///
    /// ```
    /// use wharf::testing::MemoryNetwork;
    /// use wharf::{ByteStream, Protocol, Result, Transport};
    ///
    /// /// Looks at the first byte, then leaves the connection to a task.
    /// struct Choose;
    ///
    /// impl Protocol for Choose {
    ///     fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
    ///         let mut stream = ByteStream::take_over(transport, data[1..].to_vec());
    ///         let greeting = if data[0] == b'!' { "loud" } else { "quiet" };
    ///         let serving = async move {
    ///             stream.writer().write_all(greeting.as_bytes()).await?;
    ///             let (reader, writer) = stream.halves();
    ///             writer.write_all(reader.read_chunk().await?).await?;
    ///             Ok::<_, wharf::Failure>(())
    ///         };
    ///         transport.event_loop().create_task(serving).detach();
    ///         Ok(())
    ///     }
    /// }
    ///
    /// # fn main() -> Result {
    /// MemoryNetwork::new().event_loop().run(async |event_loop| {
    ///     event_loop.create_server(|| Choose, "10.0.0.1:7").await?;
    ///     let (mut reader, writer) = event_loop.open_connection("10.0.0.1:7").await?;
    ///     writer.write_all(b"!rest").await?;
    ///     assert_eq!(reader.read_to_end(100).await?, b"loudrest");
    ///     Ok(())
    /// })
    /// # }
    /// ```
    pub fn take_over(transport: &dyn Transport, leftover: impl Into<Bytes>) -> Self {
        let stream = StreamProtocol::on(&transport.handle());
        let (reader, writer) = stream.halves();
        transport.set_protocol(Box::new(stream), leftover.into());
        Self::join(reader, writer)
    }

    /// Gives the connection a protocol: from now on callbacks are told what comes, first of all what the reader holds.
    ///
    /// `connection_made` is not called; an end of the peer's side is told again. See [`Transport::set_protocol`].
    /// Tasks that wait for the stream fail with [`is_replaced`](Error::is_replaced).
    ///
    /// # Errors
    /// [`is_invalid`](Error::is_invalid) for halves of different connections, which are dropped; as is `protocol`.
    pub fn into_protocol<P: Protocol>(mut self, protocol: P) -> Result<Connection<P>, Error> {
        let link = self.one_link()?;
        let connection = Connection::new(Transport::handle(&*link));
        let leftover = self.reader.take_all().into();
        Transport::set_protocol(&*link, Box::new(protocol), leftover);
        Transport::resume_reading(&*link);
        // The halves, when they are dropped, no longer end it.
        link.detach();
        Ok(connection)
    }

    fn one_link(&self) -> Result<Rc<Link>, Error> {
        if !Rc::ptr_eq(&self.reader.link, &self.writer.link) {
            return Err(Error::invalid("the halves belong to different connections"));
        }
        Ok(Rc::clone(&self.reader.link))
    }
}
