//! Both sides of a handshake, joined in memory.

use std::ops::DerefMut;

use rustls::{ClientConnection, ConnectionCommon, ServerConnection, SideData};

use crate::error::Error;
use crate::tls::{TlsClient, TlsServer, TlsVersion, handshake_error};

/// How a handshake ended.
pub(super) struct Outcome {
    pub(super) client: ClientConnection,
    pub(super) server: ServerConnection,
    pub(super) client_error: Option<Error>,
    pub(super) server_error: Option<Error>,
}

/// Runs a handshake to its end, and past it, so that tickets arrive.
pub(super) fn handshake(client: &TlsClient, host: &str, server: &TlsServer) -> Outcome {
    let setup = client.connect(Some(host)).unwrap();
    let client = ClientConnection::new(setup.config, setup.name).unwrap();
    let server = ServerConnection::new(server.accept().unwrap().config).unwrap();
    let mut outcome = Outcome { client, server, client_error: None, server_error: None };
    loop {
        let Outcome { client, server, client_error, server_error } = &mut outcome;
        let from_client = take(client);
        let from_server = take(server);
        if from_client.is_empty() && from_server.is_empty() {
            return outcome;
        }
        give(server, &from_client, server_error);
        give(client, &from_server, client_error);
    }
}

impl Outcome {
    #[track_caller]
    pub(super) fn expect_success(self) -> Self {
        for error in [&self.client_error, &self.server_error] {
            assert!(error.is_none(), "{error:?}");
        }
        assert!(!self.client.is_handshaking() && !self.server.is_handshaking());
        self
    }

    /// What the client failed with.
    #[track_caller]
    pub(super) fn client_refusal(&self) -> String {
        refusal(self.client_error.as_ref())
    }

    /// What the server failed with.
    #[track_caller]
    pub(super) fn server_refusal(&self) -> String {
        refusal(self.server_error.as_ref())
    }

    pub(super) fn version(&self) -> Option<TlsVersion> {
        self.client.protocol_version().and_then(TlsVersion::from_rustls)
    }

    /// The certificate that the client was shown.
    pub(super) fn shown(&self) -> &[u8] {
        &self.client.peer_certificates().unwrap()[0]
    }
}

#[track_caller]
fn refusal(error: Option<&Error>) -> String {
    let error = error.expect("the handshake failed on this side");
    assert!(error.is_tls());
    assert!(error.downcast_ref::<rustls::Error>().is_some());
    error.to_string()
}

fn take<S: SideData>(connection: &mut impl DerefMut<Target = ConnectionCommon<S>>) -> Vec<u8> {
    let mut bytes = Vec::new();
    while connection.wants_write() {
        connection.write_tls(&mut bytes).unwrap();
    }
    bytes
}

fn give<S: SideData>(
    connection: &mut impl DerefMut<Target = ConnectionCommon<S>>,
    mut bytes: &[u8],
    failure: &mut Option<Error>,
) {
    while !bytes.is_empty() && failure.is_none() {
        connection.read_tls(&mut bytes).unwrap();
        if let Err(error) = connection.process_new_packets() {
            *failure = Some(handshake_error(error));
        }
    }
}
