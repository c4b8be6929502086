//! CPU time, user and system together.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::time::Duration;

use rustix::io::Errno;

use crate::Result;

/// The CPU time that the threads of a process have used so far; one that has ended no longer counts.
///
/// The scheduler's own account in nanoseconds. A running thread's is brought up to date at each
/// tick, a sleeping one's is exact: let the process settle before asking.
///
/// # Errors
/// There is no such process, or its `/proc/PID/task/TID/schedstat` makes no sense.
pub fn time(process: u32) -> Result<Duration> {
    let mut total = Duration::ZERO;
    for task in fs::read_dir(format!("/proc/{process}/task"))? {
        match fs::read_to_string(task?.path().join("schedstat")) {
            Ok(schedstat) => total += parse(&schedstat)?,
            Err(error) if has_ended(&error) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(total)
}

/// Whether the thread was gone before its file was opened, or between that and its reading.
fn has_ended(error: &io::Error) -> bool {
    error.kind() == ErrorKind::NotFound || error.raw_os_error() == Some(Errno::SRCH.raw_os_error())
}

/// The CPU time that the calling thread has used so far; zero where it cannot be read.
///
/// # Errors
/// The account is there but unreadable.
pub fn own_time() -> Result<Duration> {
    let path = Path::new("/proc/thread-self/schedstat");
    if path.exists() { parse(&fs::read_to_string(path)?) } else { Ok(Duration::ZERO) }
}

/// The first of the three numbers: nanoseconds on a CPU, nanoseconds waiting, time slices.
fn parse(schedstat: &str) -> Result<Duration> {
    let first = schedstat.split_whitespace().next().ok_or("schedstat is empty")?;
    Ok(Duration::from_nanos(first.parse()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_first_number() {
        assert_eq!(parse("1451818 54029 4\n").unwrap(), Duration::from_nanos(1_451_818));
        assert!(parse("").is_err());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn threads_that_end_meanwhile_are_no_error() {
        let coming_and_going = std::thread::spawn(|| {
            for _ in 0..1_000 {
                std::thread::spawn(|| ()).join().unwrap();
            }
        });
        while !coming_and_going.is_finished() {
            time(std::process::id()).unwrap();
        }
        coming_and_going.join().unwrap();
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_thread_that_works_uses_time_and_its_process_as_much() {
        let before = own_time().unwrap();
        while own_time().unwrap() - before < Duration::from_millis(5) {}
        assert!(time(std::process::id()).unwrap() >= before + Duration::from_millis(5));
    }
}
