//! Section X: two connections joined by a relay.

mod ends;
mod passing;
mod pipes;
mod random;
mod resets;
#[cfg(linux_kernel)]
mod spliced;
mod splicing;
mod stage;
mod starting;
mod talking;
