//! Two sessions, without sockets: what a peer may not do, or not too often.

use rustls::{Error, InvalidMessage, PeerMisbehaved};

use super::layer::{Layer, Opened};
use super::scratch::Scratch;
use super::session::{End, HEADROOM, Session};
use crate::tls::{TlsClient, TlsIdentity, TlsServer, TlsVersion};

/// A client and a server whose handshake is done.
struct Pair {
    client: Layer,
    server: Layer,
    buffer: Vec<u8>,
}

impl Pair {
    fn new(version: TlsVersion) -> Self {
        let mut pair = Self::begun(version);
        let mut to_server = Scratch::default();
        pair.client.begin(&mut to_server).unwrap();
        let mut input = to_server.bytes().to_vec();
        for _ in 0..4 {
            let answer = pair.give_server(&input).1;
            input = pair.give_client(&answer).1;
        }
        assert!(pair.client.is_established() && pair.server.is_established());
        pair
    }

    fn begun(version: TlsVersion) -> Self {
        let made = rcgen::generate_simple_self_signed(["server.test".to_owned()]).unwrap();
        let identity = TlsIdentity::from_pem(made.cert.pem(), made.signing_key.serialize_pem());
        let server = TlsServer::builder().identity(identity).build().unwrap();
        let client = TlsClient::builder()
            .pin_certificate_pem(made.cert.pem())
            .max_version(version)
            .build()
            .unwrap();
        let client = client.connect(Some("server.test")).unwrap();
        let server = server.accept().unwrap();
        Self {
            client: Layer::new(Session::client(client).unwrap(), None),
            server: Layer::new(Session::server(server).unwrap(), None),
            buffer: vec![0; 256 * 1024],
        }
    }

    fn give_server(&mut self, input: &[u8]) -> (Opened, Vec<u8>) {
        open(&mut self.server, &mut self.buffer, input)
    }

    fn give_client(&mut self, input: &[u8]) -> (Opened, Vec<u8>) {
        open(&mut self.client, &mut self.buffer, input)
    }
}

fn open(layer: &mut Layer, buffer: &mut [u8], input: &[u8]) -> (Opened, Vec<u8>) {
    let start = layer.input_start();
    buffer[start..start + input.len()].copy_from_slice(input);
    let mut output = Scratch::default();
    let opened = layer.open(buffer, input.len(), &mut output);
    (opened, output.bytes().to_vec())
}

fn error(opened: Opened) -> Error {
    match opened.end {
        End::Failed(error) => error,
        _ => panic!("no error"),
    }
}

#[test]
fn keys_are_changed_when_the_peer_asks_for_it() {
    let mut pair = Pair::new(TlsVersion::Tls13);
    for _ in 0..10 {
        let mut update = Scratch::default();
        pair.client.update_keys(&mut update).unwrap();
        let (opened, _) = pair.give_server(update.bytes());
        assert!(matches!(opened.end, End::No));
        // The answer goes out with what is written next.
        let mut records = Scratch::default();
        pair.server.seal(b"under new keys", &mut records).unwrap();
        let (opened, _) = pair.give_client(records.bytes());
        assert_eq!(&pair.buffer[..opened.plaintext], b"under new keys");
        let mut records = Scratch::default();
        pair.client.seal(b"indeed", &mut records).unwrap();
        let (opened, _) = pair.give_server(records.bytes());
        assert_eq!(&pair.buffer[..opened.plaintext], b"indeed");
    }
}

#[test]
fn a_flood_of_key_updates_is_an_error() {
    let mut pair = Pair::new(TlsVersion::Tls13);
    for count in 0.. {
        let mut update = Scratch::default();
        pair.client.update_keys(&mut update).unwrap();
        let (opened, _) = pair.give_server(update.bytes());
        if let End::Failed(error) = opened.end {
            assert_eq!(error, PeerMisbehaved::TooManyKeyUpdateRequests.into());
            assert!(count >= 32);
            break;
        }
        assert!(count < 100, "never enough");
    }
}

