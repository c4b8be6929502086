//! What happens on the way: bytes that are cut, changed, delayed, dropped or repeated.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use wharf::bytes::Bytes;
use wharf::testing::{advance, pair, settle};
use wharf::{Connection, Eof, Protocol, Result, TlsVersion, Transport, TransportHandle};

use super::Stage;
use crate::probe::{Log, Probe, assert_rules_were_kept};

/// What is done to bytes on their way, and whether they come from the client.
type Change = dyn FnMut(bool, &mut Vec<u8>);

/// One end of the wire between two protocols: hands on what it receives.
pub(super) struct Wire {
    from_client: bool,
    other: Rc<RefCell<Option<TransportHandle>>>,
    change: Rc<RefCell<Change>>,
}

impl Protocol for Wire {
    fn data_received(&mut self, _: &dyn Transport, data: &[u8]) -> Result {
        let mut data = data.to_vec();
        (self.change.borrow_mut())(self.from_client, &mut data);
        if let Some(other) = &*self.other.borrow() {
            other.write(&data);
        }
        Ok(())
    }

    fn eof_received(&mut self, _: &dyn Transport) -> Result<Eof> {
        if let Some(other) = &*self.other.borrow() {
            other.write_eof();
        }
        Ok(Eof::KeepOpen)
    }

    fn connection_lost(&mut self, _: &dyn Transport, _: Option<&wharf::Error>) -> Result {
        if let Some(other) = &*self.other.borrow() {
            other.close();
        }
        Ok(())
    }
}

/// Joins a client and a server by a wire that changes what it hands on; both upgrade at once. The
/// wire's ends are given back, the client's first.
pub(super) fn join_by_wire(
    stage: &Stage,
    client: &Log,
    server: &Log,
    change: impl FnMut(bool, &mut Vec<u8>) + 'static,
) -> (Connection<Wire>, Connection<Wire>) {
    let tls = stage.tls.client.clone().server_name("server.test");
    let accepting = stage.tls.server.clone();
    let near = Probe::new(client).on_made(move |transport| {
        transport.start_tls((&tls).into(), Bytes::new());
        Ok(())
    });
    let far = Probe::new(server).on_made(move |transport| {
        transport.start_tls((&accepting).into(), Bytes::new());
        Ok(())
    });
    join_protocols(stage, near, far, change)
}

fn join_protocols(
    stage: &Stage,
    near: Probe,
    far: Probe,
    change: impl FnMut(bool, &mut Vec<u8>) + 'static,
) -> (Connection<Wire>, Connection<Wire>) {
    let change: Rc<RefCell<Change>> = Rc::new(RefCell::new(change));
    let ends = [Rc::new(RefCell::new(None)), Rc::new(RefCell::new(None))];
    let wire = |from_client: bool| Wire {
        from_client,
        other: Rc::clone(&ends[usize::from(from_client)]),
        change: Rc::clone(&change),
    };
    let (_, client_end) = pair(&stage.event_loop, 100_000, near, wire(true)).unwrap();
    let (_, server_end) = pair(&stage.event_loop, 100_000, far, wire(false)).unwrap();
    *ends[1].borrow_mut() = Some(server_end.handle().clone());
    *ends[0].borrow_mut() = Some(client_end.handle().clone());
    (client_end, server_end)
}

/// What is done to the byte at a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Harm {
    None,
    Flip,
    Drop,
    Repeat,
    /// All after it is lost, and the connection stays open.
    Silence,
    /// All after it is lost, and the connection ends.
    Cut,
}

const REQUEST: &[u8] = b"a request that is sent as soon as possible";
const REPLY: &[u8] = b"and the reply to it, which is longer than the request was, by some bytes";

/// What came of one run.
struct Outcome {
    /// What went over the wire from the client and from the server, unharmed.
    lens: [usize; 2],
    is_complete: bool,
}

