//! Names for what several places of the library ask of the target.
//!
//! - `linux_kernel`: Linux and Android, whose own system calls have a portable way beside them.
//! - `pidfd`: Linux, where a child process is a descriptor.
//!
//! `RUSTFLAGS="--cfg wharf_portable"` takes both away, so that the portable ways are compiled and
//! tested on Linux. `WHARF_PORTABLE=1` in the environment does the same to a build of this repository, and
//! spares building the dependencies once more.

#![forbid(unsafe_code)]

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(linux_kernel, pidfd)");
    let system = env::var("CARGO_CFG_TARGET_OS").unwrap_or_default();
    println!("cargo::rerun-if-env-changed=WHARF_PORTABLE");
    let portable = env::var_os("CARGO_CFG_WHARF_PORTABLE").is_some()
        || env::var_os("WHARF_PORTABLE").is_some_and(|value| value == "1");
    let linux_kernel = matches!(system.as_str(), "linux" | "android") && !portable;
    if linux_kernel {
        println!("cargo::rustc-cfg=linux_kernel");
    }
    if linux_kernel && system == "linux" {
        println!("cargo::rustc-cfg=pidfd");
    }
}
