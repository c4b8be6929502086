//! A proxy that reads the server's name in a client's first TLS message, chooses by it where to
//! connect, and passes everything on as it is: it has no key and decrypts nothing.
//!
//! ```text
//! cargo run --release --example sni_proxy -- --listen 127.0.0.1:7443 \
//!     --route one.example=127.0.0.1:7001 --route two.example=127.0.0.1:7002
//! ```
//!
//! Then, in a second terminal, `openssl s_client -connect 127.0.0.1:7443 -servername one.example`.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use lexopt::{Arg, ValueExt};
use wharf::bytes::Bytes;
use wharf::interop::rustls::server::Acceptor;
use wharf::{
    EventLoop, PausedProtocol, Protocol, RelayEnd, Result, Timeout, Transport, TransportHandle,
    relay,
};

use wharf_examples::command_line::{address, listen_address, missing, run, seconds, set_once};
use wharf_examples::output::Output;
use wharf_examples::serving::serve_until_signal;

const USAGE: &str = "
Passes TLS connections on to other addresses, chosen by the server's name that each client asks for,
until SIGINT or SIGTERM.

usage: sni_proxy --listen ADDRESS --route NAME=ADDRESS... [options]

  --route NAME=ADDRESS  where clients go that ask for NAME; can be given several times
  --default ADDRESS     where all others go; unless given, they are refused
  --patience SECONDS    how long a client may take for its first message; 10 unless given
  --idle SECONDS        ends a connection without traffic

exit code: 0 if all connections came to their end, 1 if some had to be cut off
";

/// How long the first message may be.
const LONGEST_FIRST_MESSAGE: usize = 64 * 1024;

/// What a TLS server says when it has no such name (RFC 8446, 6.2: `unrecognized_name`, fatal).
const UNKNOWN_NAME: [u8; 7] = [21, 3, 3, 0, 2, 2, 112];

/// How long the reader of standard error has at the end.
const LAST_WORDS: Duration = Duration::from_secs(1);

struct Routes {
    by_name: BTreeMap<String, String>,
    default: Option<String>,
    /// How long a client may take for its first message.
    patience: Duration,
    /// How long a connection may be without traffic once it is passed on.
    idle: Option<Duration>,
    /// Standard error: a reader that stalls does not stop the proxy.
    log: Output,
}

impl Routes {
    fn find(&self, name: Option<&str>) -> Option<&str> {
        let named = name.and_then(|name| self.by_name.get(&name.to_ascii_lowercase()));
        named.or(self.default.as_ref()).map(String::as_str)
    }
}

/// What a client's connection has until it is known where the client wants to go.
struct Choosing {
    routes: Rc<Routes>,
    /// All that came from the client so far.
    received: Vec<u8>,
    /// rustls, as far as it reads the first message.
    acceptor: Acceptor,
}

impl Protocol for Choosing {
    fn connection_made(&mut self, client: &dyn Transport) -> Result {
        // Whatever comes of it meanwhile: it could come a byte at a time.
        client.set_timeout(Timeout::User, Some(self.routes.patience));
        Ok(())
    }

    fn data_received(&mut self, client: &dyn Transport, mut data: &[u8]) -> Result {
        self.received.extend_from_slice(data);
        let accepted = loop {
            // It reads some of it; there can be more behind the first message (early data), even without an end.
            if let Err(error) = self.acceptor.read_tls(&mut data) {
                return self.refuse(client, &error.to_string(), &[]);
            }
            match self.acceptor.accept() {
                Ok(Some(accepted)) => break accepted,
                Ok(None) if !data.is_empty() => {}
                Ok(None) if self.received.len() < LONGEST_FIRST_MESSAGE => return Ok(()),
                Ok(None) => return self.refuse(client, "its first message is too long", &[]),
                Err((error, mut alert)) => {
                    let mut answer = Vec::new();
                    alert.write_all(&mut answer)?;
                    return self.refuse(client, &error.to_string(), &answer);
                }
            }
        };
        let name = accepted.client_hello().server_name().map(str::to_owned);
        let Some(upstream) = self.routes.find(name.as_deref()) else {
            let name = name.as_deref().unwrap_or("no name");
            return self.refuse(client, &format!("it asks for {name}"), &UNKNOWN_NAME);
        };
        // What else it sends waits in the operating system until there is somebody to pass it on to.
        client.pause_reading();
        client.set_timeout(Timeout::User, None);
        let joining = join(
            client.handle(),
            upstream.to_owned(),
            std::mem::take(&mut self.received).into(),
            Rc::clone(&self.routes),
        );
        client.event_loop().create_task(joining).detach();
        Ok(())
    }

