use wharf::{Info, TlsClient, TlsIdentity, TlsServer};

use super::*;

struct Ends {
    client: TlsClient,
    server: TlsServer,
}

fn ends(client_alpn: &[&str], server_alpn: &[&str]) -> Result<Ends> {
    let made = rcgen::generate_simple_self_signed(["example.test".to_owned()])?;
    let identity = TlsIdentity::from_pem(made.cert.pem(), made.signing_key.serialize_pem());
    let client = TlsClient::builder().ca_pem(made.cert.pem()).alpn(client_alpn).build()?;
    let server = TlsServer::builder().identity(identity).alpn(server_alpn).build()?;
    Ok(Ends { client, server })
}

async fn serve_tls(
    event_loop: &EventLoop,
    server: &TlsServer,
) -> Result<Rc<RefCell<Vec<Rc<Info>>>>> {
    let infos = Rc::new(RefCell::new(Vec::new()));
    let noted = Rc::clone(&infos);
    let handler = move |reader, writer: StreamWriter| {
        noted.borrow_mut().push(writer.info());
        echo(reader, writer, Requests::default())
    };
    event_loop.start_server(handler, "10.0.0.1:443").tls(server).await?;
    Ok(infos)
}

#[test]
fn wss_is_tls_with_the_urls_name() {
    run(async |event_loop| {
        let ends = ends(&["http/1.1"], &["h2", "http/1.1"])?;
        let infos = serve_tls(&event_loop, &ends.server).await?;
        let client = WebSocketClient::new(&event_loop).tls(ends.client.clone());
        converse(client.connect("wss://example.test/").await?).await?;
        let info = infos.borrow_mut().pop().expect("a connection");
        let tls = info.tls().expect("TLS");
        assert_eq!(tls.server_name(), Some("example.test"));
        assert_eq!(tls.alpn_protocol(), Some(&b"http/1.1"[..]));

        // For a protocol.
        let connecting = client.create_connection(Hello::default(), "wss://example.test/");
        connecting.await?.wait_closed().await?;
        // Through a proxy, and at an address that is not in the certificate.
        let asked = proxy(&event_loop, "10.0.0.1:443").await?;
        converse(client.clone().proxy("10.0.0.9:3128").connect("wss://example.test/").await?)
            .await?;
        assert!(asked.borrow()[0].starts_with("CONNECT example.test:443 HTTP/1.1\r\n"));
        let named = client.tls(ends.client.server_name("example.test"));
        converse(named.connect("wss://10.0.0.1/").await?).await?;
        Ok(())
    });
}

#[test]
fn wss_to_whom_is_not_trusted_is_refused() {
    run(async |event_loop| {
        let ends = ends(&[], &[])?;
        serve_tls(&event_loop, &ends.server).await?;
        let client = WebSocketClient::new(&event_loop);
        // Another name, and another authority.
        let trusting = client.clone().tls(ends.client);
        let is_tls =
            |failure: wharf::Failure| failure.downcast_ref::<Error>().is_some_and(Error::is_tls);
        assert!(is_tls(trusting.connect("wss://10.0.0.1/").await.unwrap_err()));
        assert!(is_tls(client.connect("wss://example.test/").await.unwrap_err()));
        // One that has no TLS.
        serve(&event_loop, "10.0.0.1:80").await?;
        assert!(is_tls(trusting.connect("wss://example.test:80/").await.unwrap_err()));
        Ok(())
    });
}

#[test]
fn a_server_that_would_speak_another_protocol_is_left() {
    run(async |event_loop| {
        let ends = ends(&["h2", "http/1.1"], &["h2"])?;
        serve_tls(&event_loop, &ends.server).await?;
        let client = WebSocketClient::new(&event_loop).tls(ends.client);
        let error = client.connect("wss://example.test/").await.unwrap_err();
        let expected = HandshakeError::ApplicationProtocol("h2".to_owned());
        assert_eq!(error.downcast_ref(), Some(&expected));
        Ok(())
    });
}

#[test]
fn a_redirect_does_not_lead_out_of_tls() {
    run(async |event_loop| {
        let ends = ends(&[], &[])?;
        let handler = async |mut reader: StreamReader, writer: StreamWriter| {
            reader.read_until(b"\r\n\r\n").await?;
            let to = "HTTP/1.1 301 Moved\r\nLocation: ws://10.0.0.1/\r\nContent-Length: 0\r\n\r\n";
            writer.write_all(to.as_bytes()).await?;
            Ok(())
        };
        event_loop.start_server(handler, "10.0.0.1:443").tls(&ends.server).await?;
        let requests = serve(&event_loop, "10.0.0.1:80").await?;
        let client = WebSocketClient::new(&event_loop).tls(ends.client).max_redirects(3);
        let error = client.connect("wss://example.test/").await.unwrap_err();
        assert_eq!(refusal(&error).status(), 301);
        assert!(requests.borrow().is_empty());
        // Into it, it does.
        let to = "HTTP/1.1 301 Moved\r\nLocation: wss://example.test/\r\nContent-Length: 0\r\n\r\n";
        let handler = async move |mut reader: StreamReader, writer: StreamWriter| {
            reader.read_until(b"\r\n\r\n").await?;
            writer.write_all(to.as_bytes()).await?;
            Ok(())
        };
        event_loop.start_server(handler, "10.0.0.2:80").await?;
        let error = client.connect("ws://10.0.0.2/").await.unwrap_err();
        assert_eq!(refusal(&error).fields().get("Location"), Some("ws://10.0.0.1/"));
        Ok(())
    });
}
