//! What subjects and queue groups are made of.

use super::{CodecError, Rule};

/// Checks a subject to publish to, or to answer to: tokens between single dots, and no wildcards.
///
/// Spaces and line ends would end the subject on the wire, so whoever supplied it could speak in our name.
///
/// # Errors
/// [`Rule::Subject`] or [`Rule::Wildcard`], with the offset in the subject.
pub fn check_subject(subject: &[u8]) -> Result<(), CodecError> {
    check(subject, false)
}

/// Checks a subject to subscribe to: as [`check_subject`], and `*` may stand for any token, `>` at the end for one or
/// more.
///
/// # Errors
/// [`Rule::Subject`] or [`Rule::Wildcard`], with the offset in the subject.
pub fn check_subscription(subject: &[u8]) -> Result<(), CodecError> {
    check(subject, true)
}

/// Checks the name of a queue group.
///
/// # Errors
/// [`Rule::QueueGroup`], with the offset in the name.
pub fn check_queue_group(name: &[u8]) -> Result<(), CodecError> {
    if name.is_empty() {
        return Err(CodecError::new(0, Rule::QueueGroup));
    }
    match name.iter().position(|&byte| is_separator(byte)) {
        Some(at) => Err(CodecError::new(at, Rule::QueueGroup)),
        None => Ok(()),
    }
}

/// Whether a message on `subject` reaches a subscription to `pattern`.
///
/// ```
/// use wharf_protocols::nats::codec::subject_matches;
///
/// assert!(subject_matches("orders.*.paid", "orders.7.paid"));
/// assert!(subject_matches("orders.>", "orders.7.paid"));
/// assert!(!subject_matches("orders.>", "orders"));
/// ```
pub fn subject_matches(pattern: &str, subject: &str) -> bool {
    let mut tokens = subject.split('.');
    for wanted in pattern.split('.') {
        match (wanted, tokens.next()) {
            (">", Some(_)) => return true,
            ("*", Some(_)) => (),
            (wanted, Some(token)) if wanted == token => (),
            _ => return false,
        }
    }
    tokens.next().is_none()
}

fn check(subject: &[u8], may_have_wildcards: bool) -> Result<(), CodecError> {
    let mut start = 0;
    for at in 0..=subject.len() {
        match subject.get(at) {
            Some(&byte) if is_separator(byte) => return Err(CodecError::new(at, Rule::Subject)),
            Some(b'.') | None => {
                match &subject[start..at] {
                    [] => return Err(CodecError::new(at, Rule::Subject)),
                    [b'*'] if !may_have_wildcards => {
                        return Err(CodecError::new(start, Rule::Wildcard));
                    }
                    [b'>'] if !may_have_wildcards || at < subject.len() => {
                        return Err(CodecError::new(start, Rule::Wildcard));
                    }
                    _ => (),
                }
                start = at + 1;
            }
            Some(_) => (),
        }
    }
    Ok(())
}

/// Spaces and ASCII control characters.
fn is_separator(byte: u8) -> bool {
    byte <= b' ' || byte == 0x7f
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects() {
        for subject in ["a", "a.b.c", "_INBOX.x.1", "größe.1", "a*.b>c", "$JS.API.INFO"] {
            assert_eq!(check_subject(subject.as_bytes()), Ok(()), "{subject}");
            assert_eq!(check_subscription(subject.as_bytes()), Ok(()), "{subject}");
        }
        for (subject, at) in [
            ("", 0),
            (".", 0),
            ("a.", 2),
            (".a", 0),
            ("a..b", 2),
            ("a b", 1),
            ("a\tb", 1),
            ("a\r\nPUB x 0", 1),
            ("a\nb", 1),
            ("a\0", 1),
            ("a\x7f", 1),
        ] {
            let error = Err(CodecError::new(at, Rule::Subject));
            assert_eq!(check_subject(subject.as_bytes()), error, "{subject:?}");
            assert_eq!(check_subscription(subject.as_bytes()), error, "{subject:?}");
        }
    }

    #[test]
    fn wildcards_only_in_subscriptions() {
        for (subject, at) in [("*", 0), (">", 0), ("a.*.b", 2), ("a.>", 2)] {
            assert_eq!(check_subscription(subject.as_bytes()), Ok(()));
            let error = Err(CodecError::new(at, Rule::Wildcard));
            assert_eq!(check_subject(subject.as_bytes()), error);
        }
        let error = Err(CodecError::new(2, Rule::Wildcard));
        assert_eq!(check_subscription(b"a.>.b"), error);
    }

    #[test]
    fn queue_groups() {
        assert_eq!(check_queue_group(b"workers"), Ok(()));
        assert_eq!(check_queue_group(b""), Err(CodecError::new(0, Rule::QueueGroup)));
        assert_eq!(check_queue_group(b"a 1\r\n"), Err(CodecError::new(1, Rule::QueueGroup)));
    }

    #[test]
    fn matching() {
        assert!(subject_matches("a.b", "a.b"));
        assert!(!subject_matches("a.b", "a.b.c"));
        assert!(!subject_matches("a.b.c", "a.b"));
        assert!(subject_matches("*.b.>", "a.b.c.d"));
        assert!(!subject_matches("a.*", "a.b.c"));
        assert!(!subject_matches("a.>", "b.c"));
    }
}
