use std::fmt;
use std::io;

use super::*;

fn refused(list: &[&str]) -> Error {
    let attempts = list
        .iter()
        .map(|address| ConnectAttempt {
            address: address.parse().unwrap(),
            error: io::ErrorKind::ConnectionRefused.into(),
        })
        .collect();
    Error::with_source(Kind::Connect, "could not connect", ConnectAttempts(attempts))
}

/// An error with a source, as other crates have them.
#[derive(Debug)]
struct Outer {
    text: &'static str,
    source: io::Error,
}

impl fmt::Display for Outer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.text)
    }
}

impl StdError for Outer {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&self.source)
    }
}

/// As `anyhow` and others print a chain: each message behind the one before.
fn printed_as_a_chain(error: &(dyn StdError + 'static)) -> String {
    let messages = std::iter::successors(Some(error), |error| StdError::source(*error));
    messages.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[test]
fn a_failure_keeps_its_kind() {
    let failure: Failure = Error::timeout(TimeoutKind::Idle).into();
    assert_eq!(Error::from(failure).timeout_kind(), Some(TimeoutKind::Idle));

    let failure: Failure = io::Error::from(io::ErrorKind::ConnectionReset).into();
    let error = Error::from(failure);
    assert!(error.is_application(), "a callback's io::Error is the application's");
    assert_eq!(error.io_kind(), Some(io::ErrorKind::ConnectionReset));

    for error in [Error::from(Failure::from("wrong password")), Error::from("wrong password")] {
        assert!(error.is_application());
        assert_eq!(format!("{error} {error:?}"), "wrong password wrong password");
    }
}

#[test]
fn attempts_are_listed_in_one_line() {
    let error = refused(&["127.0.0.1:1", "[::1]:1"]);
    assert_eq!(error.attempts().len(), 2);
    assert_eq!(error.io_kind(), Some(io::ErrorKind::ConnectionRefused));
    assert_eq!(error.to_string(), "could not connect");
    let list = "127.0.0.1:1: connection refused; [::1]:1: connection refused";
    assert_eq!(format!("{error:#}"), format!("could not connect: {list}"));
}

#[test]
fn every_message_of_a_chain_is_printed_once() {
    let reset = || Error::from(io::Error::from(io::ErrorKind::ConnectionReset));
    let foreign = || {
        let source = io::Error::new(io::ErrorKind::NotFound, "no such file");
        Failure::from(Outer { text: "the settings cannot be read", source })
    };
    for (error, expected) in [
        (refused(&["127.0.0.1:1"]), "could not connect: 127.0.0.1:1: connection refused"),
        (reset(), "connection reset"),
        (reset().in_context("talking to a"), "talking to a: connection reset"),
        (
            Error::bare(Kind::Busy).in_context("at b"),
            "at b: the protocol is inside one of its own callbacks",
        ),
        (Error::from(foreign()), "the settings cannot be read: no such file"),
        (
            Error::from(foreign()).in_context("connection from c"),
            "connection from c: the settings cannot be read: no such file",
        ),
        (Error::protocol_violation("junk"), "junk"),
    ] {
        assert_eq!(printed_as_a_chain(&error), expected);
        assert_eq!(format!("{error:?}"), expected);
        assert_eq!(format!("{error:#}"), expected);
        // Boxed, as `main` returns it and others pass it on.
        let failure = Failure::from(error);
        assert_eq!(format!("{failure:?}"), expected);
        assert_eq!(format!("{failure:#}"), expected);
        assert_eq!(printed_as_a_chain(&*failure), expected);
    }
    assert_eq!(format!("{:?}", foreign()), "the settings cannot be read: no such file");
    assert_eq!(foreign().to_string(), "the settings cannot be read");
}

#[test]
fn a_source_that_is_contained_in_the_message_is_not_printed_twice() {
    #[derive(Debug)]
    struct Repeats(io::Error);
    impl fmt::Display for Repeats {
        fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(formatter, "reading failed: {}", self.0)
        }
    }
    impl StdError for Repeats {
        fn source(&self) -> Option<&(dyn StdError + 'static)> {
            Some(&self.0)
        }
    }
    let failure = Failure::from(Repeats(io::Error::other("disk on fire")));
    assert_eq!(format!("{failure:?}"), "reading failed: disk on fire");
}

#[test]
fn what_is_said_around_an_error_hides_nothing() {
    let error = refused(&["127.0.0.1:1"]).of_connect().in_context("one").in_context("two");
    assert!(error.is_connect());
    assert_eq!(error.attempts().len(), 1);
    let error = Error::io("three", io::ErrorKind::BrokenPipe.into()).in_context("four");
    assert_eq!(error.io_kind(), Some(io::ErrorKind::BrokenPipe));
    let parse = "x".parse::<u8>().unwrap_err();
    let error = Error::protocol_violation(parse.clone()).in_context("five");
    assert_eq!(error.downcast_ref(), Some(&parse));
}

#[test]
fn a_clone_is_the_same_error() {
    let error = refused(&["127.0.0.1:1"]);
    let clone = error.clone();
    assert!(Arc::ptr_eq(&error.inner, &clone.inner));
    drop(error);
    assert_eq!(clone.attempts()[0].error.kind(), io::ErrorKind::ConnectionRefused);
}

#[test]
fn control_characters_are_escaped() {
    let error = Error::invalid("a\nb\x1b[31m").in_context("c\rd");
    assert_eq!(format!("{error:?}"), "c\\rd: a\\nb\\u{1b}[31m");
    // And so is what breaks a line or turns it around, though it is no control character.
    let failure = Failure::from("a\nb\u{2028}c\u{202e}d");
    let escaped = "a\\nb\\u{2028}c\\u{202e}d";
    assert_eq!(format!("{failure} {failure:#}"), format!("{escaped} {escaped}"));
    assert_eq!(Error::from(failure).to_string(), escaped);
}

#[test]
fn an_error_comes_out_of_an_io_error_as_it_was() {
    let inside = || io::Error::new(io::ErrorKind::InvalidData, Error::protocol_violation("junk"));
    for error in [Error::from(inside()), Error::from(Failure::from(inside()))] {
        assert!(error.is_protocol_violation() && !error.is_reported());
        assert_eq!(format!("{error:#}"), "junk");
    }
    // Any other stays inside.
    let outside = || io::Error::other(Outer { text: "outer", source: io::Error::other("inner") });
    let error = Error::from(Failure::from(outside()));
    assert!(error.is_application() && error.io_error().is_some());
    assert_eq!(Error::from(outside()).kind(), Kind::Io);
}

#[test]
fn what_a_callback_returns_is_reported_unless_it_is_not_the_programs_doing() {
    let reset = || Error::from(io::Error::from(io::ErrorKind::ConnectionReset));
    for reported in [
        Error::from(Failure::from("wrong password")),
        Error::from(Failure::from(io::Error::from(io::ErrorKind::NotFound))),
        reset(),
        Error::invalid("a call that was wrong"),
        Error::from_panic(&"on purpose"),
    ] {
        assert!(reported.is_reported(), "{reported}");
    }
    for silent in [
        Error::protocol_violation("junk"),
        Error::timeout(crate::Timeout::User),
        Error::bare(Kind::WriteCap),
        reset().of_transport(),
        reset().of_transport().in_context("the upstream"),
        Error::from(Failure::from("wrong password")).of_transport(),
    ] {
        assert!(!silent.is_reported(), "{silent}");
    }
}

#[test]
fn a_failure_converts_both_ways() {
    fn main() -> std::result::Result<(), Box<dyn StdError>> {
        let failed: Result = Err("no luck".into());
        Ok(failed?)
    }
    assert_eq!(main().unwrap_err().to_string(), "no luck");
    let failure = Failure::from(io::Error::from(io::ErrorKind::NotFound));
    assert!(failure.downcast_ref::<io::Error>().is_some());
    let failure = failure.downcast::<Error>().unwrap_err();
    assert_eq!(failure.downcast::<io::Error>().unwrap().kind(), io::ErrorKind::NotFound);
}

/// An error that is its own source.
#[derive(Debug)]
struct Endless;

impl fmt::Display for Endless {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Each time another text.
        thread_local!(static COUNT: std::cell::Cell<u32> = const { std::cell::Cell::new(0) });
        COUNT.set(COUNT.get() + 1);
        write!(formatter, "no end {}", COUNT.get())
    }
}

