//! How long random tests look.

/// How many cases a property is tried with: as many as `PROPTEST_CASES` says, or the usual number.
pub fn cases(usual: u32) -> u32 {
    let Ok(text) = std::env::var("PROPTEST_CASES") else { return usual };
    text.parse().expect("PROPTEST_CASES is a number")
}
