//! Where the system cannot move bytes from one socket to another by itself: relays copy.

use std::io;
use std::os::fd::BorrowedFd;

#[derive(Default)]
pub(crate) struct SplicePipes;

pub(crate) struct SpliceUser;

/// There is none.
#[derive(Debug)]
pub(crate) enum SplicePipe {}

impl SplicePipes {
    pub(crate) const SUPPORTED: bool = false;

    pub(crate) fn user(&self) -> SpliceUser {
        SpliceUser
    }

    pub(crate) fn take(&self) -> Option<SplicePipe> {
        None
    }
}

impl SplicePipe {
    pub(crate) const CAPACITY: usize = 0;

    pub(crate) fn level(&self) -> usize {
        match *self {}
    }

    pub(crate) fn fill(&mut self, _: BorrowedFd<'_>, _: usize) -> io::Result<usize> {
        match *self {}
    }

    pub(crate) fn drain(&mut self, _: BorrowedFd<'_>, _: usize) -> io::Result<usize> {
        match *self {}
    }

    pub(crate) fn take_out(&mut self) -> io::Result<Vec<u8>> {
        match *self {}
    }
}

pub(crate) fn splice_directly(_: BorrowedFd<'_>, _: BorrowedFd<'_>, _: usize) -> io::Result<usize> {
    Err(io::ErrorKind::Unsupported.into())
}

pub(crate) fn cannot_splice(_: &io::Error) -> bool {
    true
}
