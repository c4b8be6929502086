//! A client and its server, for each version of TLS.

use std::sync::LazyLock;

use wharf::{TlsClient, TlsIdentity, TlsServer, TlsVersion};

/// How much early data a server takes that takes some.
pub(crate) const TAKEN_EARLY: u32 = 300;

/// Under TLS 1.3, and under 1.2; then the same with early data.
pub(crate) static SIDES: LazyLock<[(TlsClient, TlsServer); 4]> = LazyLock::new(|| {
    let made = rcgen::generate_simple_self_signed(["server.test".to_owned()]).expect("a key");
    let versions = [TlsVersion::Tls13, TlsVersion::Tls12];
    let all = [
        (versions[0], 0),
        (versions[1], 0),
        (versions[0], TAKEN_EARLY),
        (versions[1], TAKEN_EARLY),
    ];
    all.map(|(version, max_early_data)| {
        let client = TlsClient::builder().pin_certificate_pem(made.cert.pem());
        let client = client.min_version(version).max_version(version);
        let identity = TlsIdentity::from_pem(made.cert.pem(), made.signing_key.serialize_pem());
        let server = TlsServer::builder().identity(identity).max_early_data(max_early_data);
        let server = server.build().expect("a server");
        (client.build().expect("a client").server_name("server.test"), server)
    })
});
