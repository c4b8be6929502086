//! Resident memory.

use std::fs;

use crate::Result;

/// The resident set of a process, in bytes.
///
/// From `smaps_rollup`, which walks the page tables; the cheaper `statm` may be some hundred KiB
/// behind.
///
/// # Errors
/// There is no such process, or no `/proc/PID/smaps_rollup`.
pub fn bytes(process: u32) -> Result<u64> {
    parse(&fs::read_to_string(format!("/proc/{process}/smaps_rollup"))?)
}

fn parse(smaps: &str) -> Result<u64> {
    let line = smaps.lines().find_map(|line| line.strip_prefix("Rss:"));
    let line = line.ok_or("smaps_rollup has no Rss")?;
    let kibibytes = line.split_whitespace().next().ok_or("Rss is empty")?;
    Ok(kibibytes.parse::<u64>()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_resident_set() {
        let smaps = "55f0-7ffd ---p 00000000 00:00 0 [rollup]\nRss:      1836 kB\nPss:  500 kB\n";
        assert_eq!(parse(smaps).unwrap(), 1836 * 1024);
        assert!(parse("Pss: 500 kB\n").is_err());
    }
}
