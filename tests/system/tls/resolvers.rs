//! Foreign clients that make a user's certificate resolver panic.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use wharf::interop::rustls::ServerConfig;
use wharf::interop::rustls::crypto::ring;
use wharf::interop::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use wharf::interop::rustls::server::{ClientHello, ResolvesServerCert};
use wharf::interop::rustls::sign::CertifiedKey;
use wharf::{Protocol, Result, Transport};

use crate::peers::Peer;
use crate::serving::{address, collect_reports, run, until};

/// Takes it for granted that clients say whom they want.
#[derive(Debug)]
struct Unwraps(Arc<CertifiedKey>);

impl ResolvesServerCert for Unwraps {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        hello.server_name().unwrap();
        Some(Arc::clone(&self.0))
    }
}

fn certified() -> Arc<CertifiedKey> {
    let made = rcgen::generate_simple_self_signed(vec!["a.example".to_owned()]).expect("to sign");
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let key = ring::sign::any_supported_type(&key).expect("a key");
    Arc::new(CertifiedKey::new(vec![made.cert.der().clone()], key))
}

struct Greets;

impl Protocol for Greets {
    fn connection_made(&mut self, transport: &dyn Transport) -> Result {
        transport.write(b"hello\n");
        transport.close();
        Ok(())
    }

    fn data_received(&mut self, _: &dyn Transport, _: &[u8]) -> Result {
        Ok(())
    }
}

#[test]
fn openssl_without_a_server_name_cannot_stop_a_server_whose_resolver_unwraps_it() {
    run(async |event_loop| {
        let provider = Arc::new(ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(Unwraps(certified())));
        let reports = collect_reports(&event_loop);
        let refused: Rc<RefCell<Vec<String>>> = Rc::default();
        let told = Rc::clone(&refused);
        let server = event_loop
            .create_server(|| Greets, "127.0.0.1:0")
            .tls(wharf::interop::tls_server(config))
            .on_accept_error(move |error| told.borrow_mut().push(format!("{error:#}")))
            .await?;
        let to = address(&server).to_string();
        for version in ["-tls1_2", "-tls1_3"] {
            for name in [&["-noservername"][..], &["-servername", "a.example"]] {
                let arguments = ["s_client", "-quiet", version, "-connect", &to];
                let arguments = [&arguments[..], name].concat();
                let Some(peer) = Peer::start("openssl", &arguments, Vec::new()) else {
                    return Ok(());
                };
                let output = peer.end(&event_loop).await;
                let expected: &[u8] = if name.len() == 1 { b"" } else { b"hello\n" };
                assert_eq!(output.stdout, expected, "{arguments:?}: {output:?}");
            }
        }
        until(&event_loop, "their end", || server.connections() == 0).await;
        assert_eq!(refused.borrow().len(), 2, "{:?}", refused.borrow());
        assert_eq!(reports.borrow().len(), 2, "{:?}", reports.borrow());
        assert!(reports.borrow().iter().all(|report| report.contains("panicked")), "{reports:?}");
        server.close();
        Ok(())
    });
}
