//! When all input of a descriptor was read.
//!
//! The poll is edge-triggered: it reports input once. A reader that stops too early is not told
//! again, so the bytes that are left wait until others arrive, which may be never. The rules below
//! say when reading may stop; every reader follows them.
//!
//! **Only `EAGAIN` says "drained".** A read that brings less than there was room for (a *short* read)
//! may stand for it, and saves the second system call, where nothing else ends a read early. What
//! does, on Linux:
//!
//! | descriptor | what ends a read though more is there | what a short read shows |
//! |---|---|---|
//! | TCP | the mark of urgent data; while a signal is pending, a read at the mark says `EAGAIN`, so the poll is asked then (`os/unwaiting.rs`) | drained, unless the poll has said `URGENT`: the mark is reported with `EPOLLPRI`, and what arrives after the report is a new edge |
//! | Unix sockets | a message with descriptors, another writer's credentials (`SO_PASSCRED`), the mark of urgent data | drained, unless the read itself said `MSG_CTRUNC` (descriptors or credentials were left out), or the poll `URGENT` |
//! | sockets from elsewhere | as above; and whoever has another descriptor can receive the urgent byte, which ends the report of the mark but not the mark; they may be of any protocol, with messages (SCTP) | what the poll says then |
//! | pipes, FIFOs | the end of a packet: the writer can ask for packets (`O_DIRECT`) at any time, and the reader cannot see it | nothing |
//! | terminals | the end of a line | nothing |
//! | other devices | the end of a packet or an event | nothing |
//! | files | nothing: each read is a job whose end is reported | drained |
//! | memory | the mark of urgent data, reported as `URGENT` | drained, unless `URGENT` was said |
//!
//! After a hang-up or an error was reported, a short read shows nothing on any of them: the end, or
//! the error, is still to be read, and no edge follows. Other systems do not report the mark, so
//! there a short read shows nothing on sockets.
//!
//! **"Nothing" from a special call is not the socket's own.** `splice` and `sendfile` say `EAGAIN` or
//! 0 for reasons of their own (`splice`: at the mark of urgent data, and 0 there once the peer has
//! ended its side). An ordinary read or write decides, and the poll where a write would copy.
//!
//! **A short write says "full"** on TCP, in memory and of files. On terminals it does not: a signal that
//! is pending ends a write, though there is room, and then no edge follows. Nor do pipes, devices and
//! sockets from elsewhere promise it. There only `EAGAIN` says so.
//!
//! **0 is the end** of what was read, but not of a terminal that is polled: without canonical mode it
//! gives 0 when `VMIN` and `VTIME` are 0 and there is no input. There only a hang-up is the end.
//!
//! **Datagrams** come in batches. A batch that is not full shows that the socket was empty then, or that
//! it has an error, which was reported with an edge of its own.

use crate::driver::Readiness;

/// Whether the rules of Linux hold, where the poll reports urgent data.
const LINUX: bool = cfg!(linux_kernel);

/// What a short read of a descriptor shows while the poll has said nothing special.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ShortReads {
    /// That all was read.
    Drain,
    /// That all was read, unless the same call says that something was left out.
    Tell,
    /// Nothing.
    ShowNothing,
}

impl ShortReads {
    /// Of a TCP socket that nobody else has.
    pub(crate) const OF_TCP: Self = if LINUX { Self::Drain } else { Self::ShowNothing };

    /// Of a Unix stream socket that nobody else has.
    pub(crate) const OF_UNIX: Self = if LINUX { Self::Tell } else { Self::ShowNothing };
}

/// What the poll can say that ends reads early.
const SAID: Readiness = Readiness::READ_CLOSED
    .union(Readiness::WRITE_CLOSED)
    .union(Readiness::ERROR)
    .union(Readiness::URGENT);

/// With any of these a short read shows nothing by itself.
const DOUBTS: Readiness = SAID.union(Readiness::ENDS_EARLY);

/// Whether all input was read, after a read of `count` bytes where there was room for `room`.
///
/// `known` is what the poll has said, and [`ENDS_EARLY`](Readiness::ENDS_EARLY) unless short
/// reads [drain](ShortReads::Drain). `ask` tells whether the socket itself says so after its last read.
#[inline]
pub(crate) fn is_drained(
    count: usize,
    room: usize,
    known: Readiness,
    ask: impl FnOnce() -> bool,
) -> bool {
    count < room && (!known.intersects(DOUBTS) || (!known.intersects(SAID) && ask()))
}

/// Whether a socket is full that took just `sent` bytes, which is less than it was offered.
#[inline]
pub(crate) fn is_full(sent: usize, known: Readiness) -> bool {
    sent == 0 || !known.intersects(Readiness::ENDS_EARLY)
}

/// Whether all datagrams were received, after a call that brought `count` where `wanted` were asked
/// for. With an error that was `reported` only `EAGAIN` shows it.
#[inline]
pub(crate) fn is_batch_drained(count: usize, wanted: usize, reported: bool) -> bool {
    count < wanted && !reported
}

/// Whether the system's call for several datagrams keeps the error that ends it early, so that it is
/// not lost; elsewhere a batch that is not full shows nothing.
#[cfg(feature = "udp-batch")]
pub(crate) const BATCHES_KEEP_ERRORS: bool = LINUX;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_read_shows_that_all_was_read_unless_anything_else_ends_it() {
        let never = || unreachable!("the socket is not asked");
        assert!(is_drained(1, 2, Readiness::READ, never));
        assert!(!is_drained(2, 2, Readiness::READ, never));
        for said in
            [Readiness::READ_CLOSED, Readiness::WRITE_CLOSED, Readiness::ERROR, Readiness::URGENT]
        {
            assert!(!is_drained(1, 2, said, never));
            assert!(!is_drained(1, 2, said.union(Readiness::ENDS_EARLY), never));
        }
        assert!(is_drained(1, 2, Readiness::ENDS_EARLY, || true));
        assert!(!is_drained(1, 2, Readiness::ENDS_EARLY, || false));
        assert!(!is_drained(2, 2, Readiness::ENDS_EARLY, || true));
    }

    #[test]
    fn a_short_write_shows_that_the_socket_is_full_unless_anything_else_ends_it() {
        assert!(is_full(1, Readiness::WRITE));
        assert!(!is_full(1, Readiness::WRITE.union(Readiness::ENDS_EARLY)));
        assert!(is_full(0, Readiness::WRITE.union(Readiness::ENDS_EARLY)));
    }

    #[test]
    fn a_batch_that_is_not_full_shows_that_all_was_received_unless_an_error_was_reported() {
        assert!(is_batch_drained(3, 4, false));
        assert!(!is_batch_drained(4, 4, false));
        assert!(!is_batch_drained(3, 4, true));
    }
}
