//! Equal seeds exchange equal bytes.

use std::cell::RefCell;
use std::net::Ipv4Addr;
use std::rc::Rc;

use super::tls_provider;
use crate::error::Result;
use crate::sim::{LinkOptions, Simulation};
use crate::testing::MemoryNetwork;
use crate::{EventLoop, StreamReader, StreamWriter, TlsClient, TlsIdentity, TlsServer, TlsVersion};

struct Made {
    certificate: String,
    key: String,
}

fn made() -> Made {
    let made = rcgen::generate_simple_self_signed(["server".to_owned()]).unwrap();
    Made { certificate: made.cert.pem(), key: made.signing_key.serialize_pem() }
}

/// What passes both ways when two connections are made one after the other, so that the second resumes the first.
fn bytes(made: &Made, version: TlsVersion, seed: u64) -> Vec<u8> {
    let server = TlsServer::builder()
        .identity(TlsIdentity::from_pem(&made.certificate, &made.key))
        .provider(tls_provider())
        .build()
        .unwrap();
    let client = TlsClient::builder().pin_certificate_pem(&made.certificate).max_version(version);
    let client = client.provider(tls_provider()).build().unwrap();

    let simulation = Simulation::new(seed);
    simulation.links(LinkOptions::new().split(0.5));
    simulation.host("server").serve(async move |event_loop| {
        let listener = event_loop.listen("0.0.0.0:443").tls(server.clone()).await?;
        loop {
            let (mut reader, writer) = listener.accept().await?;
            while let Some(line) = reader.read_line().await? {
                let answer = format!("you said {line}\n");
                writer.write_all(answer.as_bytes()).await?;
            }
        }
    });
    let heard = Rc::new(RefCell::new(Vec::new()));
    let record = Rc::clone(&heard);
    simulation.host("relay").serve(async move |event_loop| relay(&event_loop, &record).await);
    simulation
        .host("client")
        .run(async move |event_loop| {
            for _ in 0..2 {
                let stream = event_loop.open_connection("relay:443");
                let (mut reader, writer) = stream.tls(client.clone().server_name("server")).await?;
                writer.write_all(b"hello\n").await?;
                assert_eq!(reader.read_line().await?, Some("you said hello"));
                writer.close();
                writer.wait_closed().await?;
            }
            Ok(())
        })
        .unwrap();
    heard.take()
}

/// Passes on what it hears to the server and back, and records it.
async fn relay(event_loop: &EventLoop, record: &Rc<RefCell<Vec<u8>>>) -> Result {
    let listener = event_loop.listen("0.0.0.0:443").await?;
    loop {
        let (from_client, to_client) = listener.accept().await?;
        let (from_server, to_server) = event_loop.open_connection("server:443").await?;
        for (from, to) in [(from_client, to_server), (from_server, to_client)] {
            let record = Rc::clone(record);
            event_loop.create_task(async move { pass(from, to, &record).await }).detach();
        }
    }
}

async fn pass(mut from: StreamReader, to: StreamWriter, record: &RefCell<Vec<u8>>) -> Result {
    loop {
        let chunk = from.read_chunk().await?;
        if chunk.is_empty() {
            to.close();
            return Ok(());
        }
        record.borrow_mut().extend_from_slice(chunk);
        to.write_all(chunk).await?;
    }
}

#[test]
fn tls_in_equal_runs_exchanges_equal_bytes() {
    let made = made();
    for version in [TlsVersion::Tls12, TlsVersion::Tls13] {
        let first = bytes(&made, version, 1);
        assert!(first.len() > 1_000, "{}", first.len());
        assert_eq!(first, bytes(&made, version, 1));
        assert_ne!(first, bytes(&made, version, 2));
    }
}

#[test]
fn the_simulated_provider_does_nothing_outside_of_a_simulation_and_with_no_other() {
    let made = made();
    let identity = || TlsIdentity::from_pem(&made.certificate, &made.key);
    let simulated = TlsServer::builder().identity(identity()).provider(tls_provider());
    let real = TlsServer::builder().identity(identity());
    let client = TlsClient::builder().pin_certificate_pem(&made.certificate);
    let client = client.provider(tls_provider()).build().unwrap();
    for (server, is_in_simulation) in [(simulated, false), (real, true)] {
        let server = server.build().unwrap();
        let client = client.clone();
        let serve = async move |event_loop: EventLoop| {
            let listener = event_loop.listen("0.0.0.0:443").tls(server.clone()).await?;
            // Each handshake fails, and is nobody's to accept.
            listener.accept().await?;
            Ok(())
        };
        let connect = async move |event_loop: EventLoop| {
            assert!(event_loop.open_connection("server:443").tls(client.clone()).await.is_err());
            Ok(())
        };
        let simulation = Simulation::new(1);
        if is_in_simulation {
            simulation.host("server").serve(serve);
            simulation.host("client").run(connect).unwrap();
        } else {
            let network = MemoryNetwork::new().host("server", [Ipv4Addr::LOCALHOST.into()]);
            let (event_loop, other) = (network.event_loop(), network.event_loop());
            let of_server = other.clone();
            let _serving = other.create_task(async move { serve(of_server).await });
            event_loop.run(connect).unwrap();
        }
    }
}
