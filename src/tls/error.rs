//! rustls's errors, as wharf says them.

use rustls::{
    AlertDescription, CertificateError, Error as RustlsError, InvalidMessage, PeerIncompatible,
};

use super::dates;
use super::pins::NotPinned;
use crate::error::{Error, Kind};
use crate::fence;

/// The error of a handshake that failed.
pub(crate) fn handshake_error(error: RustlsError) -> Error {
    with_text("the TLS handshake failed", error)
}

/// The error of an established connection.
pub(crate) fn tls_error(error: RustlsError) -> Error {
    with_text("TLS failed", error)
}

/// The error of a configuration that rustls refuses.
pub(super) fn config_error(error: RustlsError) -> Error {
    Error::with_source(Kind::Invalid, "the TLS settings do not fit together", error)
}

/// The text says all; rustls's own error is the source, for programs.
fn with_text(what: &str, error: RustlsError) -> Error {
    // Verifiers of users have errors of their own.
    let text = fence::run(|| format!("{what}: {}", describe(&error))).unwrap_or_else(|panic| {
        format!("{what}: an error whose text cannot be had: {}", panic.into_error())
    });
    Error::with_source(Kind::Tls, text, error)
}

fn describe(error: &RustlsError) -> String {
    match error {
        RustlsError::AlertReceived(alert) => {
            let (name, meaning) = alert_text(*alert);
            format!("the peer sent the alert {name}: {meaning}")
        }
        RustlsError::InvalidCertificate(problem) => {
            format!("the peer's certificate {}", certificate_text(problem))
        }
        RustlsError::NoCertificatesPresented => "the peer showed no certificate".to_owned(),
        RustlsError::NoApplicationProtocol => {
            "the peer offers no application protocol that we accept (ALPN)".to_owned()
        }
        RustlsError::PeerIncompatible(why) => incompatible_text(why),
        RustlsError::InvalidMessage(
            InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion,
        ) => "what the peer sent is not TLS".to_owned(),
        RustlsError::DecryptError => "a record from the peer is corrupt".to_owned(),
        RustlsError::PeerSentOversizedRecord => "a record from the peer is too large".to_owned(),
        RustlsError::Other(other) => other.0.to_string(),
        RustlsError::PeerMisbehaved(why) => format!("the peer broke the protocol ({why:?})"),
        other => other.to_string(),
    }
}

/// What follows "the peer's certificate".
fn certificate_text(problem: &CertificateError) -> String {
    let text = match problem {
        CertificateError::ExpiredContext { not_after, .. } => return dates::expired(*not_after),
        CertificateError::NotValidYetContext { not_before, .. } => {
            return dates::not_yet_valid(*not_before);
        }
        CertificateError::NotValidForNameContext { expected, presented } => {
            let for_what = match &presented[..] {
                [] => "for no name at all".to_owned(),
                names => format!(
                    "for {}",
                    names.iter().map(|name| plain_name(name)).collect::<Vec<_>>().join(", ")
                ),
            };
            return format!("is {for_what}, not for {}", expected.to_str());
        }
        CertificateError::Other(other) => {
            return match other.0.downcast_ref::<webpki::Error>() {
                Some(webpki::Error::CaUsedAsEndEntity) => {
                    "is an authority's own, and no server's; if it is self-signed, pin it"
                        .to_owned()
                }
                Some(webpki::Error::UnsupportedCertVersion) => {
                    "is of an X.509 version before 3".to_owned()
                }
                _ if other.0.is::<NotPinned>() => other.0.to_string(),
                _ => format!("is invalid: {}", other.0),
            };
        }
        CertificateError::Expired => "has expired",
        CertificateError::NotValidYet => "is not valid yet",
        CertificateError::NotValidForName => "is for another name",
        CertificateError::UnknownIssuer => "is signed by no authority that is trusted",
        CertificateError::Revoked => "was revoked",
        CertificateError::BadEncoding => "is damaged",
        CertificateError::BadSignature => "has a wrong signature",
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "is for another purpose"
        }
        other => return format!("is invalid: {other}"),
    };
    text.to_owned()
}