impl StdError for Endless {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(self)
    }
}

#[test]
fn a_chain_that_leads_back_to_itself_is_printed_up_to_a_bound() {
    let failure = Failure::new(Endless);
    for text in [format!("{failure:?}"), format!("{:#}", Error::from(failure))] {
        assert!(text.ends_with(": …") && text.matches("no end").count() == 101, "{text}");
    }
}

#[test]
fn a_display_that_fails_is_printed_as_far_as_it_goes() {
    #[derive(Debug)]
    struct Fails;
    impl fmt::Display for Fails {
        fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("half")?;
            Err(fmt::Error)
        }
    }
    impl StdError for Fails {}
    let failure = Failure::new(Fails);
    assert_eq!(format!("{failure:?}"), "half");
    assert_eq!(format!("{:?}", Error::from(failure).in_context("whole")), "whole: half");
}

#[test]
fn connections_that_end_because_of_one_another_make_no_chain() {
    use crate::CloseReason;
    let mut error = Error::from("the first");
    for _ in 0..200_000 {
        // As `Connection::with` says it, and a callback of the next one hands it on.
        error = Error::from(CloseReason::Failed(error.of_transport()));
    }
    assert!(error.is_closed());
    assert_eq!(format!("{error:#}"), "the connection was lost: the first");
}
