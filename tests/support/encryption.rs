//! Both sides of TLS, with certificates made on the spot.

use wharf::{ConnectionBuilder, Protocol, ServerBuilder};

#[cfg(feature = "tls")]
pub use self::with_tls::{CLIENT, Pem, SERVER, Tls, self_signed};

/// Nobody can have it.
#[cfg(not(feature = "tls"))]
pub enum Tls {}

pub fn serve(tls: Option<&Tls>, server: ServerBuilder) -> ServerBuilder {
    match tls {
        #[cfg(feature = "tls")]
        Some(tls) => server.tls(&tls.server),
        _ => server,
    }
}

pub fn connect<P: Protocol>(
    tls: Option<&Tls>,
    connection: ConnectionBuilder<P>,
) -> ConnectionBuilder<P> {
    match tls {
        #[cfg(feature = "tls")]
        Some(tls) => connection.tls(&tls.client),
        _ => connection,
    }
}

#[cfg(feature = "tls")]
mod with_tls {
    use std::sync::LazyLock;

    use wharf::{TlsClient, TlsIdentity, TlsServer, TlsVersion};

    /// A certificate and its key, as PEM.
    pub struct Pem {
        pub chain: String,
        pub key: String,
    }

    /// The server's, for `localhost` and `server.test`.
    pub static SERVER: LazyLock<Pem> = LazyLock::new(|| self_signed(&["localhost", "server.test"]));

    /// The client's.
    pub static CLIENT: LazyLock<Pem> = LazyLock::new(|| self_signed(&["client.test"]));

    pub fn self_signed(names: &[&str]) -> Pem {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
        Pem { chain: made.cert.pem(), key: made.signing_key.serialize_pem() }
    }

    impl Pem {
        pub fn identity(&self) -> TlsIdentity {
            TlsIdentity::from_pem(&self.chain, &self.key)
        }
    }

    /// A client that knows the server by its certificate, and the server.
    pub struct Tls {
        pub client: TlsClient,
        pub server: TlsServer,
    }

    impl Tls {
        pub fn new(version: TlsVersion) -> Self {
            let client = TlsClient::builder()
                .pin_certificate_pem(&SERVER.chain)
                .min_version(version)
                .max_version(version)
                .build()
                .expect("a client");
            let server =
                TlsServer::builder().identity(SERVER.identity()).build().expect("a server");
            Self { client, server }
        }
    }
}
