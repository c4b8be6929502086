//! Section D: `set_protocol`.

use wharf::bytes::Bytes;
use wharf::{Buffered, Transport};

use crate::probe::{Call, Log, Probe};
use crate::stage::{Link, MUCH, Stage};

// 96.
pub(crate) fn set_protocol_applies_when_the_callback_returns<L: Link>(stage: &mut Stage<L>) {
    let (first, second) = (Log::new(), Log::successor());
    let next = second.clone();
    let seen = first.clone();
    let far = stage.join_to_probe(Probe::new(&first).on_data(move |transport, data| {
        transport.set_protocol(Box::new(Probe::new(&next)), Bytes::copy_from_slice(&data[1..]));
        assert_eq!(seen.drops(), 0);
        transport.write(b"from the first");
        Ok(())
    }));
    far.handle().write(b"1two");
    stage.run_until_received(&second, 3);
    stage.run_until_received(&far, 14);
    far.handle().write(b"three");
    stage.run_until_received(&second, 8);
    far.handle().close();
    stage.run_until_lost(&second);
    assert_eq!(first.calls(), [Call::Made, Call::Data]);
    assert_eq!(second.order(), [Call::Data, Call::Eof, Call::Lost]);
    assert_eq!(second.received(), b"twothree");
}

// 96.
pub(crate) fn set_protocol_from_elsewhere_applies_in_the_next_round<L: Link>(stage: &mut Stage<L>) {
    let (first, second) = (Log::new(), Log::successor());
    let far = stage.join_to_probe(Probe::new(&first));
    first.handle().set_protocol(Box::new(Probe::new(&second)), Bytes::from_static(b"left "));
    assert_eq!(first.drops(), 0);
    stage.run_until("the first one's end", || first.drops() == 1);
    far.handle().write(b"and new");
    stage.run_until_received(&second, 12);
    assert_eq!(second.received(), b"left and new");
    assert_eq!(first.calls(), [Call::Made]);
    far.handle().close();
    stage.run_until_lost(&second);
}

// 96.
pub(crate) fn protocol_set_in_eof_received_gets_the_leftover_and_the_end<L: Link>(
    stage: &mut Stage<L>,
) {
    let (first, second) = (Log::new(), Log::successor());
    let next = second.clone();
    let far = stage.join_to_probe(Probe::new(&first).on_eof(move |transport| {
        transport.set_protocol(Box::new(Probe::new(&next)), Bytes::from_static(b"left"));
        Ok(wharf::Eof::KeepOpen)
    }));
    stage.end_side(&far);
    stage.run_until_lost(&second);
    assert_eq!(first.calls(), [Call::Made, Call::Eof]);
    assert_eq!(second.order(), [Call::Data, Call::Eof, Call::Lost]);
    assert_eq!(second.received(), b"left");
}

// 97.
pub(crate) fn switching_to_a_buffered_protocol_and_back_is_immediate<L: Link>(
    stage: &mut Stage<L>,
) {
    let (plain, buffered, last) = (Log::new(), Log::successor(), Log::successor());
    let far = stage.join_to_probe(Probe::new(&plain));
    far.handle().write(b"one");
    stage.run_until_received(&plain, 3);
    let next = Buffered(Probe::new(&buffered).buffer_of(2));
    plain.handle().set_protocol(Box::new(next), Bytes::new());
    far.handle().write(b"four");
    stage.run_until_received(&buffered, 4);
    assert_eq!(buffered.chunks(), [2, 2]);
    plain.handle().set_protocol(Box::new(Probe::new(&last)), Bytes::new());
    far.handle().write(b"eleven");
    stage.run_until_received(&last, 6);
    assert_eq!(last.received(), b"eleven");
    far.handle().close();
    stage.run_until_lost(&last);
}

// 98: differs.
pub(crate) fn paused_write_side_is_passed_on_by_pause_writing<L: Link>(stage: &mut Stage<L>) {
    let (first, second, far) = (Log::new(), Log::successor(), Log::new());
    stage.join(Probe::new(&first), Probe::new(&far).not_reading());
    first.handle().write(&vec![0; MUCH]);
    stage.run_until("pause_writing", || first.count(Call::Pause) == 1);
    first.handle().set_protocol(Box::new(Probe::new(&second)), Bytes::new());
    stage.run_until("pause_writing", || second.count(Call::Pause) == 1);
    far.handle().resume_reading();
    stage.run_until_received(&far, MUCH);
    stage.rest();
    assert_eq!(first.calls(), [Call::Made, Call::Pause]);
    assert_eq!(second.calls(), [Call::Pause, Call::Resume]);
    far.handle().close();
    stage.run_until_lost(&second);
}

