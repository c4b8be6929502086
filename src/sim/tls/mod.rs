//! TLS that follows from the seed: equal bytes in equal runs.

mod exchange;
mod randomness;
mod signatures;
#[cfg(test)]
mod tests;

use std::sync::{Arc, LazyLock};

use rustls::crypto::{CryptoProvider, ring};

use crate::tls::TlsProvider;

pub(super) use self::randomness::lend;

/// A provider of cryptography whose randomness follows from the simulation's seed: equal runs exchange equal bytes, not
/// only as many. For [`TlsClient`](crate::TlsClient)s and [`TlsServer`](crate::TlsServer)s of a
/// [`Simulation`](super::Simulation); both sides need it.
///
/// **It protects nothing.** Messages are encrypted as always, but who has seen a handshake can compute its keys, and
/// anyone can sign for anyone. Outside of a running simulation it has no randomness, and handshakes fail. It speaks to no
/// other provider. Certificates are verified as always: make them once, or read them from files, as making one needs
/// the system's randomness.
///
/// Tickets are kept by the server, as there is no key for stateless ones. Clients keep sessions to resume, too: in a
/// [`Check`](super::Check), build both in the scenario, and share the certificate alone. One that is shared by several
/// runs resumes what another has begun, and runs differ.
///
/// ```
/// use wharf::{TlsClient, TlsServer};
/// use wharf::sim::{Simulation, tls_provider};
///
/// # fn main() -> wharf::Result {
/// let made = rcgen::generate_simple_self_signed(["server".to_owned()])?;
/// let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
/// let server = TlsServer::builder()
///     .identity(wharf::TlsIdentity::from_pem(&certificate, &key))
///     .provider(tls_provider())
///     .build()?;
/// let client = TlsClient::builder().pin_certificate_pem(&certificate).provider(tls_provider()).build()?;
///
/// let simulation = Simulation::new(7);
/// simulation.host("server").serve(async move |event_loop| {
///     let listener = event_loop.listen("0.0.0.0:443").tls(server.clone()).await?;
///     loop {
///         let (_reader, writer) = listener.accept().await?;
///         writer.write_all(b"hello\n").await?;
///     }
/// });
/// let line = simulation.host("client").run(async move |event_loop| {
///     let (mut reader, _writer) = event_loop.open_connection("server:443").tls(client).await?;
///     Ok(reader.read_line().await?.map(str::to_owned))
/// })?;
/// assert_eq!(line.as_deref(), Some("hello"));
/// # Ok(())
/// # }
/// ```
pub fn tls_provider() -> TlsProvider {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| {
        let ring = ring::default_provider();
        Arc::new(CryptoProvider {
            kx_groups: vec![&exchange::Open],
            signature_verification_algorithms: signatures::verification(
                ring.signature_verification_algorithms,
            ),
            secure_random: &randomness::FromSeed,
            key_provider: &signatures::Keys,
            ..ring
        })
    });
    TlsProvider::Custom(Arc::clone(&PROVIDER))
}
