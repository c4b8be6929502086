//! Foreign servers, and our client: `openssl s_server`, `gnutls-serv`.

use std::cell::Cell;
use std::fs;
use std::rc::Rc;

use wharf::{Connection, Error, EventLoop, Protocol, Result, TlsClient, TlsVersion, Transport};

use super::authority::{Authority, Files, text};
use crate::program::Program;
use crate::serving::{Seen, Watcher, run, until};

/// A server that asks for certificates, and has one for each of two names.
struct ForeignServer {
    port: u16,
    _program: Program,
}

/// How to start a server: it speaks just this version, and knows ALPN's `imap`.
type Start = fn(&Authority, TlsVersion) -> Option<Program>;

/// How to learn the port that the system has given it.
type Port = fn(&Program) -> Option<u16>;

const SERVERS: [(&str, Start, Port); 2] = [
    ("openssl s_server", openssl as Start, said_by_openssl as Port),
    ("gnutls-serv", gnutls as Start, of_the_first_listener as Port),
];

const VERSIONS: [TlsVersion; 2] = [TlsVersion::Tls12, TlsVersion::Tls13];

fn identities(authority: &Authority) -> [Files; 2] {
    ["a.example", "b.example"].map(|name| authority.issue(&[name]))
}

fn openssl(authority: &Authority, version: TlsVersion) -> Option<Program> {
    let [a, b] = identities(authority);
    let ca = authority.file();
    let version = if version == TlsVersion::Tls12 { "-tls1_2" } else { "-tls1_3" };
    let ours = ["s_server", "-accept", "127.0.0.1:0", "-rev", version, "-alpn", "smtp,imap"];
    let first = ["-cert", text(&a.chain), "-key", text(&a.key)];
    let second = ["-servername", "b.example", "-cert2", text(&b.chain), "-key2", text(&b.key)];
    let asking = ["-CAfile", text(&ca), "-Verify", "1", "-verify_return_error"];
    Program::foreign("openssl", &[&ours[..], &first, &second, &asking].concat())
}

/// `ACCEPT 127.0.0.1:41234`.
pub(super) fn said_by_openssl(program: &Program) -> Option<u16> {
    loop {
        let line = program.line();
        if let Some(address) = line.strip_prefix("ACCEPT ") {
            return address.rsplit_once(':')?.1.parse().ok();
        }
    }
}

/// Our client's connection to an `openssl s_server` that takes commands and shows its messages.
pub(super) struct TalkingServer {
    pub(super) openssl: Program,
    pub(super) seen: Rc<Seen>,
    pub(super) ours: Connection<Watcher>,
}

impl TalkingServer {
    /// `None` where openssl is not installed. `version` is the option that chooses it.
    pub(super) async fn connect(event_loop: &EventLoop, version: &str) -> Result<Option<Self>> {
        let authority = Authority::new();
        let (files, ca) = (authority.issue(&["a.example"]), authority.file());
        let listen = ["s_server", "-accept", "127.0.0.1:0", version, "-msg"];
        let shown = ["-cert", text(&files.chain), "-key", text(&files.key)];
        let arguments = [&listen[..], &shown].concat();
        let Some(openssl) = Program::foreign("openssl", &arguments) else { return Ok(None) };
        let port = said_by_openssl(&openssl).ok_or("no port")?;
        let tls = TlsClient::builder().ca_file(ca).build()?.server_name("a.example");
        let seen = Seen::new();
        let watcher = Watcher(Rc::clone(&seen));
        let connecting = event_loop.create_connection(|| watcher, ("127.0.0.1", port));
        let ours = connecting.tls(tls).await?;
        Ok(Some(Self { openssl, seen, ours }))
    }
}

/// It listens on every address: it has no option for that.
fn gnutls(authority: &Authority, version: TlsVersion) -> Option<Program> {
    let [a, b] = identities(authority);
    let ca = authority.file();
    let version = if version == TlsVersion::Tls12 { "1.2" } else { "1.3" };
    let priority = format!("NORMAL:-VERS-ALL:+VERS-TLS{version}");
    let ours = ["--echo", "-p", "0", "--priority", &priority, "--alpn=imap"];
    let shown = [&a, &b]
        .map(|files| ["--x509certfile", text(&files.chain), "--x509keyfile", text(&files.key)]);
    let asking = ["--x509cafile", text(&ca), "--require-client-cert", "--verify-client-cert"];
    let all = [&ours[..], &shown[0], &shown[1], &asking].concat();
    Program::foreign("gnutls-serv", &all)
}

