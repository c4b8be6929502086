//! A chat: rooms, nicknames, and a client for the terminal.
//!
//! ```text
//! cargo run --release --example chat -- --listen 127.0.0.1:7000
//! cargo run --release --example chat -- --connect 127.0.0.1:7000
//! ```
//!
//! The protocol is lines of text, so `nc 127.0.0.1 7000` is a client too. Read on in `server.rs`,
//! then in `member.rs`, which is the protocol of one connection; `hall.rs` is what all of them share.
#![forbid(unsafe_code)]

mod client;
mod command;
mod hall;
mod member;
mod server;

#[path = "../support/command_line.rs"]
mod command_line;
#[path = "../support/serving.rs"]
mod serving;
#[path = "../support/tls.rs"]
mod tls;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use lexopt::{Arg, ValueExt};
use wharf::{EventLoop, Result, TlsClient, TlsServer};

use self::server::chat_server;
use self::serving::{Listen, serve_until_signal};

const USAGE: &str = "
A chat with rooms and nicknames.

usage: chat --listen ADDRESS [SERVER]     serve, until SIGINT or SIGTERM
       chat --unix PATH [SERVER]          serve on a Unix socket
       chat --connect ADDRESS [CLIENT]    take part; type /help there

SERVER is --idle-timeout SECONDS    who says and hears nothing for so long is sent away
          --tls                     under TLS, with a certificate made on the spot; its fingerprint
                                    is printed
          --cert FILE --key FILE    under TLS, with a certificate of your own, in PEM

CLIENT is --tls                     under TLS; trusts whom the operating system trusts
          --fingerprint HEX         under TLS; trusts the certificate with this SHA-256 fingerprint
          --ca FILE                 under TLS; trusts the authorities in this file, in PEM
";

fn main() -> ExitCode {
    command_line::run(USAGE, |mut arguments| {
        let (mut listen, mut connect, mut idle) = (None, None, None);
        let (mut wants_tls, mut cert, mut key) = (false, None, None);
        let (mut fingerprint, mut ca) = (None, None);
        while let Some(argument) = arguments.next()? {
            match argument {
                Arg::Long("listen") => listen = Some(Listen::Address(arguments.value()?.string()?)),
                Arg::Long("unix") => listen = Some(Listen::Unix(arguments.value()?.into())),
                Arg::Long("connect") => connect = Some(arguments.value()?.string()?),
                Arg::Long("idle-timeout") => {
                    idle = Some(Duration::from_secs(arguments.value()?.parse()?));
                }
                Arg::Long("tls") => wants_tls = true,
                Arg::Long("cert") => cert = Some(arguments.value()?.into()),
                Arg::Long("key") => key = Some(arguments.value()?.into()),
                Arg::Long("fingerprint") => fingerprint = Some(arguments.value()?.string()?),
                Arg::Long("ca") => ca = Some(arguments.value()?.into()),
                other => return Err(other.unexpected().into()),
            }
        }
        match (listen, connect) {
            (Some(listen), None) => {
                let wants_tls = wants_tls || cert.is_some() || key.is_some();
                serve(listen, idle, wants_tls.then(|| tls::server(cert, key)).transpose()?)
            }
            (None, Some(address)) => {
                let wants_tls = wants_tls || fingerprint.is_some() || ca.is_some();
                client::run(address, wants_tls.then(|| trust(fingerprint, ca)).transpose()?)
            }
            _ => Err(lexopt::Error::from("one of --listen, --unix and --connect is needed").into()),
        }
    })
}

fn serve(listen: Listen, idle: Option<Duration>, tls: Option<TlsServer>) -> Result {
    let event_loop = EventLoop::new()?;
    event_loop.run(async |event_loop| {
        let mut server = chat_server(&event_loop, listen, idle);
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

/// The client's side of TLS.
fn trust(fingerprint: Option<String>, ca: Option<PathBuf>) -> Result<TlsClient> {
    let mut tls = TlsClient::builder();
    if let Some(fingerprint) = fingerprint {
        tls = tls.pin_certificate(fingerprint.parse()?);
    }
    if let Some(ca) = ca {
        tls = tls.ca_file(ca);
    }
    Ok(tls.build()?)
}
