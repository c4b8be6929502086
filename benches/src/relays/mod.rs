//! The contenders of the relay table: `--listen ADDRESS --connect ADDRESS`, and every connection is
//! joined with one that is made for it. Otherwise as [`servers`](crate::servers).

pub mod tokio;
pub mod wharf;
