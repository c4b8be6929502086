//! Foreign clients: openssl, gnutls-cli, curl.

use std::cell::RefCell;
use std::process::Output;
use std::rc::Rc;
use std::time::Duration;

use wharf::{Error, EventLoop, Protocol, Result, Server, TlsServer, TlsVersion, Transport};

use super::authority::{Authority, text};
use crate::peers::Peer;
use crate::serving::{Directory, address, run, until};

/// Says what it knows of the peer, and ends: at once, or when it is asked over HTTP.
struct Describe {
    waits_for_request: bool,
}

impl Protocol for Describe {
    fn connection_made(&mut self, transport: &dyn Transport) -> Result {
        if !self.waits_for_request {
            transport.write(format!("{}\n", description(transport)).as_bytes());
            transport.close();
        }
        Ok(())
    }

    fn data_received(&mut self, transport: &dyn Transport, _: &[u8]) -> Result {
        let body = description(transport);
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n", body.len());
        transport.write(format!("{head}Connection: close\r\n\r\n{body}").as_bytes());
        transport.close();
        Ok(())
    }
}

/// `TLS 1.3, imap for a.example, known`: it has shown a certificate.
fn description(transport: &dyn Transport) -> String {
    let info = transport.info();
    let tls = info.tls().expect("TLS");
    let alpn = tls.alpn_protocol().map(String::from_utf8_lossy).unwrap_or("nothing".into());
    format!(
        "{}, {alpn} for {}, {}",
        tls.version().expect("a version"),
        tls.server_name().unwrap_or("nobody"),
        if tls.peer_certificates().len() == 0 { "unknown" } else { "known" },
    )
}

async fn serve(event_loop: &EventLoop, tls: &TlsServer, over_http: bool) -> Result<Server, Error> {
    event_loop
        .create_server(move || Describe { waits_for_request: over_http }, "127.0.0.1:0")
        .tls(tls)
        // Refusals are expected here.
        .on_accept_error(|_| {})
        .await
}

/// What a client prints, `None` when it is not installed.
async fn output(event_loop: &EventLoop, program: &str, arguments: &[&str]) -> Option<Output> {
    Some(Peer::start(program, arguments, Vec::new())?.end(event_loop).await)
}

