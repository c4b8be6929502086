//! A hash that is the same on every machine.

use std::hash::Hasher;

/// A hash of numbers, word by word: the same on every machine, as the standard library's is not promised to be, and as
/// no hash is that is made of a number's bytes as the machine has them.
#[derive(Default)]
pub(super) struct Fingerprint(u64);

/// Odd, so that multiplying loses nothing: the odd number next to 2^64 / pi.
const FACTOR: u64 = 0x517c_c1b7_2722_0a95;

impl Fingerprint {
    /// No two states become the same by the same number, so what was different stays so.
    fn mix(&mut self, number: u64) {
        self.0 = (self.0.rotate_left(5) ^ number).wrapping_mul(FACTOR);
    }
}

impl Hasher for Fingerprint {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.mix(u64::from(*byte)));
    }

    fn write_u8(&mut self, number: u8) {
        self.mix(u64::from(number));
    }

    fn write_u16(&mut self, number: u16) {
        self.mix(u64::from(number));
    }

    fn write_u32(&mut self, number: u32) {
        self.mix(u64::from(number));
    }

    fn write_u64(&mut self, number: u64) {
        self.mix(number);
    }

    fn write_usize(&mut self, number: usize) {
        self.mix(number as u64);
    }

    /// Which variant of an enum.
    fn write_isize(&mut self, number: isize) {
        self.mix(number as u64);
    }

    fn finish(&self) -> u64 {
        // The last numbers have reached the high bits only.
        self.0 ^ (self.0 >> 32)
    }
}

#[cfg(test)]
mod tests {
    use std::hash::Hash as _;
    use std::time::Duration;

    use super::*;
    use crate::sim::TraceEvent;

    fn of(events: &[TraceEvent]) -> u64 {
        let mut fingerprint = Fingerprint::default();
        events.iter().for_each(|event| event.hash(&mut fingerprint));
        fingerprint.finish()
    }

    #[test]
    fn it_is_of_all_in_order_and_the_same_on_every_machine() {
        let ended = |host| TraceEvent::Ended { at: Duration::new(3, 7), host };
        let note = |text: &str| TraceEvent::Note { at: Duration::ZERO, text: text.to_owned() };
        let events = [ended(1), note("ab"), note("c")];
        assert_eq!(of(&events), EXPECTED);
        let others = [
            vec![ended(2), note("ab"), note("c")],
            vec![ended(1), note("a"), note("bc")],
            vec![note("ab"), ended(1), note("c")],
            vec![ended(1), note("ab")],
        ];
        assert!(others.iter().all(|other| of(other) != EXPECTED));
    }

    const EXPECTED: u64 = 8_624_493_674_084_419_139;
}
