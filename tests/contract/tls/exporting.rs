//! Keying material.

use std::sync::{Arc, Mutex};

use wharf::interop::rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use wharf::interop::rustls::{
    ClientConfig, KeyLog, RootCertStore, ServerConfig, ServerConnection, version,
};
use wharf::testing::Recorder;
use wharf::{TlsVersion, Transport};

use super::{Stage, VERSIONS, logs, trusting};
use crate::encryption::{SERVER, Tls};
use crate::probe::{Call, Log, Probe};

fn export(log: &Log, label: &[u8], context: Option<&[u8]>) -> [u8; 40] {
    let mut output = [0; 40];
    log.handle().export_keying_material(&mut output, label, context).unwrap();
    output
}

#[test]
fn both_ends_export_the_same_keying_material() {
    for version in VERSIONS {
        let stage = Stage::with(version);
        // The second connection is a resumed one.
        for _ in 0..2 {
            let (near, far) = logs();
            stage.join(Probe::new(&near), Probe::new(&far).echoing());
            near.handle().write(b"ticket, please");
            stage.run_until("the echo", || near.received_len() == 14);
            let plain = export(&near, b"EXPORTER-test", None);
            assert_eq!(plain, export(&far, b"EXPORTER-test", None));
            let empty = export(&far, b"EXPORTER-test", Some(b""));
            assert_eq!(
                plain == empty,
                version == TlsVersion::Tls13,
                "only RFC 5705 tells them apart"
            );
            let with_context = export(&far, b"EXPORTER-test", Some(b"context"));
            assert_eq!(with_context, export(&near, b"EXPORTER-test", Some(b"context")));
            assert_ne!(plain, with_context);
            assert_ne!(plain, export(&far, b"EXPORTER-other", None));
            near.handle().abort();
            stage.run_until("the end", || near.is_lost());
            let gone = near.handle().export_keying_material(&mut [0], b"label", None);
            assert!(gone.unwrap_err().is_closed());
        }
    }
}

#[test]
fn what_cannot_be_exported_is_refused() {
    for version in VERSIONS {
        let stage = Stage::with(version);
        let (near, far) = logs();
        stage.join(Probe::new(&near), Probe::new(&far));
        let handle = near.handle();
        let refuses = |output: &mut [u8], label: &[u8], context: Option<&[u8]>| {
            handle.export_keying_material(output, label, context).is_err_and(|e| e.is_invalid())
        };
        assert!(refuses(&mut [], b"label", None));
        assert!(refuses(&mut [0], &[b'x'; 250], None));
        assert!(!refuses(&mut [0], &[b'x'; 249], None));
        let is_tls12 = version == TlsVersion::Tls12;
        assert_eq!(refuses(&mut [0], b"", None), is_tls12);
        assert_eq!(refuses(&mut [0], b"key expansion", None), is_tls12, "a label of its own");
        assert_eq!(refuses(&mut [0], b"label", Some(&[0; 65_536])), is_tls12);
        assert_eq!(refuses(&mut [0; 100_000], b"label", None), !is_tls12);
    }
}

fn server_config(version: TlsVersion) -> ServerConfig {
    let chain = CertificateDer::from_pem_slice(SERVER.chain.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(SERVER.key.as_bytes()).unwrap();
    let provider = wharf::interop::rustls::crypto::ring::default_provider();
    ServerConfig::builder_with_provider(provider.into())
        .with_protocol_versions(&[match version {
            TlsVersion::Tls12 => &version::TLS12,
            _ => &version::TLS13,
        }])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![chain], key)
        .unwrap()
}

/// Exports as rustls's own connections do, which know the secret at first hand.
#[test]
fn keying_material_is_what_rustls_exports() {
    for version in VERSIONS {
        let mut server = ServerConnection::new(server_config(version).into()).unwrap();
        let tls = trusting().server_name("server.test");
        let log = Log::new();
        let own = log.clone();
        let mut client = Recorder::new(move || {
            Probe::new(&own).on_made(move |transport| {
                transport.start_tls((&tls).into(), wharf::bytes::Bytes::new());
                Ok(())
            })
        })
        .unwrap();
        for _ in 0..5 {
            let sent = client.sent().unwrap();
            let mut input = &sent[..];
            while !input.is_empty() {
                server.read_tls(&mut input).unwrap();
                server.process_new_packets().unwrap();
            }
            let mut answer = Vec::new();
            while server.wants_write() {
                server.write_tls(&mut answer).unwrap();
            }
            // A piece at a time: the hello does not come at once.
            for piece in answer.chunks(7) {
                client.receive(piece).unwrap();
            }
        }
        assert_eq!(log.count(Call::TlsEstablished), 1);
        for context in [None, Some(&b""[..]), Some(&b"context"[..])] {
            let mut ours = [0; 48];
            log.handle().export_keying_material(&mut ours, b"EXPORTER-test", context).unwrap();
            let theirs = server.export_keying_material([0; 48], b"EXPORTER-test", context).unwrap();
            assert_eq!(ours, theirs, "{version}");
        }
    }
}

/// Notes the labels that it is told of.
#[derive(Debug, Default)]
struct Labels(Mutex<Vec<String>>);

impl KeyLog for Labels {
    fn log(&self, label: &str, _: &[u8], _: &[u8]) {
        self.0.lock().unwrap().push(label.to_owned());
    }

    fn will_log(&self, label: &str) -> bool {
        label != "EXPORTER_SECRET"
    }
}

#[test]
fn ready_configurations_export_too_and_keep_their_own_key_log() {
    for version in VERSIONS {
        let labels = Arc::new(Labels::default());
        let mut config = server_config(version);
        config.key_log = Arc::<Labels>::clone(&labels);
        let server = wharf::interop::tls_server(config);
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(SERVER.chain.as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(wharf::interop::rustls::crypto::ring::default_provider());
        let client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let client = wharf::interop::tls_client(client).server_name("server.test");
        let stage = Stage { tls: Tls { client, server }, ..Stage::new() };
        let (near, far) = logs();
        stage.join(Probe::new(&near), Probe::new(&far));
        let ours = export(&near, b"EXPORTER-test", Some(b"context"));
        assert_eq!(ours, export(&far, b"EXPORTER-test", Some(b"context")));
        let told = labels.0.lock().unwrap().clone();
        let expected = match version {
            TlsVersion::Tls12 => "CLIENT_RANDOM",
            _ => "SERVER_TRAFFIC_SECRET_0",
        };
        assert!(told.iter().any(|label| label == expected), "{told:?}");
        assert!(!told.iter().any(|label| label == "EXPORTER_SECRET"), "it does not want that one");
    }
}