#[test]
fn a_flood_of_empty_records_is_an_error() {
    // Outside of encryption they are handshake records without a byte.
    let mut pair = Pair::begun(TlsVersion::Tls13);
    let empty: Vec<u8> = [22, 3, 3, 0, 0].repeat(100);
    let (opened, _) = pair.give_server(&empty);
    assert!(matches!(error(opened), Error::InvalidMessage(_) | Error::PeerMisbehaved(_)));
}

#[test]
fn a_handshake_message_that_is_too_large_is_an_error_at_its_beginning() {
    let mut pair = Pair::begun(TlsVersion::Tls13);
    // A hello of 16 MiB.
    let (opened, alert) = pair.give_server(&[22, 3, 1, 0, 4, 1, 0xff, 0xff, 0xff]);
    let expected = Error::InvalidMessage(InvalidMessage::HandshakePayloadTooLarge);
    assert_eq!(error(opened), expected);
    assert!(alert.is_empty() || alert[0] == 21);
}

#[test]
fn a_handshake_message_in_ever_so_small_records_is_bounded() {
    let mut pair = Pair::begun(TlsVersion::Tls13);
    let (opened, _) = pair.give_server(&[22, 3, 1, 0, 4, 1, 0, 0xff, 0xf0]);
    assert!(matches!(opened.end, End::No));
    let records = [22, 3, 1, 0, 1, 7].repeat(1000);
    for fed in 0.. {
        let (opened, _) = pair.give_server(&records);
        if let End::Failed(error) = opened.end {
            let expected = Error::InvalidMessage(InvalidMessage::HandshakePayloadTooLarge);
            assert_eq!(error, expected);
            assert!(fed > 10);
            break;
        }
        assert!(pair.server.has_partial());
        assert!(fed < 20, "never enough");
    }
    assert!(!pair.server.has_partial(), "nothing of it is kept");
}

#[test]
fn a_request_for_renegotiation_that_is_not_encrypted_is_an_error() {
    let mut pair = Pair::new(TlsVersion::Tls12);
    let (opened, alert) = pair.give_client(&[22, 3, 3, 0, 4, 0, 0, 0, 0]);
    assert!(matches!(error(opened), Error::DecryptError | Error::InvalidMessage(_)));
    assert_eq!(alert[0], 21);
}

#[test]
fn a_record_that_is_too_large_is_an_error() {
    for version in [TlsVersion::Tls12, TlsVersion::Tls13] {
        let mut pair = Pair::new(version);
        let mut record = vec![23, 3, 3, 0xff, 0xff];
        record.resize(70_000, 7);
        let (opened, alert) = pair.give_server(&record);
        error(opened);
        assert!(!alert.is_empty());
    }
}

#[test]
fn nothing_is_kept_of_complete_records_and_no_more_than_a_part_of_others() {
    let mut pair = Pair::new(TlsVersion::Tls13);
    let mut records = Scratch::default();
    let data: Vec<u8> = (0..40_000).map(|at| at as u8).collect();
    pair.client.seal(&data, &mut records).unwrap();
    let records = records.bytes().to_vec();
    let mut received = Vec::new();
    for piece in records.chunks(1000) {
        let (opened, _) = pair.give_server(piece);
        received.extend_from_slice(&pair.buffer[..opened.plaintext]);
        assert!(pair.server.input_start() - HEADROOM <= 17_000);
    }
    assert!(received == data, "the bytes differ");
    assert_eq!(pair.server.input_start(), HEADROOM);
}

#[test]
fn bad_input_after_close_notify_is_an_error_and_no_panic() {
    let mut pair = Pair::new(TlsVersion::Tls13);
    let mut farewell = Scratch::default();
    pair.server.close(&mut farewell).unwrap();
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let (opened, _) =
        pair.give_server(&[23, 3, 3, 0, 30].into_iter().chain([1; 30]).collect::<Vec<_>>());
    std::panic::set_hook(hook);
    error(opened);
    let (opened, _) = pair.give_client(farewell.bytes());
    assert!(matches!(opened.end, End::Closed));
}
