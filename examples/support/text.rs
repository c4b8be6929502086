//! Text from elsewhere, for a terminal.

/// Whether a character is shown as it is, and does nothing else: one that moves the cursor, begins a line or
/// turns the direction of the text around is none.
pub fn is_shown(character: char) -> bool {
    let turns = |character| matches!(character, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    !character.is_control() && !turns(character)
}

/// The text with a sign in the place of all that is not [shown](is_shown), so that whoever is at the other end
/// does not control this terminal.
pub fn shown(text: &[u8]) -> String {
    let sign = |letter| if is_shown(letter) { letter } else { char::REPLACEMENT_CHARACTER };
    String::from_utf8_lossy(text).chars().map(sign).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_something_to_a_terminal_is_replaced() {
        assert_eq!(shown("größe 汉字 👍".as_bytes()), "größe 汉字 👍");
        assert_eq!(shown(b"\x1b[2J\r\n\x07\xff"), "\u{fffd}[2J\u{fffd}\u{fffd}\u{fffd}\u{fffd}");
        assert_eq!(shown("a\u{202e}b\u{2028}c\u{9b}d".as_bytes()), "a\u{fffd}b\u{fffd}c\u{fffd}d");
    }
}
