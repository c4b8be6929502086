//! time
#[cfg_attr(not(test), expect(dead_code))]
mod wheel;
