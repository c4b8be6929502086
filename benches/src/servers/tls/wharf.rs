//! wharf's echo, with one line more.

use std::net::SocketAddr;

use signal_hook::consts::SIGTERM;
use wharf::{EventLoop, Protocol, TlsIdentity, TlsServer, TlsVersion, Transport};

use super::super::{announce, prepare};
use crate::Result;

pub(super) fn run(listen: SocketAddr) -> Result {
    prepare()?;
    let made = super::certified()?;
    let identity = TlsIdentity::from_pem(made.cert.pem(), made.signing_key.serialize_pem());
    let tls = TlsServer::builder().identity(identity).min_version(TlsVersion::Tls13).build()?;
    EventLoop::new()?.run(async |event_loop| {
        let server = event_loop.create_server(|| Echo, listen).tls(&tls).await?;
        for address in server.addresses() {
            announce(address)?;
        }
        let closing = server.clone();
        event_loop.add_signal_handler(SIGTERM, move || closing.close())?;
        server.serve_forever().await?;
        Ok(())
    })
}

#[derive(Debug)]
struct Echo;

impl Protocol for Echo {
    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> wharf::Result {
        transport.write(data);
        Ok(())
    }
}
