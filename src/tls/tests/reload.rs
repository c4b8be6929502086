//! New certificates without a restart.

use rustls::HandshakeKind;

use super::authority::{Authority, Directory, Issued, expired};
use super::handshake::handshake;
use crate::tls::{TlsClient, TlsIdentity, TlsServer};

struct Renewal {
    directory: Directory,
    authority: Authority,
    client: TlsClient,
}

impl Renewal {
    fn new() -> Self {
        let authority = Authority::new("the authority");
        let client = TlsClient::builder().ca_pem(authority.pem()).session_cache(0);
        Self { directory: Directory::new(), client: client.build().unwrap(), authority }
    }

    fn write(&self, issued: &Issued) {
        self.directory.write("chain.pem", &issued.chain);
        self.directory.write("key.pem", &issued.key);
    }

    fn identity(&self) -> TlsIdentity {
        TlsIdentity::from_files(self.directory.path("chain.pem"), self.directory.path("key.pem"))
    }

    fn shown(&self, server: &TlsServer) -> Vec<u8> {
        handshake(&self.client, "a.example", server).expect_success().shown().to_vec()
    }
}

#[test]
fn what_is_reloaded_is_used_by_all_clones() {
    let renewal = Renewal::new();
    let [first, second] = [(); 2].map(|()| renewal.authority.issue(&["a.example"]));
    renewal.write(&first);
    let server = TlsServer::builder().identity(renewal.identity()).build().unwrap();
    let running = server.clone();
    let before = server.fingerprint();
    assert_eq!(renewal.shown(&running), first.der);

    renewal.write(&second);
    assert_eq!(renewal.shown(&running), first.der);
    server.reload().unwrap();
    assert_eq!(renewal.shown(&running), second.der);
    assert_ne!(running.fingerprint(), before);
}

#[test]
fn a_bad_file_leaves_the_old_certificate_in_force() {
    let renewal = Renewal::new();
    let [first, second] = [(); 2].map(|()| renewal.authority.issue(&["a.example"]));
    renewal.write(&first);
    let server = TlsServer::builder().identity(renewal.identity()).build().unwrap();

    // Half way through a renewal: the key is there, the certificate not yet.
    renewal.directory.write("key.pem", &second.key);
    let error = server.reload().unwrap_err();
    assert!(error.to_string().contains("does not belong to the certificate"), "{error}");
    assert_eq!(renewal.shown(&server), first.der);

    std::fs::remove_file(renewal.directory.path("chain.pem")).unwrap();
    let error = server.reload().unwrap_err();
    assert_eq!(error.io_kind(), Some(std::io::ErrorKind::NotFound));
    assert!(error.to_string().contains("chain.pem"), "{error}");
    assert_eq!(renewal.shown(&server), first.der);

    renewal.write(&renewal.authority.issue_with(&["a.example"], expired));
    let error = server.reload().unwrap_err();
    assert!(error.to_string().contains("expired on"), "{error}");
    assert_eq!(renewal.shown(&server), first.der);

    renewal.write(&second);
    server.reload().unwrap();
    assert_eq!(renewal.shown(&server), second.der);
}

#[test]
fn tickets_outlive_a_reload_unless_the_authorities_of_clients_changed() {
    let renewal = Renewal::new();
    renewal.write(&renewal.authority.issue(&["a.example"]));
    let clients = Authority::new("the clients' authority");
    renewal.directory.write("clients.pem", clients.pem());
    let known = clients.issue(&["client"]);
    let server = TlsServer::builder()
        .identity(renewal.identity())
        .client_ca_file(renewal.directory.path("clients.pem"))
        .build()
        .unwrap();
    let client = TlsClient::builder()
        .ca_pem(renewal.authority.pem())
        .identity(known.identity())
        .build()
        .unwrap();
    let kind = || handshake(&client, "a.example", &server).client.handshake_kind();
    assert_eq!(kind(), Some(HandshakeKind::Full));
    server.reload().unwrap();
    assert_eq!(kind(), Some(HandshakeKind::Resumed));

    // Who was let in by the old authority is not let in by a ticket.
    renewal.directory.write("clients.pem", Authority::new("another").pem());
    server.reload().unwrap();
    let outcome = handshake(&client, "a.example", &server);
    assert!(outcome.server_refusal().contains("is signed by no authority"));
}

#[test]
fn a_connection_that_has_begun_is_not_touched() {
    let renewal = Renewal::new();
    renewal.write(&renewal.authority.issue(&["a.example"]));
    let server = TlsServer::builder().identity(renewal.identity()).build().unwrap();
    let begun = server.accept().unwrap().config;
    renewal.write(&renewal.authority.issue(&["a.example"]));
    server.reload().unwrap();
    assert!(!std::sync::Arc::ptr_eq(&begun, &server.accept().unwrap().config));
}

#[test]
fn both_sides_can_go_to_other_threads() {
    fn can<T: Send + Sync + 'static>() {}
    can::<TlsServer>();
    can::<TlsClient>();

    let renewal = Renewal::new();
    renewal.write(&renewal.authority.issue(&["a.example"]));
    let server = TlsServer::builder().identity(renewal.identity()).build().unwrap();
    let before = server.fingerprint();
    renewal.write(&renewal.authority.issue(&["a.example"]));
    let reloading = server.clone();
    std::thread::spawn(move || reloading.reload()).join().unwrap().unwrap();
    assert_ne!(server.fingerprint(), before);
}
