//! Benchmarks of wharf beside its peers.
