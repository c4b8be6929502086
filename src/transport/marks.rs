//! The water marks of what waits to be sent, for streams and for datagram endpoints.

use std::cell::Cell;

use super::WaterMarks;
use crate::error::Error;

/// The two marks between which a protocol is told to pause and to resume writing.
#[derive(Debug)]
pub(crate) struct Marks(Cell<WaterMarks>);

/// What a protocol is to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Crossing {
    /// To pause. `resumes` says that the queue is at the low mark already, so that the resume follows.
    Pause { resumes: bool },
    /// To resume.
    Resume,
}

impl Marks {
    pub(crate) fn new(marks: WaterMarks) -> Self {
        Self(Cell::new(marks))
    }

    pub(crate) fn get(&self) -> WaterMarks {
        self.0.get()
    }

    pub(crate) fn set(&self, marks: WaterMarks) -> Result<(), Error> {
        marks.check()?;
        self.0.set(marks);
        Ok(())
    }

    #[inline]
    pub(crate) fn is_above(&self, waiting: usize) -> bool {
        waiting > self.0.get().high
    }

    /// What a protocol that `is_paused`, or is not, has to be told while `waiting` bytes wait.
    ///
    /// `pause_owed`: a write was answered with "above the high-water mark", whose caller may have
    /// stopped there and wait for the resume, even if all was sent since.
    #[inline]
    pub(crate) fn crossing(
        &self,
        waiting: usize,
        is_paused: bool,
        pause_owed: bool,
    ) -> Option<Crossing> {
        let is_low = waiting <= self.0.get().low;
        if is_paused {
            is_low.then_some(Crossing::Resume)
        } else {
            (self.is_above(waiting) || pause_owed).then_some(Crossing::Pause { resumes: is_low })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_protocol_pauses_above_the_high_mark_and_resumes_at_the_low_one() {
        let marks = Marks::new(WaterMarks { low: 4, high: 10 });
        assert_eq!(marks.crossing(10, false, false), None, "at the mark is not above it");
        let paused = Some(Crossing::Pause { resumes: false });
        assert_eq!(marks.crossing(11, false, false), paused);
        assert_eq!(marks.crossing(5, true, false), None);
        assert_eq!(marks.crossing(4, true, false), Some(Crossing::Resume));
    }

    #[test]
    fn a_pause_that_is_owed_comes_though_all_was_sent() {
        let marks = Marks::new(WaterMarks { low: 4, high: 10 });
        assert_eq!(marks.crossing(0, false, true), Some(Crossing::Pause { resumes: true }));
        assert_eq!(marks.crossing(7, false, true), Some(Crossing::Pause { resumes: false }));
    }

    #[test]
    fn marks_of_zero_pause_for_one_byte_and_resume_without_any() {
        let marks = Marks::new(WaterMarks { low: 0, high: 0 });
        assert_eq!(marks.crossing(0, false, false), None);
        assert_eq!(marks.crossing(1, false, false), Some(Crossing::Pause { resumes: false }));
        assert_eq!(marks.crossing(0, true, true), Some(Crossing::Resume));
    }
}
