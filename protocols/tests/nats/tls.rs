use wharf::{Result, TlsClient};
use wharf_protocols::nats::{NatsError, Options};

use crate::server::{Server, is_missing, run};

#[test]
fn tls_after_the_servers_info() -> Result {
    if is_missing() {
        return Ok(());
    }
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    let directory = std::env::temp_dir().join(format!("wharf-nats-tls-{}", std::process::id()));
    std::fs::create_dir_all(&directory)?;
    let (certificate, key) = (directory.join("cert.pem"), directory.join("key.pem"));
    std::fs::write(&certificate, certified.cert.pem())?;
    std::fs::write(&key, certified.signing_key.serialize_pem())?;
    let server = Server::with_configuration(&format!(
        "tls {{ cert_file: {certificate:?}, key_file: {key:?} }}"
    ));
    let port = server.address.rsplit(':').next().unwrap().to_owned();
    let outcome = run(async |event_loop| {
        let plain = Options::new().connect(&event_loop, [&server.address]).await.unwrap_err();
        assert!(matches!(plain, NatsError::Invalid(_)), "{plain:?}");

        let trusting = TlsClient::builder().ca_pem(certified.cert.pem()).build()?;
        let address = format!("tls://localhost:{port}");
        let client = Options::new().tls(trusting.clone()).connect(&event_loop, [address]).await?;
        let mut messages = client.subscribe("a")?;
        client.publish("a", "secret")?;
        assert_eq!(messages.next().await.unwrap().payload(), b"secret");

        // Whoever knows better says the name.
        let named = trusting.clone().server_name("localhost");
        let number = format!("127.0.0.1:{port}");
        Options::new().tls(named).connect(&event_loop, [number]).await?.flush().await?;

        // A name that the certificate has not.
        let other = format!("127.0.0.1:{port}");
        let error = Options::new().tls(trusting).connect(&event_loop, [other]).await.unwrap_err();
        assert!(matches!(error, NatsError::Connection(error) if error.is_tls()));

        let without = Server::start();
        let trusting = TlsClient::builder().ca_pem(certified.cert.pem()).build()?;
        let error = Options::new()
            .tls(trusting)
            .connect(&event_loop, [&without.address])
            .await
            .unwrap_err();
        assert!(matches!(error, NatsError::Invalid(_)), "{error:?}");
        Ok(())
    });
    std::fs::remove_dir_all(&directory)?;
    outcome
}