/// It does not say it: the kernel does, of the sockets that the process has.
fn of_the_first_listener(program: &Program) -> Option<u16> {
    let descriptors = fs::read_dir(format!("/proc/{}/fd", program.id())).ok()?;
    let sockets: Vec<String> = descriptors
        .filter_map(|entry| {
            let target = fs::read_link(entry.ok()?.path()).ok()?;
            Some(target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned())
        })
        .collect();
    let table = fs::read_to_string("/proc/net/tcp").ok()?;
    table.lines().find_map(|line| {
        const LISTENS: &str = "0A";
        let columns: Vec<&str> = line.split_whitespace().collect();
        let is_its = columns.get(3) == Some(&LISTENS)
            && columns.get(9).is_some_and(|inode| sockets.iter().any(|socket| socket == inode));
        let port = columns.get(1)?.rsplit_once(':')?.1;
        is_its.then(|| u16::from_str_radix(port, 16).ok())?
    })
}

impl ForeignServer {
    async fn start(
        event_loop: &EventLoop,
        authority: &Authority,
        (start, port): (Start, Port),
        version: TlsVersion,
    ) -> Option<Self> {
        let program = start(authority, version)?;
        let found = Cell::new(None);
        until(event_loop, "a port", || {
            found.set(port(&program));
            found.get().is_some()
        })
        .await;
        Some(Self { port: found.get()?, _program: program })
    }
}

/// Sends a line, and ends when one has come back.
struct Asker(Rc<Seen>);

impl Protocol for Asker {
    fn connection_made(&mut self, transport: &dyn Transport) -> Result {
        transport.write(b"level\n");
        Ok(())
    }

    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
        self.0.received.borrow_mut().extend_from_slice(data);
        if data.ends_with(b"\n") {
            transport.close();
        }
        Ok(())
    }

    fn connection_lost(&mut self, transport: &dyn Transport, error: Option<&Error>) -> Result {
        Watcher(Rc::clone(&self.0)).connection_lost(transport, error)
    }
}

/// Calls `check` with each kind of server in each version; what is not installed is left out.
fn with_each(
    check: impl AsyncFn(&EventLoop, &Authority, &ForeignServer, &str, TlsVersion) -> Result,
) {
    for (name, start, port) in SERVERS {
        for version in VERSIONS {
            run(async |event_loop| {
                let authority = Authority::new();
                let server =
                    ForeignServer::start(&event_loop, &authority, (start, port), version).await;
                match server {
                    Some(server) => check(&event_loop, &authority, &server, name, version).await,
                    None => Ok(()),
                }
            });
        }
    }
}

#[test]
fn foreign_servers_serve_our_client_by_name_and_let_it_resume() {
    with_each(async |event_loop, authority, server, name, version| {
        let client = authority.issue(&["client"]);
        for host in ["a.example", "b.example"] {
            // A cache of its own: a session of one name is not for the other.
            let tls = TlsClient::builder().ca_file(authority.file()).alpn(["pop3", "imap"]);
            let tls = tls.identity(client.identity()).build()?.server_name(host);
            for is_second in [false, true] {
                let what = format!("{name}, {version}, {host}");
                let seen = Seen::new();
                let asker = Asker(Rc::clone(&seen));
                let to = ("127.0.0.1", server.port);
                let connection = event_loop.create_connection(|| asker, to).tls(&tls).await?;
                let info = connection.handle().info();
                let info = info.tls().expect("TLS");
                assert_eq!(info.version(), Some(version), "{what}");
                // openssl knows of no protocols where it shows its second certificate.
                let knows = host == "a.example" || name == "gnutls-serv";
                assert_eq!(info.alpn_protocol(), knows.then_some(&b"imap"[..]), "{what}");
                assert_eq!(info.is_resumed(), is_second, "{what}");
                // openssl adds the authority's.
                assert_ne!(info.peer_certificates().len(), 0, "{what}");
                until(event_loop, "its end", || seen.lost() == 1).await;
                assert_eq!(*seen.received.borrow(), b"level\n", "{what}");
                assert!(seen.lost_cleanly(), "{what}: {:?}", seen.lost.borrow());
            }
        }
        Ok(())
    });
}

#[test]
fn foreign_servers_that_want_a_certificate_say_so() {
    with_each(async |event_loop, authority, server, name, version| {
        let tls = TlsClient::builder().ca_file(authority.file()).alpn(["imap"]);
        let tls = tls.build()?.server_name("a.example");
        let seen = Seen::new();
        let to = ("127.0.0.1", server.port);
        let asker = Asker(Rc::clone(&seen));
        let text = match event_loop.create_connection(|| asker, to).tls(&tls).await {
            Err(error) => format!("{error:#}"),
            // In TLS 1.3 a client is done before the server has looked at it.
            Ok(_) => {
                until(event_loop, "its end", || seen.lost() == 1).await;
                seen.lost.borrow()[0].clone().unwrap_or_default()
            }
        };
        assert!(text.contains("the peer sent the alert "), "{name}, {version}: {text}");
        Ok(())
    });
}
