//! Files that are there as a whole, or not at all.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::Path;

use tempfile::NamedTempFile;

/// A file that gets its name when all of it is on the disk. Until then it is beside its place as `NAME.*.partial`: of a
/// process that is killed nothing is left that could be taken for a store. Only this user may read it.
pub(crate) struct NewFile<'a> {
    path: &'a Path,
    directory: &'a Path,
    file: NamedTempFile,
}

impl<'a> NewFile<'a> {
    /// A file that is to be at `path`, where there is none.
    pub(crate) fn create(path: &'a Path) -> io::Result<Self> {
        let Some(name) = path.file_name() else { return Err(ErrorKind::InvalidInput.into()) };
        if path.symlink_metadata().is_ok() {
            return Err(ErrorKind::AlreadyExists.into());
        }
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let directory = directory.unwrap_or(Path::new("."));
        let mut prefix = name.to_owned();
        prefix.push(".");
        let mut builder = tempfile::Builder::new();
        let file = builder.prefix(&prefix).suffix(".partial").tempfile_in(directory)?;
        Ok(Self { path, directory, file })
    }

    pub(crate) fn file(&self) -> &File {
        self.file.as_file()
    }

    /// All of it is written: it gets its name, unless another file has it by now.
    pub(crate) fn finish(self) -> io::Result<()> {
        self.file().sync_all()?;
        self.file.persist_noclobber(self.path).map_err(|error| error.error)?;
        File::open(self.directory)?.sync_all()
    }
}