/// A whole life of a connection, with `harm` done to the byte at `at` that comes from one side.
fn live(version: TlsVersion, from_client: bool, at: usize, harm: Harm) -> Outcome {
    let stage = Stage::with(version);
    let (client, server) = (Log::new(), Log::new());
    let lens = Rc::new(Cell::new([0, 0]));
    let count = Rc::clone(&lens);
    let cut = Rc::new(Cell::new(false));
    let cutting = Rc::clone(&cut);
    let tls = stage.tls.client.clone().server_name("server.test");
    let accepting = stage.tls.server.clone();
    let near = Probe::new(&client)
        .on_made(move |transport| {
            transport.start_tls((&tls).into(), Bytes::new());
            transport.write(REQUEST);
            Ok(())
        })
        .on_data({
            let log = client.clone();
            move |transport, _| {
                if log.received_len() >= REPLY.len() {
                    transport.close();
                }
                Ok(())
            }
        });
    let far = Probe::new(&server)
        .on_made(move |transport| {
            transport.start_tls((&accepting).into(), Bytes::new());
            Ok(())
        })
        .on_data({
            let log = server.clone();
            move |transport, _| {
                if log.received_len() == REQUEST.len() {
                    transport.write(REPLY);
                }
                Ok(())
            }
        });
    let (client_end, server_end) = join_protocols(&stage, near, far, move |client_sent, data| {
        let mut lens = count.get();
        let side = usize::from(!client_sent);
        let begins = lens[side];
        lens[side] += data.len();
        count.set(lens);
        if client_sent != from_client || harm == Harm::None || lens[side] <= at {
            return;
        }
        let position = at.saturating_sub(begins);
        match harm {
            Harm::None => {}
            Harm::Flip if begins <= at => data[position] ^= 0x10,
            Harm::Drop if begins <= at => drop(data.remove(position)),
            Harm::Repeat if begins <= at => data.insert(position, data[position]),
            Harm::Flip | Harm::Drop | Harm::Repeat => {}
            Harm::Silence => data.truncate(position),
            Harm::Cut => {
                data.truncate(position);
                cutting.set(true);
            }
        }
    });
    settle(&stage.event_loop).unwrap();
    if cut.get() {
        if from_client { server_end.handle() } else { client_end.handle() }.close();
    }
    // No deadline is longer than that.
    advance(&stage.event_loop, Duration::from_secs(120)).unwrap();
    let is_complete = server.received() == REQUEST && client.received() == REPLY;
    assert!(REQUEST.starts_with(&server.received()), "the server got something else");
    assert!(REPLY.starts_with(&client.received()), "the client got something else");
    if harm == Harm::None {
        assert!(is_complete && client.cause().is_none() && server.cause().is_none());
    }
    // Whoever has shaken hands may wait for more, as on any connection; all else has ended.
    for log in [&client, &server] {
        let established = log.count(crate::probe::Call::TlsEstablished) == 1;
        assert!(log.is_lost() || established, "{harm:?} at {at}: {log:?}");
    }
    assert!(stage.reports.take().is_empty());
    drop((client_end, server_end));
    let event_loop = stage.event_loop.clone();
    drop(stage);
    assert_eq!(event_loop.metrics().connections_open, 0);
    assert_rules_were_kept();
    Outcome { lens: lens.get(), is_complete }
}

fn sweep(version: TlsVersion, step: usize) {
    let unharmed = live(version, true, 0, Harm::None);
    assert!(unharmed.is_complete);
    for (side, from_client) in [(0, true), (1, false)] {
        for harm in [Harm::Flip, Harm::Drop, Harm::Repeat, Harm::Silence, Harm::Cut] {
            let mut completed = 0;
            for at in (0..unharmed.lens[side]).step_by(step) {
                completed += usize::from(live(version, from_client, at, harm).is_complete);
            }
            // Only what comes after the reply was there can be harmed and do no harm, and few bytes
            // that mean nothing.
            let tried = unharmed.lens[side].div_ceil(step);
            assert!(completed <= tried / 3, "{harm:?}: {completed} of {tried} went well");
        }
    }
}

#[test]
fn harm_at_any_position_is_an_error_or_the_right_data_under_tls_1_3() {
    sweep(TlsVersion::Tls13, 7);
}

#[test]
fn harm_at_any_position_is_an_error_or_the_right_data_under_tls_1_2() {
    sweep(TlsVersion::Tls12, 7);
}
