//! Section X: two connections joined by a relay.

mod ends;
mod passing;
mod pipes;
mod random;
mod splicing;
mod stage;
mod starting;
