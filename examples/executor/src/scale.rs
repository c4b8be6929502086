//! How much tests try.

/// `WHARF_EXECUTOR_FAULTS` times as much as in the gate.
pub(crate) fn times(count: u32) -> u32 {
    count * std::env::var("WHARF_EXECUTOR_FAULTS").map_or(1, |times| times.parse().unwrap())
}
