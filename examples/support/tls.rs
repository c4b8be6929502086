//! What the servers among the examples show under TLS.

use std::path::PathBuf;

use wharf::{Result, TlsIdentity, TlsServer};

/// A server's certificate: two PEM files, or else one that signs itself, made on the spot and
/// forgotten at the end.
pub(crate) fn server(cert: Option<PathBuf>, key: Option<PathBuf>) -> Result<TlsServer> {
    let identity = match (cert, key) {
        (Some(cert), Some(key)) => TlsIdentity::from_files(cert, key),
        (None, None) => {
            let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
            let made = rcgen::generate_simple_self_signed(names)?;
            TlsIdentity::from_pem(made.cert.pem(), made.signing_key.serialize_pem())
        }
        _ => return Err(lexopt::Error::from("--cert and --key belong together").into()),
    };
    Ok(TlsServer::builder().identity(identity).build()?)
}

/// What a server prints, so that a client can be told whom to trust.
pub(crate) fn fingerprint_line(tls: &TlsServer) -> Option<String> {
    Some(format!("SHA-256 fingerprint of the certificate: {}", tls.fingerprint()?))
}
