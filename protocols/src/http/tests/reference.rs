//! The slow parser by the grammar, which names faults, and the fast one for most requests, against httparse and what is added
//! to it: the same verdicts.

use proptest::prelude::*;

use super::super::{diagnose, parse, whole};
use super::*;

/// Rules that are about what fields say, which only the fast way checks.
fn is_grammar(rule: Rule) -> bool {
    use Rule::*;
    matches!(
        rule,
        BareLineFeed
            | BareCarriageReturn
            | Method
            | Version
            | UnsupportedVersion
            | Status
            | FieldName
            | FieldValue
            | ObsoleteFold
    )
}

/// A head of pieces that are well formed more often than not.
fn head(line: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    let field = proptest::sample::select(
        &[
            "Host: x\r\n",
            "a: b\r\n",
            "a:\r\n",
            "a :b\r\n",
            " a: b\r\n",
            "a\tb: c\r\n",
            ": x\r\n",
            "a: \u{e9}\r\n",
            "\u{e9}: a\r\n",
            "a: b\rc\r\n",
            "a: \t b \t\r\n",
            "a: \x01\r\n",
            "a: \x7f\r\n",
            "a\r\n",
            "a: b\r\r\n",
            "a\0: b\r\n",
            "a: \0\r\n",
            "~!#$%&'*+-.^_`|09azAZ: ok\r\n",
            "(a): b\r\n",
        ][..],
    );
    (
        proptest::sample::select(line),
        proptest::collection::vec(field, 0..4),
        any::<(u8, u8, bool)>(),
    )
        .prop_map(|(line, fields, (at, byte, harm))| {
            let mut head = [line, &fields.concat(), "\r\n"].concat().into_bytes();
            let place = usize::from(at) % head.len();
            // Line ends are the scanner's.
            if harm && !matches!(head[place], b'\r' | b'\n') && byte != b'\n' {
                head[place] = byte;
            }
            head
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn requests(head in head(&["GET / HTTP/1.1\r\n", "GET / HTTP/1.0\r\n", "GET  / HTTP/1.1\r\n", "G /x HTTP/1.3\r\n",
        "GET / HTTP/1.1 \r\n", "GET /\r\n", "GET / http/1.1\r\n", "GET / HTTP/11\r\n", "POST /a\tb HTTP/1.1\r\n"])) {
        prop_assume!(!head.windows(4).rev().skip(1).any(|end| end == b"\r\n\r\n"));
        let (fast, slow) = (parse::request(&head, 100), diagnose::request(&head));
        match (fast, slow) {
            (Ok(_), slow) => prop_assert_eq!(slow, Ok(())),
            (Err(fast), Err(slow)) => prop_assert_eq!(fast, slow),
            (Err(fast), Ok(())) => prop_assert!(!is_grammar(fast.rule), "{fast}"),
        }
    }

    /// What the fast parser takes is what the other one takes, and it takes all that is usual.
    #[test]
    fn whole_requests(head in head(&["GET / HTTP/1.1\r\n", "GET /a/b?c=d HTTP/1.0\r\n", "POST /x HTTP/1.1\r\n",
        "OPTIONS /long/enough/for/words HTTP/1.1\r\n", "GET  / HTTP/1.1\r\n", "GET /#a HTTP/1.1\r\n", "GET / HTTP/1.2\r\n"]),
        behind in "[ -~\r\n]{0,12}", max_fields in 0_usize..5) {
        prop_assume!(!head.windows(4).rev().skip(1).any(|end| end == b"\r\n\r\n"));
        let input = [&head, behind.as_bytes()].concat();
        let slow = parse::request(&head, max_fields);
        match whole::request(&input, max_fields) {
            Some((fast, length)) => prop_assert_eq!((Ok(fast), length), (slow, head.len())),
            None => {
                let is_usual = |head: &RequestHead<'_>| {
                    let methods = ["GET", "POST", "PUT", "HEAD", "PATCH", "DELETE", "OPTIONS"];
                    methods.contains(&head.method()) && head.target().starts_with('/')
                };
                prop_assert!(!slow.is_ok_and(|head| is_usual(&head)));
            }
        }
        for length in 0..head.len() {
            prop_assert!(whole::request(&head[..length], 100).is_none());
        }
    }

    #[test]
    fn responses(head in head(&["HTTP/1.1 200 OK\r\n", "HTTP/1.0 200\r\n", "HTTP/1.1 200 \r\n", "HTTP/1.1  200 OK\r\n",
        "HTTP/1.1 099 OK\r\n", "HTTP/1.1 2000 OK\r\n", "HTTP/1.1 20 OK\r\n", "HTTP/1.1 200\tOK\r\n", "HTTP/1.1 999 \u{e9}\r\n",
        "HTTP/3.1 200 OK\r\n", "HTTP/1.1\r\n"])) {
        prop_assume!(!head.windows(4).rev().skip(1).any(|end| end == b"\r\n\r\n"));
        let (fast, slow) = (parse::response(&head, 100), diagnose::response(&head));
        match (fast, slow) {
            (Ok(_), slow) => prop_assert_eq!(slow, Ok(())),
            (Err(fast), Err(slow)) => prop_assert_eq!(fast, slow),
            (Err(fast), Ok(())) => prop_assert!(!is_grammar(fast.rule), "{fast}"),
        }
    }
}