fn printed(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn openssl_gets_the_certificate_that_it_asks_for_and_shows_its_own() {
    run(async |event_loop| {
        let authority = Authority::new();
        let [a, b] = ["a.example", "b.example"].map(|name| authority.issue(&[name]));
        let client = authority.issue(&["client"]);
        let tls = TlsServer::builder()
            .identity(a.identity())
            .identity(b.identity())
            .client_ca_file(authority.file())
            .alpn(["pop3", "imap"])
            .build()?;
        let server = serve(&event_loop, &tls, false).await?;
        let to = address(&server).to_string();
        let ca = authority.file();
        for (option, version) in [("-tls1_2", "TLS 1.2"), ("-tls1_3", "TLS 1.3")] {
            for name in ["a.example", "b.example"] {
                let ours = ["s_client", "-quiet", option, "-connect", &to, "-CAfile", text(&ca)];
                let asking = ["-servername", name, "-verify_hostname", name, "-alpn", "smtp,imap"];
                let shown = ["-cert", text(&client.chain), "-key", text(&client.key)];
                let checked = [&ours[..], &asking, &["-verify_return_error"]].concat();
                let with = [&checked[..], &shown].concat();
                let Some(output) = output(&event_loop, "openssl", &with).await else {
                    return Ok(());
                };
                let expected = format!("{version}, imap for {name}, known\n");
                assert_eq!(printed(&output), expected, "{output:?}");

                let refused = self::output(&event_loop, "openssl", &checked).await.unwrap();
                assert_eq!(printed(&refused), "", "{refused:?}");
            }
        }
        until(&event_loop, "their end", || server.connections() == 0).await;
        Ok(())
    });
}

#[test]
fn gnutls_gets_the_certificate_that_it_asks_for_and_shows_its_own() {
    run(async |event_loop| {
        let authority = Authority::new();
        let [a, b] = ["a.example", "b.example"].map(|name| authority.issue(&[name]));
        let client = authority.issue(&["client"]);
        let tls = TlsServer::builder()
            .identity(a.identity())
            .identity(b.identity())
            .client_ca_file(authority.file())
            .allow_anonymous_clients(true)
            .alpn(["imap"])
            .build()?;
        let server = serve(&event_loop, &tls, false).await?;
        let port = address(&server).port().to_string();
        let ca = authority.file();
        for (priority, version) in [
            ("NORMAL:-VERS-ALL:+VERS-TLS1.2", "TLS 1.2"),
            ("NORMAL:-VERS-ALL:+VERS-TLS1.3", "TLS 1.3"),
        ] {
            let ours = ["--logfile=/dev/null", "--priority", priority, "-p", &port];
            let trusting = ["--x509cafile", text(&ca), "--alpn=imap"];
            let name = ["--sni-hostname=b.example", "--verify-hostname=b.example"];
            let shown = ["--x509certfile", text(&client.chain), "--x509keyfile", text(&client.key)];
            let cases: [(&[&str], _); 2] = [(&shown, "known"), (&[], "unknown")];
            for (shown, known) in cases {
                let all = [&ours[..], &trusting, &name, shown, &["127.0.0.1"]].concat();
                let Some(output) = output(&event_loop, "gnutls-cli", &all).await else {
                    return Ok(());
                };
                let expected = format!("{version}, imap for b.example, {known}");
                assert!(printed(&output).contains(&expected), "{output:?}");
            }
        }
        Ok(())
    });
}

#[test]
fn curl_trusts_the_name_and_the_authority_and_sees_a_reload() {
    run(async |event_loop| {
        let authority = Authority::new();
        let files = authority.issue(&["a.example", "*.b.example"]);
        let tls = TlsServer::builder().identity(files.identity()).alpn(["http/1.1"]).build()?;
        let server = serve(&event_loop, &tls, true).await?;
        let port = address(&server).port();
        let ca = authority.file();
        let get = async |name: &str, more: &[&str]| {
            let url = format!("https://{name}:{port}/");
            let to = format!("{name}:{port}:127.0.0.1");
            let ours = ["-sS", "--noproxy", "*", "--resolve", &to, "--cacert", text(&ca), &url];
            output(&event_loop, "curl", &[&ours[..], more].concat()).await
        };
        let cases: [(_, &[&str], _); 3] = [
            ("a.example", &["--tls-max", "1.2"], "TLS 1.2, http/1.1 for a.example"),
            ("a.example", &["--tlsv1.3"], "TLS 1.3, http/1.1 for a.example"),
            ("x.b.example", &["--no-alpn"], "TLS 1.3, nothing for x.b.example"),
        ];
        for (name, more, expected) in cases {
            let Some(output) = get(name, more).await else { return Ok(()) };
            assert_eq!(printed(&output), format!("{expected}, unknown"), "{output:?}");
        }
        // What curl exits with when it does not trust the peer.
        const UNTRUSTED: Option<i32> = Some(60);
        assert_eq!(get("c.example", &[]).await.unwrap().status.code(), UNTRUSTED);

        let another = Authority::new();
        let other = another.issue(&["a.example"]);
        std::fs::copy(&other.chain, &files.chain)?;
        assert!(tls.reload().is_err(), "the key is the old one");
        assert!(get("a.example", &[]).await.unwrap().status.success());
        std::fs::copy(&other.key, &files.key)?;
        tls.reload()?;
        assert_eq!(get("a.example", &[]).await.unwrap().status.code(), UNTRUSTED);
        let renewed = authority.issue(&["a.example", "*.b.example"]);
        assert_eq!(renewed.chain, files.chain);
        tls.reload()?;
        assert!(get("a.example", &[]).await.unwrap().status.success());
        Ok(())
    });
}

#[test]
fn openssl_is_told_that_no_version_is_in_common() {
    run(async |event_loop| {
        let authority = Authority::new();
        let identity = authority.issue(&["a.example"]).identity();
        let tls = TlsServer::builder().identity(identity).min_version(TlsVersion::Tls13);
        let heard = Rc::new(RefCell::new(String::new()));
        let errors = Rc::clone(&heard);
        let server = event_loop
            .create_server(|| Describe { waits_for_request: false }, "127.0.0.1:0")
            .tls(tls.build()?)
            .on_accept_error(move |error| *errors.borrow_mut() = format!("{error:#}"))
            .await?;
        let to = address(&server).to_string();
        let arguments = ["s_client", "-quiet", "-tls1_2", "-connect", &to];
        let Some(output) = output(&event_loop, "openssl", &arguments).await else { return Ok(()) };
        assert!(String::from_utf8_lossy(&output.stderr).contains("protocol version"), "{output:?}");
        let heard = heard.borrow();
        assert!(heard.ends_with("no TLS version in common with the peer"), "{heard}");
        Ok(())
    });
}

#[test]
fn openssl_sends_early_data_only_where_it_is_taken() {
    run(async |event_loop| {
        let authority = Authority::new();
        let directory = Directory::new();
        let (session, early) = (directory.join("session"), directory.join("early"));
        std::fs::write(&early, "early hello")?;
        for (bytes, expected) in [(0, ""), (1000, "early hello")] {
            let identity = authority.issue(&["a.example"]).identity();
            let tls = TlsServer::builder().identity(identity).max_early_data(bytes).build()?;
            let received = Rc::new(RefCell::new(Vec::new()));
            let all = Rc::clone(&received);
            let server = event_loop.create_server(move || OneWord(Rc::clone(&all)), "127.0.0.1:0");
            let server = server.tls(&tls).await?;
            let to = address(&server).to_string();
            let ours = ["s_client", "-quiet", "-tls1_3", "-connect", &to];
            let first = [&ours[..], &["-sess_out", text(&session)]].concat();
            let second =
                [&ours[..], &["-sess_in", text(&session), "-early_data", text(&early)]].concat();
            for arguments in [first, second] {
                let Some(output) = output(&event_loop, "openssl", &arguments).await else {
                    return Ok(());
                };
                assert_eq!(printed(&output), "hello\n", "{output:?}");
            }
            until(&event_loop, "their end", || server.connections() == 0).await;
            assert_eq!(String::from_utf8_lossy(&received.borrow()), expected);
        }
        Ok(())
    });
}

/// Says hello, notes what it is told with the handshake, and ends a little later.
struct OneWord(Rc<RefCell<Vec<u8>>>);

impl Protocol for OneWord {
    fn connection_made(&mut self, transport: &dyn Transport) -> Result {
        transport.write(b"hello\n");
        let handle = transport.handle();
        let event_loop = transport.event_loop();
        event_loop.call_later(Duration::from_millis(50), move || handle.close());
        Ok(())
    }

    fn data_received(&mut self, _: &dyn Transport, data: &[u8]) -> Result {
        self.0.borrow_mut().extend_from_slice(data);
        Ok(())
    }
}