// 99.
pub(crate) fn leftover_comes_first_and_fills_buffered_protocols<L: Link>(stage: &mut Stage<L>) {
    let (first, second) = (Log::new(), Log::successor());
    let next = second.clone();
    let far = stage.join_to_probe(Probe::new(&first).on_data(move |transport, data| {
        let next = Buffered(Probe::new(&next).buffer_of(4));
        transport.set_protocol(Box::new(next), Bytes::copy_from_slice(data));
        Ok(())
    }));
    far.handle().write(b"0123456789");
    stage.run_until_received(&second, 10);
    far.handle().write(b"ab");
    stage.run_until_received(&second, 12);
    assert_eq!(second.received(), b"0123456789ab");
    assert_eq!(second.chunks(), [4, 4, 2, 2]);
    far.handle().close();
    stage.run_until_lost(&second);
}

// 99.
pub(crate) fn long_leftover_comes_before_what_the_socket_has<L: Link>(stage: &mut Stage<L>) {
    let (first, second) = (Log::new(), Log::successor());
    let next = second.clone();
    let far = stage.join_to_probe(Probe::new(&first).on_data(move |transport, data| {
        transport.pause_reading();
        // More than it takes in one turn.
        let next = Buffered(Probe::new(&next).buffer_of(4));
        transport.set_protocol(Box::new(next), Bytes::copy_from_slice(data));
        Ok(())
    }));
    let all: Vec<u8> = (0..200).collect();
    far.handle().write(&all[..100]);
    stage.run_until("the first one's end", || first.drops() == 1);
    far.handle().write(&all[100..]);
    stage.rest();
    first.handle().resume_reading();
    stage.run_until_received(&second, all.len());
    assert_eq!(second.received(), all);
    far.handle().close();
    stage.run_until_lost(&second);
}

// 96.
pub(crate) fn leftover_waits_while_reading_is_paused<L: Link>(stage: &mut Stage<L>) {
    let (first, second) = (Log::new(), Log::successor());
    let next = second.clone();
    let far = stage.join_to_probe(Probe::new(&first).on_data(move |transport, data| {
        transport.pause_reading();
        transport.set_protocol(Box::new(Probe::new(&next)), Bytes::copy_from_slice(data));
        Ok(())
    }));
    far.handle().write(b"kept");
    stage.run_until("the first one's end", || first.drops() == 1);
    stage.end_side(&far);
    stage.rest();
    assert_eq!(second.calls(), []);
    first.handle().resume_reading();
    stage.run_until_lost(&second);
    assert_eq!(second.received(), b"kept");
    assert_eq!(second.calls(), [Call::Data, Call::Eof, Call::Lost]);
}

// 96.
pub(crate) fn last_of_several_protocols_gets_all_that_was_left<L: Link>(stage: &mut Stage<L>) {
    let (first, between, last) = (Log::new(), Log::successor(), Log::successor());
    let (skipped, next) = (between.clone(), last.clone());
    let far = stage.join_to_probe(Probe::new(&first).on_data(move |transport, data| {
        let (front, back) = data.split_at(2);
        transport.set_protocol(Box::new(Probe::new(&skipped)), Bytes::copy_from_slice(front));
        transport.set_protocol(Box::new(Probe::new(&next)), Bytes::copy_from_slice(back));
        Ok(())
    }));
    far.handle().write(b"0123");
    stage.run_until_received(&last, 4);
    assert_eq!(last.received(), b"0123");
    assert_eq!((between.calls(), between.drops()), (vec![], 1));
    far.handle().close();
    stage.run_until_lost(&last);
}

// 96.
pub(crate) fn replaced_protocol_is_dropped_without_connection_lost<L: Link>(stage: &mut Stage<L>) {
    let (first, second) = (Log::new(), Log::successor());
    let far = stage.join_to_probe(Probe::new(&first));
    first.handle().set_protocol(Box::new(Probe::new(&second)), Bytes::new());
    stage.rest();
    assert_eq!((first.calls(), first.drops()), (vec![Call::Made], 1));
    far.handle().close();
    stage.run_until_lost(&second);
    assert_eq!((first.drops(), second.drops()), (1, 1));

    // On a connection that is gone the next one is dropped, and never called.
    let late = Log::successor();
    first.handle().set_protocol(Box::new(Probe::new(&late)), Bytes::from_static(b"left"));
    stage.rest();
    assert_eq!((late.calls(), late.drops()), (vec![], 1));
}
