//! Which bytes may stand in a target and in a host.

/// Whether `byte` may stand in a request's target: visible ASCII, but no `#`, which begins what is never sent.
pub(super) const fn is_target(byte: u8) -> bool {
    CLASSES[byte as usize] & TARGET != 0
}

/// Whether `byte` may stand in the name of a host, or in an IPv4 address (RFC 3986, 3.2.2).
pub(super) const fn is_host(byte: u8) -> bool {
    CLASSES[byte as usize] & HOST != 0
}

const TARGET: u8 = 1;
const HOST: u8 = 2;

static CLASSES: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        if byte > 0x20 && byte < 0x7f && byte != b'#' as usize {
            classes[byte] |= TARGET;
        }
        if (byte as u8).is_ascii_alphanumeric() {
            classes[byte] |= HOST;
        }
        byte += 1;
    }
    let marks = b"-._~%!$&'()*+;=";
    let mut at = 0;
    while at < marks.len() {
        classes[marks[at] as usize] |= HOST;
        at += 1;
    }
    classes
}
