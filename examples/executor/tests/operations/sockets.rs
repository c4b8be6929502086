//! Where a coordinator listens.

use std::os::unix::fs::PermissionsExt as _;

use rustix::process::Signal;

use crate::support::{Place, is_there, listening, start};

#[test]
fn a_unix_socket_has_its_mode_is_replaced_when_it_is_stale_and_not_when_it_lives() {
    let place = Place::new();
    let socket = place.path("socket");
    let coordinator = place.serve(&["--unix-mode", "640"]);
    listening(&coordinator);
    let mode = || socket.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(), 0o640);
    let data = place.path("data").metadata().unwrap().permissions().mode();
    assert_eq!(data & 0o777, 0o700);
    let other = Place::new();
    let second = start(&["serve", "--listen", &place.address(), "--data", &other.text("data")]);
    let ending = second.end();
    assert!(ending.code != Some(0) && !ending.errors.is_empty(), "{ending:?}");
    coordinator.signal(Signal::KILL);
    coordinator.end();
    assert!(is_there(&socket), "nobody was there to remove it");
    let coordinator = place.serve(&[]);
    listening(&coordinator);
    assert_eq!(mode(), 0o600);
    coordinator.signal(Signal::TERM);
    assert_eq!(coordinator.end().code, Some(0));
    assert!(!is_there(&socket));
}

#[test]
fn what_other_machines_could_reach_needs_a_token_or_certificates_unless_told_otherwise() {
    let place = Place::new();
    let refused = place.serve(&["--listen", "0.0.0.0:0"]).end();
    assert!(refused.errors.contains("say --insecure"), "{}", refused.errors);
    assert_ne!(refused.code, Some(0));
    std::fs::write(place.path("token"), "secret\n").unwrap();
    let token = place.text("token");
    for options in [&["--insecure"][..], &["--token-file", &token]] {
        let coordinator = place.serve(&[&["--listen", "0.0.0.0:0"], options].concat());
        listening(&coordinator);
        listening(&coordinator);
    }
}
