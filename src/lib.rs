//! asyncio's Transport/Protocol model for Rust.
mod time;
