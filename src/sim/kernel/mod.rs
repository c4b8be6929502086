//! What the kernels of hosts do to the calls of programs.

mod fault;
mod options;
mod policy;
#[cfg(test)]
mod tests;

pub use self::fault::KernelFault;
pub use self::options::KernelOptions;

pub(super) use self::policy::{HostKernel, Kernels};
