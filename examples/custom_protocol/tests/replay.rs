//! The fuzz target over its seeds and over what it has found.
#![forbid(unsafe_code)]

#[path = "../fuzz/messages.rs"]
mod messages;

#[test]
fn messages() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/messages");
    assert!(wharf_protocols::testing::replay(corpus, messages::run) > 0, "there are no seeds");
}