/// Without the kind that rustls writes around a name: `DnsName("a.example")`.
fn plain_name(name: &str) -> &str {
    name.split_once("(\"").and_then(|(_, rest)| rest.strip_suffix("\")")).unwrap_or(name)
}

fn incompatible_text(why: &PeerIncompatible) -> String {
    let text = match why {
        PeerIncompatible::NoCipherSuitesInCommon => "no cipher suite in common with the peer",
        PeerIncompatible::NoKxGroupsInCommon => "no key exchange group in common with the peer",
        PeerIncompatible::NoSignatureSchemesInCommon
        | PeerIncompatible::NoCertificateRequestSignatureSchemesInCommon => {
            "no kind of signature in common with the peer"
        }
        PeerIncompatible::ServerDoesNotSupportTls12Or13
        | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
        | PeerIncompatible::SupportedVersionsExtensionRequired
        | PeerIncompatible::Tls12NotOffered
        | PeerIncompatible::Tls12NotOfferedOrEnabled => "no TLS version in common with the peer",
        other => return format!("the peer is incompatible ({other:?})"),
    };
    text.to_owned()
}

/// An alert's name in the standards, and what it says.
fn alert_text(alert: AlertDescription) -> (String, &'static str) {
    use AlertDescription as Alert;
    let (name, meaning) = match alert {
        Alert::CloseNotify => ("close_notify", "it closed"),
        Alert::UnexpectedMessage => ("unexpected_message", "it did not expect a message of ours"),
        Alert::BadRecordMac => ("bad_record_mac", "a record arrived corrupt"),
        Alert::RecordOverflow => ("record_overflow", "a record was too large for it"),
        Alert::HandshakeFailure => {
            ("handshake_failure", "no settings in common, or it asks for a certificate")
        }
        Alert::BadCertificate => ("bad_certificate", "our certificate is damaged"),
        Alert::UnsupportedCertificate => {
            ("unsupported_certificate", "it cannot use a certificate of our kind")
        }
        Alert::CertificateRevoked => ("certificate_revoked", "our certificate was revoked"),
        Alert::CertificateExpired => ("certificate_expired", "our certificate is not valid now"),
        Alert::CertificateUnknown => ("certificate_unknown", "it does not accept our certificate"),
        Alert::IllegalParameter => ("illegal_parameter", "a value of ours makes no sense to it"),
        Alert::UnknownCA => ("unknown_ca", "it does not trust who signed our certificate"),
        Alert::AccessDenied => ("access_denied", "it does not let us in"),
        Alert::DecodeError => ("decode_error", "it could not parse a message of ours"),
        Alert::DecryptError => ("decrypt_error", "a signature or key of ours is wrong to it"),
        Alert::ProtocolVersion => ("protocol_version", "no TLS version in common"),
        Alert::InsufficientSecurity => ("insufficient_security", "our suites are too weak for it"),
        Alert::InternalError => ("internal_error", "it failed by itself"),
        Alert::InappropriateFallback => ("inappropriate_fallback", "it knows a higher version"),
        Alert::UserCanceled => ("user_canceled", "it gave up"),
        Alert::NoRenegotiation => ("no_renegotiation", "it does not renegotiate"),
        Alert::MissingExtension => ("missing_extension", "it misses an extension of ours"),
        Alert::UnsupportedExtension => ("unsupported_extension", "it did not ask for an extension"),
        Alert::UnrecognisedName => ("unrecognized_name", "it has no server of that name"),
        Alert::BadCertificateStatusResponse => {
            ("bad_certificate_status_response", "our OCSP response is invalid")
        }
        Alert::UnknownPSKIdentity => ("unknown_psk_identity", "it does not know our key"),
        Alert::CertificateRequired => ("certificate_required", "it asks for a client certificate"),
        Alert::NoApplicationProtocol => {
            ("no_application_protocol", "it knows no application protocol that we offer (ALPN)")
        }
        other => return (format!("{other:?}"), "no more is known"),
    };
    (name.to_owned(), meaning)
}
