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
mod stdio;
mod terminal;
mod visit;

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use lexopt::{Arg, ValueExt};
use wharf::{EventLoop, Result, TlsClient, TlsServer};

use self::server::chat_server;
use wharf_examples::command_line::{address, misused, run, seconds, set_once};
use wharf_examples::serving::{Listen, serve_until_signal};
use wharf_examples::tls;

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

At a terminal the client has a line editor: the prompt and what is typed stay below what is heard,
the arrows go through what was said, Tab completes commands. Elsewhere it is as stdio_chat.

exit code of the client: 0 if it left by itself, 1 if the server ended the connection or it broke
";

fn main() -> ExitCode {
    run(USAGE, |arguments| {
        match parse(arguments)? {
            Role::Server { listen, idle, tls } => serve(listen, idle, tls)?,
            Role::Client { address, tls } => {
                if io::stdin().is_terminal() && io::stdout().is_terminal() {
                    return terminal::run(&address, tls);
                }
                stdio::run(address, tls)?;
            }
        }
        Ok(ExitCode::SUCCESS)
    })
}

enum Role {
    Server { listen: Listen, idle: Option<Duration>, tls: Option<TlsServer> },
    Client { address: String, tls: Option<TlsClient> },
}

fn parse(mut arguments: lexopt::Parser) -> Result<Role> {
    let (mut listen, mut connect, mut idle) = (None, None, None);
    let (mut wants_tls, mut cert, mut key) = (false, None, None);
    let (mut fingerprint, mut ca) = (None, None);
    while let Some(argument) = arguments.next()? {
        match argument {
            Arg::Long("listen") => set_once(&mut listen, Listen::address(&mut arguments)?)?,
            Arg::Long("unix") => set_once(&mut listen, Listen::unix(&mut arguments)?)?,
            Arg::Long("connect") => {
                set_once(&mut connect, arguments.value()?.parse_with(address)?)?;
            }
            Arg::Long("idle-timeout") => idle = Some(arguments.value()?.parse_with(seconds)?),
            Arg::Long("tls") => wants_tls = true,
            Arg::Long("cert") => cert = Some(arguments.value()?.into()),
            Arg::Long("key") => key = Some(arguments.value()?.into()),
            Arg::Long("fingerprint") => fingerprint = Some(arguments.value()?.string()?),
            Arg::Long("ca") => ca = Some(arguments.value()?.into()),
            other => return Err(other.unexpected().into()),
        }
    }
    let has_certificate = cert.is_some() || key.is_some();
    let has_trust = fingerprint.is_some() || ca.is_some();
    match (listen, connect) {
        (Some(_), None) if has_trust => Err(misused("--fingerprint and --ca are for clients")),
        (None, Some(_)) if has_certificate || idle.is_some() => {
            Err(misused("--cert, --key and --idle-timeout are for servers"))
        }
        (Some(listen), None) => {
            let wants_tls = wants_tls || has_certificate;
            let tls = wants_tls.then(|| tls::server(cert, key)).transpose()?;
            Ok(Role::Server { listen, idle, tls })
        }
        (None, Some(address)) => {
            let wants_tls = wants_tls || has_trust;
            let tls = wants_tls.then(|| trust(fingerprint, ca)).transpose()?;
            Ok(Role::Client { address, tls })
        }
        _ => Err(misused("one of --listen, --unix and --connect is needed")),
    }
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
