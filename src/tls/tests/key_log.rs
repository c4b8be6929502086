//! Secrets for those who look at their own connections.

use std::env;
use std::fs;
use std::process::Command;

use super::authority::{Directory, self_signed};
use super::handshake::handshake;
use crate::tls::{TlsClient, TlsServer};

/// The variable is read when a configuration is made, and a process cannot change its own safely.
#[test]
fn secrets_are_written_where_the_variable_says_if_asked_for() {
    let directory = Directory::new();
    let file = directory.path("secrets");
    let run = |side: &str| {
        let output = Command::new(env::current_exe().unwrap())
            .args(["--exact", "--ignored", "tls::tests::key_log::handshake_of_a_child"])
            .env("SSLKEYLOGFILE", &file)
            .env("WHARF_TEST_KEY_LOG", side)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"), "{output:?}");
        fs::read_to_string(&file).unwrap_or_default()
    };
    assert_eq!(run("neither"), "");
    for side in ["client", "server"] {
        let text = run(side);
        assert!(text.lines().any(|line| line.starts_with("CLIENT_TRAFFIC_SECRET_0 ")), "{text}");
        fs::remove_file(&file).unwrap();
    }
}

#[test]
#[ignore = "run by the test above, with the variable set"]
fn handshake_of_a_child() {
    let side = env::var("WHARF_TEST_KEY_LOG").unwrap();
    let known = self_signed(&["a.example"], |_| {});
    let client = TlsClient::builder().pin_certificate_pem(&known.chain).key_log(side == "client");
    let server = TlsServer::builder().identity(known.identity()).key_log(side == "server");
    let server = server.build().unwrap();
    // A reload goes on writing to the same file.
    server.reload().unwrap();
    handshake(&client.build().unwrap(), "a.example", &server).expect_success();
}
