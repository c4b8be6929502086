//! The fuzz target over its seeds and over what it has found, and over changes of them: no fuzzer is needed for that.
#![forbid(unsafe_code)]

use wharf_protocols::testing::{Mutations, replay};

#[path = "../fuzz/messages.rs"]
mod messages;

const FUZZ: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz");

#[test]
fn messages() {
    assert!(replay(format!("{FUZZ}/corpus/messages"), messages::run) > 0, "there are no seeds");
}

#[test]
fn changes_of_messages() {
    let changes = Mutations::of(format!("{FUZZ}/corpus/messages"));
    changes.dictionary(format!("{FUZZ}/messages.dict")).run(200, messages::run);
}