    fn timed_out(&mut self, client: &dyn Transport, _: Timeout) -> Result {
        self.refuse(client, "its first message takes too long", &[])
    }
}

impl Choosing {
    fn refuse(&self, client: &dyn Transport, why: &str, answer: &[u8]) -> Result {
        self.routes.log.say(&format!("sni_proxy: {} is refused: {why}", name_of(client)));
        client.write(answer);
        client.close();
        Ok(())
    }
}

fn name_of(client: &dyn Transport) -> String {
    match client.info().peer_address() {
        Some(address) => address.to_string(),
        None => "a client".to_owned(),
    }
}

/// Connects to where the client wants to go, joins the two, and waits until both have ended.
async fn join(client: TransportHandle, to: String, received: Bytes, routes: Rc<Routes>) {
    let who = name_of(&client);
    let upstream = match client.event_loop().create_connection(PausedProtocol::new, to).await {
        Ok(upstream) => upstream,
        Err(error) => {
            routes.log.say(&format!("sni_proxy: {who}: {error:#}"));
            return client.close();
        }
    };
    // The upstream gets the first message, too: it is the one who answers it.
    let relay =
        relay(&client, &upstream).leftovers(received, Bytes::new()).idle_timeout(routes.idle);
    match relay.await.map(|outcome| outcome.end) {
        Ok(RelayEnd::Failed(_, error)) => routes.log.say(&format!("sni_proxy: {who}: {error:#}")),
        Ok(_) => {}
        // The client did not wait for its connection.
        Err(error) => routes.log.say(&format!("sni_proxy: {who}: {error:#}")),
    }
}

fn main() -> ExitCode {
    run(USAGE, |mut arguments| {
        let (mut listen, mut default, mut by_name) = (None, None, BTreeMap::new());
        let (mut patience, mut idle) = (Duration::from_secs(10), None);
        while let Some(argument) = arguments.next()? {
            match argument {
                Arg::Long("listen") => {
                    set_once(&mut listen, arguments.value()?.parse_with(listen_address)?)?;
                }
                Arg::Long("default") => {
                    set_once(&mut default, arguments.value()?.parse_with(address)?)?;
                }
                Arg::Long("route") => {
                    let (name, address) = arguments.value()?.parse_with(route)?;
                    if by_name.insert(name.clone(), address).is_some() {
                        return Err(lexopt::Error::from(format!("{name} has two routes")).into());
                    }
                }
                Arg::Long("patience") => patience = arguments.value()?.parse_with(seconds)?,
                Arg::Long("idle") => idle = Some(arguments.value()?.parse_with(seconds)?),
                other => return Err(other.unexpected().into()),
            }
        }
        let listen = listen.ok_or_else(|| missing("--listen ADDRESS"))?;
        if by_name.is_empty() {
            return Err(missing("--route NAME=ADDRESS").into());
        }
        EventLoop::new()?.run(async |event_loop| {
            let log = Output::standard_error(&event_loop).await?;
            serve(&event_loop, listen, Rc::new(Routes { by_name, default, patience, idle, log }))
                .await
        })
    })
}

fn route(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, to)) if !name.is_empty() => Ok((name.to_ascii_lowercase(), address(to)?)),
        _ => Err("a route is NAME=ADDRESS".to_owned()),
    }
}

async fn serve(event_loop: &EventLoop, listen: String, routes: Rc<Routes>) -> Result {
    let own = Rc::clone(&routes);
    let choosing = move || Choosing {
        routes: Rc::clone(&own),
        received: Vec::new(),
        acceptor: Acceptor::default(),
    };
    let server = event_loop.create_server(choosing, listen).await?;
    let outcome = serve_until_signal(server).await;
    // Nobody may be reading: that is no failure.
    let _ = routes.log.finish(LAST_WORDS).await;
    outcome
}
