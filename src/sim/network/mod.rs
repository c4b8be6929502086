//! The links between hosts.

mod cuts;
mod options;
mod policy;
#[cfg(test)]
mod tests;
mod timeouts;

pub use self::options::LinkOptions;

pub(super) use self::policy::SimulatedLinks;
