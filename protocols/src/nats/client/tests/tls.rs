//! TLS before anything else: `handshake_first` of servers from 2.10.4 on.

use wharf::testing::MemoryNetwork;
use wharf::{Result, TlsClient, TlsIdentity, TlsServer};

use super::super::*;
use super::ADDRESS;
use super::broker::Broker;

#[test]
fn tls_before_the_servers_info() -> Result {
    let certified = rcgen::generate_simple_self_signed(["example.org".to_owned()])?;
    let (certificate, key) = (certified.cert.pem(), certified.signing_key.serialize_pem());
    MemoryNetwork::new().event_loop().run(async |event_loop| {
        let server =
            TlsServer::builder().identity(TlsIdentity::from_pem(&certificate, &key)).build()?;
        let broker = Broker::new();
        broker.listen_with_tls(&event_loop, ADDRESS, &server).await?;
        let options = || -> Result<Options> {
            let tls = TlsClient::builder().ca_pem(&certificate).build()?;
            Ok(Options::new().tls(tls.server_name("example.org")).tls_first(true))
        };
        let client = options()?.connect(&event_loop, [ADDRESS]).await?;
        let mut messages = client.subscribe("a")?;
        client.publish("a", "secret")?;
        assert_eq!(messages.next().await.unwrap().payload(), b"secret");
        // And again with each connection.
        broker.drop_connections();
        while client.connections() < 2 {
            client.connected().await?;
            wharf::sleep(std::time::Duration::from_millis(10)).await;
        }
        client.publish("a", "again")?;
        assert_eq!(messages.next().await.unwrap().payload(), b"again");

        // A server that speaks first is no such server.
        broker.listen(&event_loop, "10.0.0.2:4222").await?;
        let error = options()?.connect(&event_loop, ["10.0.0.2"]).await.unwrap_err();
        assert!(matches!(&error, NatsError::Connection(error) if error.is_tls()), "{error:?}");
        Ok(())
    })
}
