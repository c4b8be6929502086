//! Functions that every worker has.

mod mandelbrot;
#[cfg(test)]
mod tests;
mod text;

use std::time::Duration;

pub use mandelbrot::{MANDELBROT_TILE, Tile, pixels};

use crate::task::InvalidName;
use crate::work::{Functions, Job};

/// The functions that every worker has: `sha256`, `wordcount`, `mandelbrot-tile`, `sleep` and `fail`.
///
/// # Errors
/// None: these are names.
pub fn built_in() -> Result<Functions, InvalidName> {
    let mut functions = Functions::new();
    functions.add("sha256", |data: String, _| text::sha256(&data))?;
    functions.add("wordcount", |data: String, _| text::count_words(&data))?;
    functions.define(&MANDELBROT_TILE, |tile, job| mandelbrot::base64_pixels(&tile, job));
    functions.add_async("sleep", sleep)?;
    functions.add("fail", |why: String, _| Err::<(), _>(why))?;
    Ok(functions)
}

/// Does nothing for so many milliseconds.
async fn sleep(milliseconds: u64, _: Job) -> Result<u64, String> {
    wharf::sleep(Duration::from_millis(milliseconds)).await;
    Ok(milliseconds)
}
