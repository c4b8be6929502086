//! What rustls says, in words.

use rustls::{AlertDescription, ClientConnection, Error as RustlsError, ServerConnection};

use super::authority::self_signed;
use crate::error::{Error, Failure, Kind};
use crate::tls::{TlsClient, handshake_error, tls_error};

#[test]
fn a_peer_that_does_not_speak_tls_is_told_apart() {
    let known = self_signed(&["a.example"], |_| {});
    let client = TlsClient::builder().pin_certificate_pem(&known.chain).build().unwrap();
    for banner in
        ["HTTP/1.1 400 Bad Request\r\n\r\n", "220 mail.example ESMTP\r\n", "SSH-2.0-x\r\n"]
    {
        let setup = client.connect(None).unwrap();
        let mut connection = ClientConnection::new(setup.config, setup.name).unwrap();
        connection.read_tls(&mut banner.as_bytes()).unwrap();
        let error = handshake_error(connection.process_new_packets().unwrap_err());
        let text = "the TLS handshake failed: what the peer sent is not TLS";
        assert_eq!(error.to_string(), text, "{banner}");
    }
    let mut connection = ServerConnection::new(known.server().accept().unwrap().config).unwrap();
    connection.read_tls(&mut &b"GET / HTTP/1.1\r\n\r\n"[..]).unwrap();
    let error = handshake_error(connection.process_new_packets().unwrap_err());
    assert!(error.to_string().ends_with("what the peer sent is not TLS"), "{error}");
}

#[test]
fn every_alert_of_the_standards_has_its_name_and_a_meaning() {
    // RFC 8446, 6: the names; those of TLS 1.2 and older that 1.3 does not use are left to rustls.
    let named = [
        (0, "close_notify"),
        (10, "unexpected_message"),
        (20, "bad_record_mac"),
        (22, "record_overflow"),
        (40, "handshake_failure"),
        (42, "bad_certificate"),
        (43, "unsupported_certificate"),
        (44, "certificate_revoked"),
        (45, "certificate_expired"),
        (46, "certificate_unknown"),
        (47, "illegal_parameter"),
        (48, "unknown_ca"),
        (49, "access_denied"),
        (50, "decode_error"),
        (51, "decrypt_error"),
        (70, "protocol_version"),
        (71, "insufficient_security"),
        (80, "internal_error"),
        (86, "inappropriate_fallback"),
        (90, "user_canceled"),
        (109, "missing_extension"),
        (110, "unsupported_extension"),
        (112, "unrecognized_name"),
        (113, "bad_certificate_status_response"),
        (115, "unknown_psk_identity"),
        (116, "certificate_required"),
        (120, "no_application_protocol"),
    ];
    for code in 0..=u8::MAX {
        let error = tls_error(RustlsError::AlertReceived(AlertDescription::from(code)));
        let text = error.to_string();
        assert!(text.starts_with("TLS failed: the peer sent the alert "), "{text}");
        if let Some((_, name)) = named.iter().find(|(known, _)| *known == code) {
            assert!(text.contains(&format!("alert {name}: ")), "{code}: {text}");
        }
    }
}

#[test]
fn an_error_of_tls_keeps_its_kind_and_rustlss_own() {
    let error = tls_error(RustlsError::DecryptError);
    assert!(error.is_tls());
    assert_eq!(error.downcast_ref::<RustlsError>(), Some(&RustlsError::DecryptError));
    let failure: Failure = error.into();
    let error = Error::from(failure);
    assert!(error.is_tls() && !error.is_application());
    assert_eq!(error.to_string(), "TLS failed: a record from the peer is corrupt");
    // What is said around it does not hide it.
    let around = Error::with_source(Kind::Tls, "connection from 127.0.0.1:7", error);
    assert_eq!(around.to_string(), "connection from 127.0.0.1:7");
    let text = "connection from 127.0.0.1:7: TLS failed: a record from the peer is corrupt";
    assert_eq!(format!("{around:#}"), text);
}
