//! A protocol of lines that goes on under TLS when the client says so, as mail servers do.
//!
//! ```text
//! cargo run --release --example starttls -- --listen 127.0.0.1:7000
//! cargo run --release --example starttls -- --connect 127.0.0.1:7000 --fingerprint ..
//! ```
//!
//! Its words are those of SMTP, so that `openssl s_client -starttls smtp -connect 127.0.0.1:7000` is
//! a client too. The connection stays the same throughout: the same protocol, the same handle.
#![forbid(unsafe_code)]

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use lexopt::{Arg, ValueExt};
use wharf::bytes::Bytes;
use wharf::{
    Error, EventLoop, Promise, Result, Timeout, TimeoutKind, TlsClient, TlsServer, Transport,
};
use wharf_protocols::line::{LineProtocol, Lines};

use wharf_examples::command_line::{address, host_of, misused, run, seconds, set_once};
use wharf_examples::serving::{Listen, serve_until_signal};
use wharf_examples::text::shown;
use wharf_examples::tls;

const USAGE: &str = "
Goes on under TLS when the client says STARTTLS.

usage: starttls --listen ADDRESS [SERVER]    serve, until SIGINT or SIGTERM
       starttls --unix PATH [SERVER]         serve on a Unix socket
       starttls --connect ADDRESS CLIENT     upgrade, and show what the server says then

SERVER is --cert FILE --key FILE    a certificate of your own, in PEM, instead of one made on the
                                    spot, whose fingerprint is printed

CLIENT is --fingerprint HEX         trusts the certificate with this SHA-256 fingerprint
          --ca FILE                 trusts the authorities in this file, in PEM
          --patience SECONDS        how long each answer may take; 30 unless given
";

fn main() -> ExitCode {
    run(USAGE, |mut arguments| {
        let (mut listen, mut connect, mut cert, mut key) = (None, None, None, None);
        let (mut trust, mut trusts) = (TlsClient::builder(), false);
        let mut patience = None;
        while let Some(argument) = arguments.next()? {
            match argument {
                Arg::Long("listen") => set_once(&mut listen, Listen::address(&mut arguments)?)?,
                Arg::Long("unix") => set_once(&mut listen, Listen::unix(&mut arguments)?)?,
                Arg::Long("connect") => {
                    set_once(&mut connect, arguments.value()?.parse_with(address)?)?;
                }
                Arg::Long("cert") => cert = Some(arguments.value()?.into()),
                Arg::Long("key") => key = Some(arguments.value()?.into()),
                Arg::Long("fingerprint") => {
                    trust = trust.pin_certificate(arguments.value()?.parse()?);
                    trusts = true;
                }
                Arg::Long("ca") => {
                    trust = trust.ca_file(arguments.value()?);
                    trusts = true;
                }
                Arg::Long("patience") => patience = Some(arguments.value()?.parse_with(seconds)?),
                other => return Err(other.unexpected().into()),
            }
        }
        let is_for_clients = trusts || patience.is_some();
        let has_certificate = cert.is_some() || key.is_some();
        match (listen, connect) {
            (Some(listen), None) if !is_for_clients => serve(listen, tls::server(cert, key)?),
            (None, Some(address)) if !has_certificate => {
                visit(address, trust.build()?, patience.unwrap_or(PATIENCE))
            }
            (None, Some(_)) => Err(misused("--cert and --key are for servers")),
            (Some(_), None) => Err(misused("--fingerprint, --ca and --patience are for clients")),
            _ => Err(misused("one of --listen, --unix and --connect is needed")),
        }
    })
}

fn serve(listen: Listen, tls: TlsServer) -> Result {
    let event_loop = EventLoop::new()?;
    event_loop.run(async |event_loop| {
        let own = tls.clone();
        let clerk = move || Lines::new(Clerk { tls: own.clone() });
        let server = match listen {
            Listen::Address(address) => event_loop.create_server(clerk, address).await?,
            Listen::Unix(path) => event_loop.create_unix_server(clerk, path).await?,
        };
        tls::print_fingerprint(&event_loop, &tls);
        serve_until_signal(server).await
    })
}

/// The server's end.
struct Clerk {
    tls: TlsServer,
}

impl LineProtocol for Clerk {
    fn connection_made(&mut self, transport: &dyn Transport) -> Result {
        transport.write(b"220 ready\r\n");
        Ok(())
    }

