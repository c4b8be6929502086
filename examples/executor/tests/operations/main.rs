//! Running the executor: its binary with signals, sockets, certificates and copies.
#![forbid(unsafe_code)]

#[cfg(target_os = "linux")]
mod descriptors;
mod killed;
#[cfg(target_os = "linux")]
mod probes;
mod restart;
mod secure;
mod service;
mod signals;
mod sockets;
mod support;
