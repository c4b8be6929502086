//! Files for tests: on the disk, and gone with their last handle.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};

/// A file with this in it, open for reading and writing. It has no name any more.
pub fn file_with(data: &[u8]) -> Rc<File> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = format!("wharf-file-{}-{number}", std::process::id());
    let path = std::env::temp_dir().join(name);
    let mut options = OpenOptions::new();
    let file = options.create_new(true).read(true).write(true).open(&path).expect("a file");
    fs::remove_file(&path).expect("its name to be removed");
    (&file).write_all(data).expect("room for it");
    Rc::new(file)
}
