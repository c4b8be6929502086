//! What the servers among the examples show under TLS.

use std::io::{self, Write};
use std::path::PathBuf;

use wharf::{EventLoop, Result, TlsIdentity, TlsServer};

/// A server's certificate: two PEM files, or else one that signs itself, made on the spot and
/// forgotten at the end.
pub fn server(cert: Option<PathBuf>, key: Option<PathBuf>) -> Result<TlsServer> {
    server_with(cert, key, &[])
}

/// As [`server`], of which clients can choose one of `protocols` by ALPN.
pub fn server_with(
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
    protocols: &[&str],
) -> Result<TlsServer> {
    let identity = match (cert, key) {
        (Some(cert), Some(key)) => TlsIdentity::from_files(cert, key),
        (None, None) => {
            let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
            let made = rcgen::generate_simple_self_signed(names)?;
            TlsIdentity::from_pem(made.cert.pem(), made.signing_key.serialize_pem())
        }
        _ => return Err(lexopt::Error::from("--cert and --key belong together").into()),
    };
    Ok(TlsServer::builder().identity(identity).alpn(protocols).build()?)
}

/// Prints the certificate's fingerprint, so that a client can be told whom to trust: in the loop's
/// next round, after the line that says where the server listens.
pub fn print_fingerprint(event_loop: &EventLoop, tls: &TlsServer) {
    let fingerprint = tls.fingerprint();
    event_loop.call_soon(move || {
        if let Some(fingerprint) = fingerprint {
            // Nobody may be reading: that is no failure.
            let line = format!("SHA-256 fingerprint of the certificate: {fingerprint}");
            let _ = writeln!(io::stdout(), "{line}");
        }
    });
}
