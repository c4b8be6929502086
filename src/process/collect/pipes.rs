//! This end of the pipes of a program that is run for what it writes.

use std::cell::Cell;
use std::io;

use bytes::{Buf, Bytes};

use crate::driver::{Key, PolledPipe, Readiness};

/// How often one pipe is read or written before others have their turn.
const TIMES_PER_TURN: u32 = 4;

/// The room for output to begin with: most programs that are run write little.
const LITTLE: usize = 512;

/// The room that is made for more: what a pipe holds.
const MUCH: usize = 64 * 1024;

/// Less room than this is not worth a read.
const TOO_LITTLE: usize = 32;

/// Which pipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    Stdin,
    Stdout,
    Stderr,
}

impl Which {
    pub(super) const ALL: [Self; 3] = [Self::Stdin, Self::Stdout, Self::Stderr];
}

/// The open pipes, what is to go through, and what came.
pub(super) struct Pipes {
    /// In the order of [`Which`].
    ends: [Option<End>; 3],
    input: Bytes,
    output: [Vec<u8>; 2],
    /// The most that both of `output` may hold together.
    limit: usize,
}

/// One end of a pipe, reported on under a key.
pub(super) struct End {
    pub(super) key: Key,
    pub(super) pipe: PolledPipe,
    /// What the poll reported, until it is done.
    ready: Cell<Readiness>,
}

/// What became of a pipe's turn.
pub(super) enum Turn {
    /// Nothing is left to do until the pipe says so.
    Waits,
    /// Others first.
    Again,
    /// Nothing more is going to pass: to be closed.
    Ended(End),
    /// The output is larger than its limit, to which it is cut.
    TooMuch,
}

impl Pipes {
    pub(super) fn new(input: Bytes, limit: usize) -> Self {
        Self { ends: [const { None }; 3], input, output: Default::default(), limit }
    }

    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    pub(super) fn insert(&mut self, which: Which, key: Key, pipe: PolledPipe) {
        // An input may take something at once. Output that is there already will be reported.
        let ready = if which == Which::Stdin { Readiness::WRITE } else { Readiness::NONE };
        self.ends[which as usize] = Some(End { key, pipe, ready: Cell::new(ready) });
    }

    /// Notes what the system reports about the pipe under `key`, if there is one.
    pub(super) fn note(&self, key: Key, readiness: Readiness) {
        for end in self.ends.iter().flatten().filter(|end| end.key == key) {
            end.ready.set(end.ready.get().union(readiness));
        }
    }

    /// Whether all have ended.
    pub(super) fn are_over(&self) -> bool {
        self.ends.iter().all(Option::is_none)
    }

    /// Takes out one that is open, to be closed.
    pub(super) fn take_end(&mut self) -> Option<End> {
        self.ends.iter_mut().find_map(Option::take)
    }

    pub(super) fn take_input(&mut self) -> Bytes {
        std::mem::take(&mut self.input)
    }

    pub(super) fn take_output(&mut self) -> [Vec<u8>; 2] {
        let mut output = std::mem::take(&mut self.output);
        for data in &mut output {
            if data.capacity() > 2 * data.len() + LITTLE {
                data.shrink_to_fit();
            }
        }
        output
    }

    /// Makes the outputs be looked at, whatever the poll said.
    pub(super) fn look_again(&self) {
        for end in self.ends[1..].iter().flatten() {
            end.ready.set(end.ready.get().union(Readiness::READ));
        }
    }

    /// Does what the pipe is ready for.
    pub(super) fn turn(&mut self, which: Which) -> Turn {
        let Some(end) = &self.ends[which as usize] else { return Turn::Waits };
        let ready = end.ready.replace(Readiness::NONE);
        if ready == Readiness::NONE {
            return Turn::Waits;
        }
        for _ in 0..TIMES_PER_TURN {
            let turn = match which {
                Which::Stdin => self.write(),
                Which::Stdout | Which::Stderr => self.read(which),
            };
            match turn {
                Turn::Again => {}
                turn => return turn,
            }
        }
        if let Some(end) = &self.ends[which as usize] {
            end.ready.set(ready);
        }
        Turn::Again
    }

    fn write(&mut self) -> Turn {
        let end = &mut self.ends[Which::Stdin as usize];
        let Some(open) = end else { return Turn::Waits };
        match open.pipe.write(&self.input) {
            Ok(count) if count < self.input.len() => {
                self.input.advance(count);
                Turn::Again
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Turn::Waits,
            // All is written, or nobody reads it: which is no error.
            _ => end.take().map_or(Turn::Waits, Turn::Ended),
        }
    }

    /// Reads once. Only `EAGAIN` or the end shows that all was read: see `driver/drained.rs`.
    fn read(&mut self, which: Which) -> Turn {
        let end = &mut self.ends[which as usize];
        let Some(open) = end else { return Turn::Waits };
        let data = &mut self.output[which as usize - 1];
        make_room(data);
        match open.pipe.read_to_end_of(data) {
            Ok(count) if count > 0 => {
                let [stdout, stderr] = &self.output;
                let excess = (stdout.len() + stderr.len()).saturating_sub(self.limit);
                if excess > 0 {
                    let data = &mut self.output[which as usize - 1];
                    data.truncate(data.len() - excess);
                    return Turn::TooMuch;
                }
                Turn::Again
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Turn::Waits,
            // What cannot be read has ended.
            _ => end.take().map_or(Turn::Waits, Turn::Ended),
        }
    }
}

fn make_room(data: &mut Vec<u8>) {
    if data.capacity() - data.len() < TOO_LITTLE {
        data.reserve(if data.is_empty() { LITTLE } else { MUCH });
    }
}
