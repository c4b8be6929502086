//! Bugs that are planted in small programs, found under a simulated network, and replayed.
#![forbid(unsafe_code)]

mod closing;
mod leases;
mod pausing;
mod planted;
mod sessions;
mod timing;
