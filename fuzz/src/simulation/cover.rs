//! TLS of one simulation.

use wharf::sim::tls_provider;
use wharf::{TlsClient, TlsIdentity, TlsServer, TlsVersion};

use super::plan::{Cover, Plan, Talk};

/// A client's and a server's side. Both keep sessions: others would make runs differ that should not.
#[derive(Clone)]
pub(super) struct Sides {
    pub(super) client: TlsClient,
    pub(super) server: TlsServer,
}

impl Sides {
    fn new(version: TlsVersion) -> Self {
        let server = TlsServer::builder().identity(TlsIdentity::from_pem(IDENTITY, IDENTITY));
        let server = server.provider(tls_provider()).build();
        let client = TlsClient::builder().pin_certificate_pem(IDENTITY);
        let client = client.min_version(version).max_version(version).provider(tls_provider());
        let client = client.build().expect("a client").server_name("server");
        Self { client, server: server.expect("a server") }
    }

    /// What covers connections from their beginning.
    pub(super) fn of_connections(plan: &Plan) -> Option<Self> {
        let version = match plan.cover {
            Cover::Nothing => return None,
            Cover::Tls12 => TlsVersion::Tls12,
            Cover::Tls13 => TlsVersion::Tls13,
        };
        (!matches!(plan.talk, Talk::StartTls | Talk::Datagrams)).then(|| Self::new(version))
    }

    /// What a connection is upgraded to.
    pub(super) fn of_upgrades(plan: &Plan) -> Option<Self> {
        let is_old = plan.cover == Cover::Tls12;
        let version = if is_old { TlsVersion::Tls12 } else { TlsVersion::Tls13 };
        (plan.talk == Talk::StartTls).then(|| Self::new(version))
    }
}

/// Always the same: of others signatures would have other lengths.
const IDENTITY: &str = include_str!("identity.pem");
