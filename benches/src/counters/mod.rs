//! What can be counted about a server from outside.

pub mod callgrind;
pub mod cpu;
pub mod dhat;
pub mod resident;
pub mod strace;
