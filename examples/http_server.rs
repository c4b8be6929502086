//! A server of HTTP/1.1: a text, JSON, an echo, files, and a stream of events.
//!
//! ```text
//! cargo run --release --example http_server -- --listen 127.0.0.1:8000 --files docs
//! ```
//!
//! Then, in a second terminal, `curl -i 127.0.0.1:8000/plaintext`. With `--tls` it is
//! `curl -ik https://127.0.0.1:8000/plaintext`.
#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use lexopt::Arg;
use wharf::{Result, TlsServer, sleep, spawn};
use wharf_protocols::http::{
    Answer, ContentLength, Exchange, Files, HttpHandler, HttpServer, RequestHead, ServerSentEvent,
};

use wharf_examples::command_line::{missing, run, set_once};
use wharf_examples::serving::{Listen, serve_until_signal};
use wharf_examples::tls;

const USAGE: &str = "
Serves HTTP/1.1, until SIGINT or SIGTERM.

usage: http_server --listen ADDRESS [--files DIRECTORY] [TLS]    such as 127.0.0.1:8000
       http_server --unix PATH [--files DIRECTORY] [TLS]         a Unix socket

  /plaintext    Hello, World!
  /json         the same as JSON
  /echo         what is sent to it, as it comes
  /events       a server-sent event each second
  all others    the files of DIRECTORY

TLS is --tls                     with a certificate made on the spot; its fingerprint is printed
       --cert FILE --key FILE    with one of your own, in PEM
";

/// Answers the requests of one connection. What a request has to do with the next one is up to it: here, nothing.
struct Site {
    files: Option<Files>,
    is_echo: bool,
}

impl HttpHandler for Site {
    /// A head has come. It is lent, and answers at once need no memory of their own.
    fn request(&mut self, request: &RequestHead<'_>, exchange: &mut Exchange<'_>) -> Result {
        self.is_echo = request.path() == "/echo";
        match request.path() {
            "/plaintext" => {
                exchange.respond(200, &[("Content-Type", b"text/plain")], b"Hello, World!")?;
            }
            "/json" => {
                let json = br#"{"message":"Hello, World!"}"#;
                exchange.respond(200, &[("Content-Type", b"application/json")], json)?;
            }
            "/echo" => {
                let length = match request.content_length() {
                    ContentLength::Exact(length) => Some(length),
                    _ => None,
                };
                let kind = request.headers().get("content-type");
                let kind = kind.unwrap_or(b"application/octet-stream");
                exchange.begin(200, &[("Content-Type", kind)], length)?;
            }
            "/events" => {
                let fields =
                    [("Content-Type", &b"text/event-stream"[..]), ("Cache-Control", b"no-store")];
                exchange.begin(200, &fields, None)?;
                // From here on a task has the answer. It ends when the client is gone.
                spawn(tell_the_time(exchange.later()?)).detach();
            }
            _ => match &self.files {
                Some(files) => files.respond(request, exchange)?,
                None => {
                    exchange.respond(404, &[("Content-Type", b"text/plain")], b"not found\n")?;
                }
            },
        }
        Ok(())
    }

    /// Some content has come. If the client does not take what comes back, it is not read from any more.
    fn data(&mut self, data: &[u8], exchange: &mut Exchange<'_>) -> Result {
        if self.is_echo {
            exchange.write(data)?;
        }
        Ok(())
    }

    fn end(&mut self, exchange: &mut Exchange<'_>) -> Result {
        if self.is_echo {
            exchange.finish()?;
        }
        Ok(())
    }
}

async fn tell_the_time(mut answer: Answer) {
    let mut text = Vec::new();
    for second in 0_u64.. {
        text.clear();
        let number = second.to_string();
        let event = ServerSentEvent::new(&number).event("second").id(&number);
        let sent = event.encode(&mut text).and_then(|()| answer.write(&text));
        if sent.is_err() || answer.drain().await.is_err() {
            break;
        }
        sleep(Duration::from_secs(1)).await;
    }
}

fn main() -> ExitCode {
    run(USAGE, |mut arguments| {
        let (mut listen, mut wants_tls, mut cert, mut key) = (None, false, None, None);
        let mut directory: Option<PathBuf> = None;
        while let Some(argument) = arguments.next()? {
            match argument {
                Arg::Long("listen") => set_once(&mut listen, Listen::address(&mut arguments)?)?,
                Arg::Long("unix") => set_once(&mut listen, Listen::unix(&mut arguments)?)?,
                Arg::Long("files") => directory = Some(arguments.value()?.into()),
                Arg::Long("tls") => wants_tls = true,
                Arg::Long("cert") => cert = Some(arguments.value()?.into()),
                Arg::Long("key") => key = Some(arguments.value()?.into()),
                other => return Err(other.unexpected().into()),
            }
        }
        let listen = listen.ok_or_else(|| missing("--listen ADDRESS or --unix PATH"))?;
        let files = directory.map(Files::new).transpose()?;
        let wants_tls = wants_tls || cert.is_some() || key.is_some();
        serve(listen, files, wants_tls.then(|| tls::server(cert, key)).transpose()?)
    })
}

fn serve(listen: Listen, files: Option<Files>, tls: Option<TlsServer>) -> Result {
    wharf::run(async |event_loop| {
        // All connections share the server's settings, its clock and a buffer.
        let site =
            HttpServer::new().serve_with(move || Site { files: files.clone(), is_echo: false });
        let mut server = match listen {
            Listen::Address(address) => event_loop.create_server(site, address),
            Listen::Unix(path) => event_loop.create_unix_server(site, path),
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
