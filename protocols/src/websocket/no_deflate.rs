//! What stands for compression where the feature `websocket-deflate` is off: types that have no value.

use std::convert::Infallible;

use super::Violation;

#[derive(Debug)]
pub(super) struct Inflater(Infallible);

#[derive(Debug)]
pub(super) struct Deflater(Infallible);

impl Inflater {
    pub(super) fn inflate(&mut self, _: &[u8], _: &mut Vec<u8>, _: usize) -> Result<(), Nothing> {
        match self.0 {}
    }

    pub(super) fn finish(&mut self, _: &mut Vec<u8>, _: usize) -> Result<(), Nothing> {
        match self.0 {}
    }
}

impl Deflater {
    pub(super) fn wants(&self, _: usize) -> bool {
        match self.0 {}
    }

    pub(super) fn deflate(&mut self, _: &[u8], _: &mut Vec<u8>) {
        match self.0 {}
    }
}

pub(super) struct Nothing(Infallible);

impl Nothing {
    pub(super) fn violation(self, _: usize) -> Violation {
        match self.0 {}
    }
}
