//! sendfile, and files whose size is not known.
#![cfg(target_os = "linux")]

use std::fs::File;
use std::path::Path;
use std::rc::Rc;

use wharf::testing::pair;
use wharf::{EventLoop, Transport};

use crate::loops::memory_loop;
use crate::probe::{Log, Probe};
use crate::running::run_until;
use crate::serving::Directory;

/// A connection to a probe that notes what comes.
fn joined(event_loop: &EventLoop) -> (Log, Log) {
    let (near, far) = (Log::new(), Log::new());
    pair(event_loop, 1000, Probe::new(&near), Probe::new(&far)).unwrap();
    (near, far)
}

#[test]
fn a_file_whose_size_is_not_known_is_refused_in_words_and_ends_nothing() {
    let event_loop = EventLoop::new().unwrap();
    let (near, far) = joined(&event_loop);
    let mut looked_at = 0;
    for path in ["/proc/self/status", "/proc/sys/kernel/hostname", "/sys/kernel/uevent_seqnum"] {
        let Ok(file) = File::open(path) else { continue };
        looked_at += 1;
        let file = Rc::new(file);
        for count in [None, Some(1)] {
            let sending = near.handle().send_file(Rc::clone(&file), 0, count);
            let error = event_loop.run_until_complete(sending).unwrap().unwrap_err();
            assert!(error.is_unsupported(), "{path}: {error}");
            assert!(format!("{error:#}").contains("/proc"), "{error}");
        }
    }
    assert!(looked_at > 0);
    near.handle().write(b"goes on");
    run_until(&event_loop, "what follows", || far.received() == b"goes on");
}

#[test]
fn empty_and_sparse_files_are_sent() {
    let event_loop = memory_loop();
    let (near, far) = joined(&event_loop);
    let directory = Directory::new();
    let sparse = |name: &str, len| {
        let path = directory.join(name);
        File::create(&path).unwrap().set_len(len).unwrap();
        Rc::new(File::open(Path::new(&path)).unwrap())
    };
    for (file, offset, count, expected) in [
        (sparse("empty", 0), 0, None, 0),
        (sparse("empty", 0), 10, None, 0),
        (sparse("sparse", 10_000), 0, None, 10_000),
        (sparse("sparse", 10_000), 10_000, None, 0),
        (sparse("sparse", 10_000), 5, Some(0), 0),
        (sparse("sparse", 10_000), 9_000, Some(1_000), 1_000),
    ] {
        let before = far.received_len();
        let sending = near.handle().send_file(file, offset, count);
        assert_eq!(event_loop.run_until_complete(sending).unwrap().unwrap(), expected);
        run_until(&event_loop, "its bytes", || far.received_len() - before == expected as usize);
    }
}