    fn line_received(&mut self, transport: &dyn Transport, line: &[u8]) -> Result {
        let info = transport.info();
        let word = line.split(|byte| *byte == b' ').next().unwrap_or_default();
        match (&*word.to_ascii_uppercase(), info.tls()) {
            (b"EHLO", None) => transport.write(b"250-hello\r\n250 STARTTLS\r\n"),
            (b"EHLO", Some(_)) => transport.write(b"250 hello\r\n"),
            (b"STARTTLS", None) => {
                // Still readable to everybody; all that is written after `start_tls` is not. What
                // came in the same read as this line is not TLS: it would end the connection, as
                // somebody on the way may have put it there.
                transport.write(b"220 go ahead\r\n");
                transport.start_tls((&self.tls).into(), Bytes::new());
                return Ok(());
            }
            (b"STARTTLS", Some(_)) => transport.write(b"503 that was done\r\n"),
            (b"SECRET", None) => transport.write(b"530 STARTTLS comes first\r\n"),
            (b"SECRET", Some(tls)) => {
                let version = tls.version().map(|version| version.to_string()).unwrap_or_default();
                let suite = tls.cipher_suite().unwrap_or_default();
                transport.write(format!("250 safe with {version} and {suite}\r\n").as_bytes())
            }
            (b"QUIT", _) => {
                transport.write(b"221 good-bye\r\n");
                transport.close();
                return Ok(());
            }
            _ => transport.write(b"502 unknown command\r\n"),
        };
        Ok(())
    }
}

fn visit(address: String, tls: TlsClient, patience: Duration) -> Result {
    let tls = tls.server_name(host_of(&address)?);
    let event_loop = EventLoop::new()?;
    event_loop.run(async |event_loop| {
        let (ending, ended) = event_loop.create_future();
        let visitor = Visitor { tls, step: Step::Greeting, patience, ending: Some(ending) };
        event_loop.create_connection(|| Lines::new(visitor), address).await?;
        ended.await??;
        Ok(())
    })
}

/// How long the client waits for each answer, unless it is told otherwise.
const PATIENCE: Duration = Duration::from_secs(30);

/// The client's end.
struct Visitor {
    tls: TlsClient,
    step: Step,
    patience: Duration,
    /// Told how the connection ended.
    ending: Option<Promise<Result<(), String>>>,
}

/// What the client waits for.
enum Step {
    Greeting,
    /// The answer to EHLO, in which STARTTLS has to be.
    Features {
        has_tls: bool,
    },
    GoAhead,
    Secrets,
    GoodBye,
    Done,
}

impl LineProtocol for Visitor {
    fn connection_made(&mut self, transport: &dyn Transport) -> Result {
        transport.set_timeout(Timeout::User, Some(self.patience));
        Ok(())
    }

    fn line_received(&mut self, transport: &dyn Transport, line: &[u8]) -> Result {
        let is_last = line.get(3) != Some(&b'-');
        if is_last {
            // From now on the next answer is due, whatever comes of it meanwhile.
            transport.set_timeout(Timeout::User, Some(self.patience));
        }
        match (&mut self.step, line) {
            (Step::Greeting, [b'2', ..]) => {
                transport.write(b"EHLO visitor\r\n");
                self.step = Step::Features { has_tls: false };
            }
            (Step::Features { has_tls }, [b'2', ..]) => {
                *has_tls |= line.ends_with(b"STARTTLS");
                match (is_last, *has_tls) {
                    (false, _) => {}
                    (true, true) => {
                        transport.write(b"STARTTLS\r\n");
                        self.step = Step::GoAhead;
                    }
                    // Perhaps somebody on the way took it out. Going on without would please them.
                    (true, false) => return Err("the server does not offer STARTTLS".into()),
                }
            }
            (Step::GoAhead, [b'2', ..]) => {
                transport.start_tls((&self.tls).into(), Bytes::new());
                self.step = Step::Secrets;
            }
            (Step::Secrets, [b'2', ..]) => {
                writeln!(io::stdout(), "{}", shown(line))?;
                self.step = Step::GoodBye;
            }
            (Step::GoodBye, [b'2', ..]) => {
                writeln!(io::stdout(), "{}", shown(line))?;
                self.step = Step::Done;
            }
            (_, line) => return Err(format!("refused: {}", String::from_utf8_lossy(line)).into()),
        }
        Ok(())
    }

    /// The server is the one that it should be, and nobody reads along.
    fn tls_established(&mut self, transport: &dyn Transport) -> Result {
        transport.write(b"SECRET\r\nQUIT\r\n");
        Ok(())
    }

    fn connection_lost(&mut self, _: &dyn Transport, error: Option<&Error>) -> Result {
        let outcome = match (error, &self.step) {
            (Some(error), _) if error.timeout_kind() == Some(TimeoutKind::User) => {
                Err("no answer came in time".to_owned())
            }
            (Some(error), _) => Err(format!("{error:#}")),
            (None, Step::Done) => Ok(()),
            (None, _) => Err("the server ended the connection too early".to_owned()),
        };
        if let Some(ending) = self.ending.take() {
            // Refused when nobody waits for it any more, which is fine.
            let _ = ending.set_result(outcome);
        }
        Ok(())
    }
}
