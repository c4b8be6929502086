//! Ready protocols for wharf.
