//! Pinning: the server on one core, the load generator on another.

use std::io;

/// The cores this process may run on, in ascending order; empty where that cannot be asked.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub fn allowed_cores() -> Vec<usize> {
    use rustix::thread::{CpuSet, sched_getaffinity};
    match sched_getaffinity(None) {
        Ok(allowed) => (0..CpuSet::MAX_CPU).filter(|&core| allowed.is_set(core)).collect(),
        Err(_) => Vec::new(),
    }
}

/// The cores this process may run on, in ascending order; empty where that cannot be asked.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub fn allowed_cores() -> Vec<usize> {
    Vec::new()
}

/// Runs `spawn` on `core`, so that the process it starts is pinned there from its first
/// instruction, and restores this thread's own affinity. Without a core it just runs.
///
/// # Errors
/// The system refuses to pin.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub fn spawn_on<T>(core: Option<usize>, spawn: impl FnOnce() -> T) -> io::Result<T> {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
    let Some(core) = core else {
        return Ok(spawn());
    };
    let before = sched_getaffinity(None)?;
    let mut only = CpuSet::new();
    only.set(core);
    sched_setaffinity(None, &only)?;
    let spawned = spawn();
    sched_setaffinity(None, &before)?;
    Ok(spawned)
}

/// Runs `spawn`; this system has no pinning.
///
/// # Errors
/// None.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub fn spawn_on<T>(_core: Option<usize>, spawn: impl FnOnce() -> T) -> io::Result<T> {
    Ok(spawn())
}
