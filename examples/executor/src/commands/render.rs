//! A picture of the Mandelbrot set, of tiles that workers draw.

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use serde_json::json;
use wharf::{EventLoop, Result};

use super::connect::Connect;
use super::output::Output;
use super::progress::ProgressBar;
use crate::client::Client;
use crate::functions::{MANDELBROT_TILE, Tile};

#[derive(Debug, Args)]
pub(super) struct Render {
    #[command(flatten)]
    connect: Connect,
    #[command(flatten)]
    pub(super) picture: Picture,
}

/// A picture of the Mandelbrot set.
#[derive(Clone, Debug, Args)]
pub(super) struct Picture {
    /// Where the picture goes, as PNG
    #[arg(long, default_value = "mandelbrot.png")]
    pub(super) out: PathBuf,
    /// Its width, in pixels
    #[arg(long, default_value_t = 1_920, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    pub(super) width: u32,
    /// Its height, in pixels
    #[arg(long, default_value_t = 1_080, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    pub(super) height: u32,
    /// Width and height of a tile, in pixels
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u32).range(8..=1_024))]
    pub(super) tile: u32,
    /// After how many steps a point is taken to be in the set
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(super) steps: u32,
}

pub(super) fn run(arguments: &Render, output: Output) -> Result {
    wharf::run(async |event_loop| {
        let client = arguments.connect.client(&event_loop).await?;
        let picture = &arguments.picture;
        draw(&event_loop, &client, picture, |_, _, _| Ok(())).await?;
        let Picture { out, width, height, .. } = picture;
        output.changed(&json!({"out": out, "width": width, "height": height}))
    })
}

/// Draws a picture. `progress` is told how many tiles are there, how many there will be, and of the bar that shows it.
pub(super) async fn draw(
    event_loop: &EventLoop,
    client: &Client,
    picture: &Picture,
    mut progress: impl FnMut(usize, usize, &mut ProgressBar) -> Result,
) -> Result {
    let tiles = tiles(picture);
    let mut tasks = client.group(&MANDELBROT_TILE).submit(tiles.iter().copied()).await?;
    let mut pixels = vec![0; 3 * picture.width as usize * picture.height as usize];
    let mut bar = ProgressBar::new("tiles");
    let (mut done, count) = (0, tiles.len());
    while let Some((index, drawn)) = tasks.next().await {
        place(&tiles[index], &STANDARD.decode(drawn?)?, &mut pixels)?;
        done += 1;
        bar.show(done, count, 0);
        progress(done, count, &mut bar)?;
    }
    let (out, width, height) = (picture.out.clone(), picture.width, picture.height);
    event_loop.run_in_executor(move || write(&out, width, height, &pixels)).await??;
    Ok(())
}

/// The picture's tiles, row by row. Those at the right and at the bottom may be smaller.
fn tiles(picture: &Picture) -> Vec<Tile> {
    let &Picture { width, height, tile, steps, .. } = picture;
    let starts = |size: u32| (0..size).step_by(tile as usize);
    let of_row = |top| {
        starts(width).map(move |left| {
            let (columns, rows) = (tile.min(width - left), tile.min(height - top));
            Tile { width, height, left, top, columns, rows, steps }
        })
    };
    starts(height).flat_map(of_row).collect()
}

/// Puts the pixels of a tile where they belong.
fn place(tile: &Tile, drawn: &[u8], pixels: &mut [u8]) -> Result {
    let length = 3 * tile.columns as usize;
    if drawn.len() != length * tile.rows as usize {
        return Err("a worker has drawn a tile of another size".into());
    }
    for (row, drawn) in (tile.top as usize..).zip(drawn.chunks(length)) {
        let begin = 3 * (row * tile.width as usize + tile.left as usize);
        pixels[begin..begin + length].copy_from_slice(drawn);
    }
    Ok(())
}

fn write(path: &Path, width: u32, height: u32, pixels: &[u8]) -> Result {
    let mut encoder = png::Encoder::new(BufWriter::new(File::create(path)?), width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(pixels)?;
    writer.finish()?;
    Ok(())
}
