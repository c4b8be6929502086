//! The protocols of the server.

use std::rc::Rc;

use wharf::bytes::Bytes;
use wharf::{
    Address, DatagramProtocol, DatagramTransport, Eof, Protocol, Result, StreamReader,
    StreamWriter, TlsUpgrade, Transport,
};
use wharf_protocols::line::{LineProtocol, WriteLine as _};

use super::clients::{GO_AHEAD, UPGRADE};
use super::ledger::Ledger;
use super::speech::Listener;

/// Sends back what comes, as it comes.
pub(super) struct Echo {
    ledger: Rc<Ledger>,
    listener: Listener,
    upgrade: Option<TlsUpgrade>,
    request: Vec<u8>,
}

impl Echo {
    /// With an upgrade, it waits for the client to ask for it.
    pub(super) fn new(ledger: &Rc<Ledger>, upgrade: Option<TlsUpgrade>) -> Self {
        let ledger = Rc::clone(ledger);
        Self { ledger, listener: Listener::default(), upgrade, request: Vec::new() }
    }
}

impl Protocol for Echo {
    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
        if self.upgrade.is_none() {
            let is_right = self.listener.hear(data);
            self.ledger.check(is_right, || format!("the server heard what nobody said: {data:?}"));
            transport.write(data);
            return Ok(());
        }
        self.request.extend_from_slice(data);
        self.ledger.check(UPGRADE.starts_with(&self.request), || "a wrong request".to_owned());
        if self.request.len() >= UPGRADE.len()
            && let Some(upgrade) = self.upgrade.take()
        {
            transport.write(GO_AHEAD);
            transport.start_tls(upgrade, Bytes::new());
        }
        Ok(())
    }
}

/// Sends back all that has come, when all has come.
pub(super) struct Answer {
    ledger: Rc<Ledger>,
    listener: Listener,
    kept: Vec<u8>,
}

impl Answer {
    pub(super) fn new(ledger: &Rc<Ledger>) -> Self {
        Self { ledger: Rc::clone(ledger), listener: Listener::default(), kept: Vec::new() }
    }
}

impl Protocol for Answer {
    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
        let is_right = self.listener.hear(data);
        self.ledger.check(is_right, || format!("the server heard what nobody said: {data:?}"));
        self.kept.extend_from_slice(data);
        // A client that closes in the end does not end its side before.
        if self.listener.has_all() {
            transport.write(&std::mem::take(&mut self.kept));
        }
        Ok(())
    }

    fn eof_received(&mut self, transport: &dyn Transport) -> Result<Eof> {
        transport.close();
        Ok(Eof::KeepOpen)
    }
}

/// Sends back lines.
pub(super) struct LineEcho;

impl LineProtocol for LineEcho {
    fn line_received(&mut self, transport: &dyn Transport, line: &[u8]) -> Result {
        transport.write_line(line)?;
        Ok(())
    }
}

/// As [`Echo`], for streams. Whoever breaks off is gone.
pub(super) async fn echo(
    mut reader: StreamReader,
    writer: StreamWriter,
    ledger: Rc<Ledger>,
) -> Result {
    let mut listener = Listener::default();
    loop {
        let data = match reader.read_chunk().await {
            Ok(data) if !data.is_empty() => data,
            Ok(_) => return Ok(()),
            Err(error) => {
                ledger.check_error("the server's stream", &error);
                return Ok(());
            }
        };
        ledger
            .check(listener.hear(data), || format!("the server heard what nobody said: {data:?}"));
        if writer.write_all(data).await.is_err() {
            return Ok(());
        }
    }
}

/// Sends back datagrams.
pub(super) struct DatagramEcho;

impl DatagramProtocol for DatagramEcho {
    fn datagram_received(
        &mut self,
        transport: &dyn DatagramTransport,
        data: &[u8],
        from: &Address,
    ) -> Result {
        // What finds no room here is lost, as what finds none on its way.
        let _ = transport.send_to(data, from);
        Ok(())
    }
}
