//! Bugs that are planted in small programs, found under a simulated network, and replayed; and what simulations cost.
#![forbid(unsafe_code)]

mod closing;
mod leases;
mod memory;
mod pausing;
mod planted;
mod sessions;
mod timing;
