//! Bytes looked at eight at a time.

/// How many bytes `text` begins with that are `of_class`. Eight at a time are looked at, and those of them one by one that
/// are `odd`, which has the highest bit of their bytes set.
#[inline]
pub(crate) fn length(
    text: &[u8],
    odd: impl Fn(u64) -> u64,
    of_class: impl Fn(u8) -> bool,
) -> usize {
    let outside = |eight: &[u8; 8], looked_at: usize| {
        let unseen = !0 << (8 * looked_at);
        let mut odd = odd(u64::from_le_bytes(*eight)) & HIGHEST & unseen;
        while odd != 0 {
            let at = odd.trailing_zeros() as usize / 8;
            if !of_class(eight[at]) {
                return Some(at);
            }
            odd &= odd - 1;
        }
        None
    };
    let mut at = 0;
    while let Some(eight) = text[at..].first_chunk() {
        if let Some(place) = outside(eight, 0) {
            return at + place;
        }
        at += 8;
    }
    match text.last_chunk() {
        // The last eight, of which some were looked at.
        Some(eight) if at < text.len() => {
            let begin = text.len() - 8;
            begin + outside(eight, at - begin).unwrap_or(8)
        }
        _ => at + text[at..].iter().take_while(|&&byte| of_class(byte)).count(),
    }
}

// `below`, `equal` and `letters` are questions about the eight bytes of a word at once. The highest bit of a byte is the
// answer. A no is always right, and so is the first yes; what is borrowed from a byte behind that can make another yes.

const HIGHEST: u64 = every(0x80);

const fn every(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

/// Which are below `limit`, which is less than 0x80.
#[inline]
pub(crate) const fn below(word: u64, limit: u8) -> u64 {
    word.wrapping_sub(every(limit)) & !word
}

#[inline]
pub(crate) const fn equal(word: u64, byte: u8) -> u64 {
    below(word ^ every(byte), 1)
}

/// Which are ASCII letters.
#[inline]
pub(crate) const fn letters(word: u64) -> u64 {
    let small = (word | every(0x20)) & every(0x7f);
    let from_a = small + every(0x80 - b'a');
    let past_z = small + every(0x7f - b'z');
    from_a & !past_z & !word
}
