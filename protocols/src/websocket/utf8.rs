//! UTF-8 that comes in pieces.

/// Checks text piece by piece, and fails at the first byte that cannot be right, however the text is cut.
#[derive(Clone, Debug, Default)]
pub(super) struct Utf8Validator {
    /// The beginning of a character whose end has not come, and where it is.
    pending: [u8; 4],
    pending_length: u8,
    pending_at: u64,
}

/// The text is not UTF-8: the sequence that begins at this place is no character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct InvalidAt(pub(super) u64);

impl Utf8Validator {
    pub(super) const fn new() -> Self {
        Self { pending: [0; 4], pending_length: 0, pending_at: 0 }
    }

    /// Checks the next piece, which begins at `at`.
    pub(super) fn feed(&mut self, mut piece: &[u8], mut at: u64) -> Result<(), InvalidAt> {
        while self.pending_length > 0
            && let Some((&byte, rest)) = piece.split_first()
        {
            let length = usize::from(self.pending_length);
            self.pending[length] = byte;
            self.pending_length += 1;
            (piece, at) = (rest, at + 1);
            match std::str::from_utf8(&self.pending[..=length]) {
                Ok(_) => self.pending_length = 0,
                Err(error) if error.error_len().is_none() => (),
                Err(_) => return Err(InvalidAt(self.pending_at)),
            }
        }

        let Err(error) = simdutf8::compat::from_utf8(piece) else { return Ok(()) };
        let valid = error.valid_up_to();
        let invalid_at = at + valid as u64;
        if error.error_len().is_some() {
            return Err(InvalidAt(invalid_at));
        }
        let pending = &piece[valid..];
        self.pending[..pending.len()].copy_from_slice(pending);
        self.pending_length = pending.len() as u8;
        self.pending_at = invalid_at;
        Ok(())
    }

    /// Ends the text, which must not be in the middle of a character. The validator is then as new.
    pub(super) fn finish(&mut self) -> Result<(), InvalidAt> {
        let is_whole = self.pending_length == 0;
        self.pending_length = 0;
        if is_whole { Ok(()) } else { Err(InvalidAt(self.pending_at)) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::check_splits;

    fn check(parts: &[&[u8]]) -> Result<(), InvalidAt> {
        let mut validator = Utf8Validator::new();
        let mut at = 0;
        for part in parts {
            validator.feed(part, at)?;
            at += part.len() as u64;
        }
        validator.finish()
    }

    #[test]
    fn fails_at_the_first_wrong_byte() {
        for (text, after) in [
            (&b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited"[..], 13),
            (b"a\xff", 2),
            (b"ab\xc0", 3),
            (b"\xe0\x80", 2),
            (b"\xf0\x80", 2),
            (b"\xf4\x90", 2),
            (b"\xf5", 1),
            (b"\x80", 1),
        ] {
            let mut validator = Utf8Validator::new();
            for (at, byte) in text.iter().enumerate() {
                let result = validator.feed(&[*byte], at as u64);
                assert_eq!(result.is_err(), at + 1 == after, "{text:?} at {at}");
                if result.is_err() {
                    break;
                }
            }
        }
    }

    #[test]
    fn refuses_a_character_that_is_cut_off() {
        assert_eq!(check(&[b"ab\xe2\x82"]), Err(InvalidAt(2)));
        assert_eq!(check(&[b"ab\xe2", b"\x82"]), Err(InvalidAt(2)));
        assert_eq!(check(&[b"ab\xe2", b"\x82", b"\xac"]), Ok(()));
    }

    proptest! {
        #[test]
        fn agrees_with_std_at_every_split(
            text in prop_oneof![
                any::<String>().prop_map(String::into_bytes),
                proptest::collection::vec(any::<u8>(), 0..20),
                proptest::collection::vec(prop_oneof![
                    Just(0xe0), Just(0xed), Just(0xf0), Just(0xf4), Just(0x80), Just(0x9f), Just(0xa0),
                    Just(0x8f), Just(0x90), Just(0xbf), Just(0xc2), Just(b'a'),
                ], 0..12),
            ],
        ) {
            let expected = match std::str::from_utf8(&text) {
                Ok(_) => Ok(()),
                Err(error) => Err(InvalidAt(error.valid_up_to() as u64)),
            };
            check_splits(&text, check);
            prop_assert_eq!(check(&[&text]), expected);
        }
    }
}
