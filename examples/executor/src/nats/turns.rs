//! Whose turn it is when a slot becomes free.

use super::names::Class;

/// A class that had a task and was passed over so often goes first.
const PATIENCE: u32 = 8;

/// High priorities go first, and low ones are not passed over for ever.
#[derive(Debug, Default)]
pub(super) struct Turns {
    passed_over: [u32; Class::ALL.len()],
}

impl Turns {
    /// Whose turn it is among those that have something waiting.
    pub(super) fn next(&mut self, is_waiting: impl Fn(Class) -> bool) -> Option<Class> {
        let waiting = || Class::ALL.into_iter().filter(|class| is_waiting(*class));
        let is_patient = |class: &Class| self.passed_over[*class as usize] < PATIENCE;
        let chosen = waiting().rev().find(|class| !is_patient(class)).or(waiting().next())?;
        for class in waiting() {
            self.passed_over[class as usize] += 1;
        }
        self.passed_over[chosen as usize] = 0;
        Some(chosen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn high_goes_first() {
        let mut turns = Turns::default();
        assert_eq!(turns.next(|_| false), None);
        assert_eq!(turns.next(|_| true), Some(Class::High));
        assert_eq!(turns.next(|class| class != Class::High), Some(Class::Normal));
    }

    #[test]
    fn a_low_priority_is_not_passed_over_for_ever() {
        let mut turns = Turns::default();
        let mut counts = [0; 3];
        for _ in 0..900 {
            counts[turns.next(|_| true).unwrap() as usize] += 1;
        }
        assert!(counts[0] > 600 && counts[1] >= 80 && counts[2] >= 80, "{counts:?}");
        let mut turns = Turns::default();
        let low =
            (0..20).position(|_| turns.next(|class| class != Class::Normal) == Some(Class::Low));
        assert_eq!(low, Some(PATIENCE as usize));
    }
}
