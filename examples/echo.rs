//! The smallest server: it sends back whatever it receives.
//!
//! ```text
//! cargo run --release --example echo -- --listen 127.0.0.1:7000
//! ```
//!
//! Then, in a second terminal, `nc 127.0.0.1 7000`, and type. With `--tls` it is
//! `openssl s_client -quiet -connect 127.0.0.1:7000` instead.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use lexopt::Arg;
use wharf::{Protocol, Result, TlsServer, Transport};

use wharf_examples::command_line::{missing, run, set_once};
use wharf_examples::serving::{Listen, serve_until_signal};
use wharf_examples::tls;

const USAGE: &str = "
Sends back whatever it receives, until SIGINT or SIGTERM.

usage: echo --listen ADDRESS [TLS]    such as 127.0.0.1:7000, or :7000 for all interfaces
       echo --unix PATH [TLS]         a Unix socket

TLS is --tls                     with a certificate made on the spot; its fingerprint is printed
       --cert FILE --key FILE    with one of your own, in PEM
";

/// One value of this type is made for each connection. It needs to remember nothing.
struct Echo;

impl Protocol for Echo {
    /// The loop calls this whenever bytes have arrived. Writing never waits: what the peer does not
    /// take yet is queued, and the loop stops reading from a peer that takes nothing, so that the
    /// queue stays short.
    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
        transport.write(data);
        Ok(())
    }
}

fn main() -> ExitCode {
    run(USAGE, |mut arguments| {
        let (mut listen, mut wants_tls, mut cert, mut key) = (None, false, None, None);
        while let Some(argument) = arguments.next()? {
            match argument {
                Arg::Long("listen") => set_once(&mut listen, Listen::address(&mut arguments)?)?,
                Arg::Long("unix") => set_once(&mut listen, Listen::unix(&mut arguments)?)?,
                Arg::Long("tls") => wants_tls = true,
                Arg::Long("cert") => cert = Some(arguments.value()?.into()),
                Arg::Long("key") => key = Some(arguments.value()?.into()),
                other => return Err(other.unexpected().into()),
            }
        }
        let listen = listen.ok_or_else(|| missing("--listen ADDRESS or --unix PATH"))?;
        let wants_tls = wants_tls || cert.is_some() || key.is_some();
        serve(listen, wants_tls.then(|| tls::server(cert, key)).transpose()?)
    })
}

fn serve(listen: Listen, tls: Option<TlsServer>) -> Result {
    wharf::run(async |event_loop| {
        let mut server = match listen {
            Listen::Address(address) => event_loop.create_server(|| Echo, address),
            Listen::Unix(path) => event_loop.create_unix_server(|| Echo, path),
        };
        if let Some(tls) = &tls {
            server = server.tls(tls);
        }
        let server = server.await?;
        if let Some(tls) = &tls {
            tls::print_fingerprint(&event_loop, tls);
        }
        serve_until_signal(server).await
    })
}
