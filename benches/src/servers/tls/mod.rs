//! The echo servers under TLS: rustls on a hand-written mio loop, on tokio, and in wharf.
//!
//! The same certificate's kind (ECDSA P-256, signed by itself), provider (ring) and tickets (two,
//! encrypted, as rustls sends them by default). Suite and key exchange are the load's choice.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;

use super::Options;
use crate::Result;

mod raw;
mod state;
mod tokio;
mod wharf;

/// Serves until SIGTERM.
///
/// # Errors
/// Nobody is called so, or listening, polling or accepting fails.
pub fn run(options: Options) -> Result {
    match options.by.as_str() {
        "raw" => raw::run(options.listen, raw::Reading::Direct),
        "raw-shared" => raw::run(options.listen, raw::Reading::Shared),
        "state" => state::run(options.listen),
        "tokio" => tokio::run(options.listen),
        "wharf" => wharf::run(options.listen),
        other => Err(format!("unknown server: {other}").into()),
    }
}

/// A certificate and its key, made on the spot.
fn certified() -> Result<rcgen::CertifiedKey<rcgen::KeyPair>> {
    Ok(rcgen::generate_simple_self_signed(["localhost".to_owned()])?)
}

/// The configuration of those that use rustls directly.
fn rustls_config() -> Result<Arc<ServerConfig>> {
    let made = certified()?;
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)?;
    config.ticketer = ring::Ticketer::new()?;
    Ok(Arc::new(config))
}
