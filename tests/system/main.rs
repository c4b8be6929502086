//! Whole programs, foreign peers, and the operating system's limits.
#![forbid(unsafe_code)]

use wharf_test_support::{children as observer, needs, process, program, serving, sockets};

mod children;
mod descriptor_passing;
mod descriptors;
mod idle;
mod inherited;
mod killed;
mod options;
mod peers;
mod pipes;
mod ports;
mod readiness;
mod refusals;
mod relay;
mod remote;
mod resets;
mod silent;
mod socket_options;
#[cfg(feature = "tls")]
mod tls;
mod unix;
