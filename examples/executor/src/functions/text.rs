use std::collections::BTreeMap;
use std::convert::Infallible;

use sha2::{Digest as _, Sha256};

/// The SHA-256 of a text, in hexadecimal digits.
pub(super) fn sha256(data: &str) -> Result<String, Infallible> {
    Ok(Sha256::digest(data).iter().map(|byte| format!("{byte:02x}")).collect())
}

/// How often each word is there, in lower case.
pub(super) fn count_words(data: &str) -> Result<BTreeMap<String, u64>, Infallible> {
    let mut counts = BTreeMap::new();
    let words =
        data.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty());
    for word in words {
        *counts.entry(word.to_lowercase()).or_default() += 1;
    }
    Ok(counts)
}
