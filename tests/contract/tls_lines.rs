//! Line protocols that go on under TLS.

use std::cell::RefCell;
use std::rc::Rc;

use wharf::bytes::Bytes;
use wharf::testing::Recorder;
use wharf::{Error, Result, TlsServer, TlsUpgrade, Transport};
use wharf_protocols::line::{LineProtocol, Lines};

use crate::encryption::SERVER;

/// Upgrades at the line `upgrade`, and notes the others.
struct Upgrading {
    upgrade: TlsUpgrade,
    seen: Rc<RefCell<Vec<String>>>,
}

impl LineProtocol for Upgrading {
    fn line_received(&mut self, transport: &dyn Transport, line: &[u8]) -> Result {
        self.seen.borrow_mut().push(String::from_utf8_lossy(line).into_owned());
        if line == b"upgrade" {
            transport.write(b"go ahead\n");
            transport.start_tls(self.upgrade.clone(), Bytes::new());
            assert!(!transport.is_reading(), "what follows is not for this protocol");
        }
        Ok(())
    }

    fn connection_lost(&mut self, _: &dyn Transport, error: Option<&Error>) -> Result {
        let end = match error {
            Some(error) if error.is_tls() => "lost to TLS",
            Some(_) => "lost",
            None => "over",
        };
        self.seen.borrow_mut().push(end.to_owned());
        Ok(())
    }
}

/// What a protocol sees that receives `input` at once, and what it sends.
fn seen(upgrade: impl FnOnce(TlsUpgrade) -> TlsUpgrade, input: &[u8]) -> (Vec<String>, Vec<u8>) {
    let server = TlsServer::builder().identity(SERVER.identity()).build().expect("a server");
    let seen = Rc::new(RefCell::new(Vec::new()));
    let upgrading = Upgrading { upgrade: upgrade(server.into()), seen: Rc::clone(&seen) };
    let mut recorder = Recorder::new(|| Lines::new(upgrading)).expect("a connection");
    recorder.receive(input).expect("no error");
    let sent = recorder.sent().expect("no error");
    let seen = seen.borrow().clone();
    (seen, sent)
}

#[test]
fn lines_after_the_upgrade_are_neither_delivered_nor_taken_for_tls() {
    let (lines, sent) = seen(|upgrade| upgrade, b"one\nupgrade\ntwo\n");
    assert_eq!(lines, ["one", "upgrade", "lost to TLS"]);
    assert!(b"go ahead\n".starts_with(&sent[..]), "{sent:?}");
}

#[test]
fn lines_after_the_upgrade_go_to_tls_if_it_says_so() {
    // They are no TLS, and the client is told: a fatal alert, `decode_error` or the like.
    let (lines, sent) = seen(TlsUpgrade::feed_leftover, b"upgrade\ntwo\n");
    assert_eq!(lines, ["upgrade", "lost to TLS"]);
    assert!(sent.starts_with(b"go ahead\n\x15\x03"), "{sent:?}");
}

#[test]
fn nothing_after_the_upgrade_is_fine() {
    let (lines, sent) = seen(|upgrade| upgrade, b"upgrade\n");
    assert_eq!(lines, ["upgrade"]);
    assert_eq!(sent, b"go ahead\n");
}
