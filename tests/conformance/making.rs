//! Section C: how a connection begins, and the order of callbacks.

use wharf::Transport;

use crate::probe::{Call, Log, Probe};
use crate::stage::{Link, Stage};

// 52.
pub(crate) fn connection_made_comes_first_and_connection_lost_last_each_once<L: Link>(
    stage: &mut Stage<L>,
) {
    let near = Log::new();
    let far = stage.join_to_probe(Probe::new(&near));
    near.handle().write(b"ping");
    stage.run_until_received(&far, 4);
    near.handle().close();
    stage.run_until_lost(&far);
    stage.run_until_lost(&near);
    assert_eq!(near.calls(), [Call::Made, Call::Lost]);
    assert_eq!(far.order(), [Call::Made, Call::Data, Call::Eof, Call::Lost]);
}

// 51.
pub(crate) fn connection_made_was_called_when_the_connect_completes<L: Link>(stage: &mut Stage<L>) {
    let near = Log::new();
    let seen = near.clone();
    let far = Log::new();
    let connection = stage.join(Probe::new(&near), Probe::new(&far));
    assert_eq!(seen.calls(), [Call::Made]);
    assert_eq!(connection.with(|probe, _| probe.log().count(Call::Made)).unwrap(), 1);
}

// 53.
pub(crate) fn bytes_that_wait_already_come_after_connection_made<L: Link>(stage: &mut Stage<L>) {
    let near = Log::new();
    let far = stage.join_to_probe(Probe::new(&near).on_made(|transport| {
        transport.write(b"early");
        Ok(())
    }));
    stage.run_until_received(&far, 5);
    assert_eq!(far.order(), [Call::Made, Call::Data]);
}

// 55.
pub(crate) fn pause_reading_in_connection_made_is_honoured<L: Link>(stage: &mut Stage<L>) {
    let (near, far) = (Log::new(), Log::new());
    let early = Probe::new(&near).on_made(|transport| {
        transport.write(b"early");
        Ok(())
    });
    stage.join(early, Probe::new(&far).not_reading());
    stage.rest();
    assert_eq!(far.calls(), [Call::Made]);
    far.handle().resume_reading();
    stage.run_until_received(&far, 5);
}

// 56.
pub(crate) fn close_in_connection_made_is_followed_by_connection_lost<L: Link>(
    stage: &mut Stage<L>,
) {
    let near = Log::new();
    let far = stage.join_to_probe(Probe::new(&near).on_made(|transport| {
        transport.write(b"bye");
        transport.close();
        Ok(())
    }));
    stage.run_until_lost(&near);
    stage.run_until_lost(&far);
    assert_eq!((near.calls(), near.cause()), (vec![Call::Made, Call::Lost], None));
    assert_eq!(far.received(), b"bye");
}

// 56.
pub(crate) fn abort_in_connection_made_is_followed_by_connection_lost<L: Link>(
    stage: &mut Stage<L>,
) {
    let near = Log::new();
    let far = stage.join_to_probe(Probe::new(&near).on_made(|transport| {
        transport.abort();
        Ok(())
    }));
    stage.run_until_lost(&near);
    stage.run_until_lost(&far);
    assert_eq!((near.calls(), near.cause()), (vec![Call::Made, Call::Lost], None));
}
