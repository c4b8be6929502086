//! The Mandelbrot set, tile by tile.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::Function;
use crate::work::Job;

/// The most pixels of a tile: 1,024 by 1,024.
const MOST_PIXELS: u64 = 1 << 20;
/// The most steps for a pixel.
const MOST_STEPS: u32 = 100_000;

/// Draws a [`Tile`]: its [`pixels`] as base64.
pub const MANDELBROT_TILE: Function<Tile, String> = Function::new("mandelbrot-tile");

/// A part of a picture of the Mandelbrot set.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tile {
    /// The picture's width, in pixels.
    pub width: u32,
    /// The picture's height, in pixels.
    pub height: u32,
    /// Where the tile begins, from the left.
    pub left: u32,
    /// Where the tile begins, from the top.
    pub top: u32,
    /// How wide it is.
    pub columns: u32,
    /// How high it is.
    pub rows: u32,
    /// After how many steps a point is taken to be in the set.
    pub steps: u32,
}

/// The pixels of a tile, row by row: red, green and blue of each, a byte each. `None`: `go_on` was false.
///
/// # Errors
/// The tile is too large, or not within its picture.
pub fn pixels(tile: &Tile, mut go_on: impl FnMut() -> bool) -> Result<Option<Vec<u8>>, String> {
    let is_within =
        |from: u32, count: u32, size: u32| from.checked_add(count).is_some_and(|end| end <= size);
    if u64::from(tile.columns) * u64::from(tile.rows) > MOST_PIXELS || tile.steps > MOST_STEPS {
        return Err(format!("a tile has {MOST_PIXELS} pixels of {MOST_STEPS} steps at most"));
    }
    if !is_within(tile.left, tile.columns, tile.width)
        || !is_within(tile.top, tile.rows, tile.height)
    {
        return Err("the tile is not within its picture".to_owned());
    }
    let mut pixels = Vec::with_capacity(3 * tile.columns as usize * tile.rows as usize);
    // The whole set, in the middle.
    let scale = 3.0 / f64::from(tile.width).min(1.25 * f64::from(tile.height));
    for row in tile.top..tile.top + tile.rows {
        if !go_on() {
            return Ok(None);
        }
        for column in tile.left..tile.left + tile.columns {
            let x = (f64::from(column) - f64::from(tile.width) / 2.0) * scale - 0.7;
            let y = (f64::from(row) - f64::from(tile.height) / 2.0) * scale;
            pixels.extend_from_slice(&color(escape(x, y, tile.steps)));
        }
    }
    Ok(Some(pixels))
}

/// After how many steps a point is sure to leave, with a fraction so that colours have no steps; `None`: it does not.
fn escape(x: f64, y: f64, steps: u32) -> Option<f64> {
    let (mut real, mut imaginary) = (0.0, 0.0);
    for step in 0..steps {
        let (square, other) = (real * real, imaginary * imaginary);
        let distance: f64 = square + other;
        if distance > 256.0 {
            return Some(f64::from(step) + 1.0 - (distance.ln() / 2.0 / 2.0_f64.ln()).log2());
        }
        (real, imaginary) = (square - other + x, 2.0 * real * imaginary + y);
    }
    None
}

fn color(escaped: Option<f64>) -> [u8; 3] {
    let Some(steps) = escaped else { return [0, 0, 0] };
    let wave =
        |phase: f64| (127.5 * (1.0 + (0.35 * steps.max(0.0).sqrt() * 2.0 + phase).cos())) as u8;
    [wave(3.6), wave(4.2), wave(4.9)]
}

/// The pixels of a tile, as text.
pub(super) fn base64_pixels(tile: &Tile, job: &Job) -> Result<String, String> {
    match pixels(tile, || !job.is_cancelled())? {
        Some(pixels) => Ok(STANDARD.encode(pixels)),
        None => Err("cancelled".to_owned()),
    }
}
