//! wharf's echo, with one line more.

use std::net::SocketAddr;

use wharf::{EventLoop, TlsIdentity, TlsServer, TlsVersion};

use super::super::prepare;
use super::super::wharf::{Echo, serve_until_told};
use crate::Result;

pub(super) fn run(listen: SocketAddr) -> Result {
    prepare()?;
    let made = super::certified()?;
    let identity = TlsIdentity::from_pem(made.cert.pem(), made.signing_key.serialize_pem());
    let tls = TlsServer::builder().identity(identity).min_version(TlsVersion::Tls13).build()?;
    EventLoop::new()?.run(async |event_loop| {
        let server = event_loop.create_server(|| Echo, listen).tls(&tls).await?;
        serve_until_told(&event_loop, &server).await
    })
}
