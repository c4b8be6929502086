/// Checks that work grows no faster than its input, by counting steps: nothing is timed.
///
/// `steps` does the work for an input of the given size, and returns how many steps it took: bytes looked at or copied,
/// calls, allocations, whatever grows with the time. It is called with `size`, and with twice that, four times, and so on up
/// to sixteen times: each time it may take twice the steps of the time before, and a quarter of them and 64 besides.
///
/// ```
/// use wharf_protocols::framing::{Extent, PartialFrame};
/// use wharf_protocols::testing::check_linear;
///
/// // Netstrings' heads are looked at again for each byte: that is linear only because heads are short.
/// check_linear(1000, |size| {
///     let mut frames = PartialFrame::<usize, &str>::new();
///     let mut looked_at = 0;
///     for _ in 0..size {
///         let measure = |start: &[u8], _| {
///             looked_at += start.len() as u64;
///             if start.len() < 4 {
///                 return Ok(Extent::AtLeast(start.len() + 1));
///             }
///             Ok(Extent::Exactly { length: 4 + usize::from(start[3]), head: 4 })
///         };
///         frames.take(&mut &b"x"[..], measure).unwrap();
///     }
///     looked_at
/// });
/// ```
///
/// # Panics
/// If the steps grow faster.
pub fn check_linear(size: usize, mut steps: impl FnMut(usize) -> u64) {
    let mut before = (size, steps(size));
    for doubling in 1..=4 {
        let size = size << doubling;
        let taken = steps(size);
        let allowed = before.1 * 2 + before.1 / 4 + 64;
        let (earlier, fewer) = before;
        assert!(
            taken <= allowed,
            "{taken} steps for an input of {size}, {fewer} for one of {earlier}: faster than linear"
        );
        before = (size, taken);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linear_is_allowed() {
        check_linear(10, |size| size as u64);
        check_linear(1000, |size| 7 * size as u64 + 100);
        check_linear(1, |_| 0);
        check_linear(1000, |size| u64::from(size.ilog2()));
    }

    #[test]
    #[should_panic(expected = "faster than linear")]
    fn quadratic_is_caught() {
        check_linear(100, |size| (size * size) as u64);
    }
}
