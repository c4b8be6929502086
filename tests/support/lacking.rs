//! What a machine may lack that a test needs.

/// Something that a test needs is not there: it fails where everything has to be (`CI` is set),
/// and says so elsewhere.
pub(crate) fn lacking(what: &str) {
    assert!(std::env::var_os("CI").is_none(), "this test needs {what}");
    eprintln!("not tested: it needs {what}");
}
