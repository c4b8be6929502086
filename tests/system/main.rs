//! Whole programs, foreign peers, and the operating system's limits.
#![forbid(unsafe_code)]

#[path = "../support/lacking.rs"]
mod lacking;
#[path = "../support/children.rs"]
#[allow(dead_code, reason = "every test binary uses a part of it")]
mod observer;
#[path = "../support/serving.rs"]
mod serving;
#[path = "../support/sockets.rs"]
#[allow(dead_code, reason = "every test binary uses a part of it")]
mod sockets;

mod chat;
mod children;
mod datagrams;
mod descriptor_passing;
mod descriptors;
mod examples;
mod hot_restart;
mod idle;
mod inherited;
mod killed;
mod options;
mod peers;
mod pipes;
mod ports;
mod process;
mod program;
mod proxy;
mod readiness;
mod refusals;
mod relay;
mod remote;
mod resets;
mod silent;
mod socket_options;
mod stdio;
mod stdio_chat;
mod supervise;
mod tls;
mod unix;
