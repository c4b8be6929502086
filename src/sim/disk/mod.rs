//! What the hosts of a simulation store.
//!
//! A [`Disk`] outlives the programs of its [`Host`](super::Host), and its crashes. What was written and not synced is lost
//! in a crash, or torn, as far as the seed wants.

mod content;
mod directory;
mod fault;
mod file;
mod handle;
mod state;
mod survival;
#[cfg(test)]
mod tests;

pub use self::fault::DiskFault;
pub use self::file::DiskFile;
pub use self::handle::Disk;
