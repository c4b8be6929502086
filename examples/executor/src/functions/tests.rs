use super::text::{count_words, sha256};
use super::{Tile, built_in, pixels};

#[test]
fn texts_are_hashed_and_counted() {
    let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!(sha256("").unwrap(), empty);
    let counts = count_words("To be, or not to BE: être").unwrap();
    let counts: Vec<_> = counts.iter().map(|(word, count)| (word.as_str(), *count)).collect();
    assert_eq!(counts, [("be", 2), ("not", 1), ("or", 1), ("to", 2), ("être", 1)]);
}

#[test]
fn tiles_are_parts_of_one_picture() {
    let whole = Tile { width: 30, height: 20, left: 0, top: 0, columns: 30, rows: 20, steps: 200 };
    let picture = pixels(&whole, || true).unwrap().unwrap();
    let part = Tile { left: 10, top: 5, columns: 7, rows: 3, ..whole };
    let rows = pixels(&part, || true).unwrap().unwrap();
    for (row, pixels) in (5..).zip(rows.chunks(3 * 7)) {
        let begin = 3 * (row * 30 + 10);
        assert_eq!(pixels, &picture[begin..begin + 3 * 7]);
    }
    // The middle is in the set, a corner is not.
    assert_eq!(picture[3 * (10 * 30 + 13)..][..3], [0, 0, 0]);
    assert_ne!(picture[..3], [0, 0, 0]);
    assert_eq!(pixels(&whole, || false).unwrap(), None);
}

#[test]
fn tiles_that_are_too_large_or_outside_are_refused() {
    let tile = Tile { width: 30, height: 20, left: 0, top: 0, columns: 30, rows: 20, steps: 200 };
    for wrong in [
        Tile { left: 1, ..tile },
        Tile { top: u32::MAX, ..tile },
        Tile { steps: u32::MAX, ..tile },
        Tile { width: 4_000, height: 4_000, columns: 4_000, rows: 4_000, ..tile },
    ] {
        assert!(pixels(&wrong, || true).is_err(), "{wrong:?}");
    }
}

#[test]
fn every_worker_has_these() {
    let functions = built_in().unwrap();
    let kinds: Vec<_> = functions.kinds().map(|kind| kind.as_str()).collect();
    assert_eq!(kinds, ["fail", "mandelbrot-tile", "sha256", "sleep", "wordcount"]);
}
