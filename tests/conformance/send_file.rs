//! Section N: sending files.

use std::cell::{Cell, RefCell};
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::rc::Rc;

use wharf::{SendFile, Transport, WriteStatus};

use crate::files::file_with;
use crate::probe::{Call, Log, Probe};
use crate::reading::pattern;
use crate::stage::{Link, MUCH, Stage};

/// The most that waits as records: those of 64 KiB.
const RECORDS: usize = 64 * 1024 + 200;

/// What a file counts as while it waits.
const WEIGHT: usize = 4 * 1024;

/// Two ends, of which the far one does not read.
fn join<L: Link>(stage: &Stage<L>) -> (Log, Log) {
    let (near, far) = (Log::new(), Log::new());
    stage.join(Probe::new(&near), Probe::new(&far).not_reading());
    (near, far)
}

#[track_caller]
fn run_until_done<L: Link>(stage: &Stage<L>, sending: &SendFile) -> Result<u64, wharf::Error> {
    stage.run_until("the end of the sending", || sending.is_done());
    sending.take_result().expect("a result")
}

// 270.
pub(crate) fn file_goes_out_between_what_is_written_before_and_after<L: Link>(
    stage: &mut Stage<L>,
) {
    let near = Log::new();
    let place = Rc::new(RefCell::new(None));
    let inside = Rc::clone(&place);
    let far = stage.join_to_probe(Probe::new(&near).on_data(move |transport, _| {
        transport.write(b"before, ");
        let sending = transport.send_file(file_with(&pattern(MUCH)), 0, None);
        assert_eq!(
            (sending.count(), sending.progress(), sending.is_done()),
            (MUCH as u64, 0, false)
        );
        *inside.borrow_mut() = Some(sending);
        transport.write(b"after");
        Ok(())
    }));
    far.handle().write(b"go");
    stage.run_until_received(&far, 8 + MUCH + 5);
    let received = far.received();
    assert_eq!(&received[..8], b"before, ");
    assert!(received[8..8 + MUCH] == pattern(MUCH), "the bytes differ");
    assert_eq!(&received[8 + MUCH..], b"after");
    let sending = place.take().unwrap();
    assert_eq!(run_until_done(stage, &sending).unwrap(), MUCH as u64);
    assert_eq!(sending.progress(), MUCH as u64);
    assert_eq!(near.handle().write_buffer_size(), 0);
}

// 270.
pub(crate) fn several_files_and_writes_keep_their_order<L: Link>(stage: &mut Stage<L>) {
    let (near, far) = join(stage);
    let data = pattern(MUCH);
    let file = file_with(&data);
    let (mut expected, mut sendings) = (Vec::new(), Vec::new());
    for position in 0..20 {
        let (offset, count) = (position * 1009, position * position * 200);
        near.handle().write(&data[..position * 50]);
        sendings.push(near.handle().send_file(Rc::clone(&file), offset as u64, Some(count as u64)));
        expected.extend_from_slice(&data[..position * 50]);
        expected.extend_from_slice(&data[offset..offset + count]);
    }
    stage.rest();
    far.handle().resume_reading();
    stage.run_until_received(&far, expected.len());
    assert!(far.received() == expected, "the bytes differ");
    stage.rest();
    assert!(sendings.iter().all(|sending| sending.take_result().unwrap().is_ok()));
}

// 270: differs.
pub(crate) fn reading_goes_on_while_a_file_is_sent<L: Link>(stage: &mut Stage<L>) {
    let (near, far) = join(stage);
    let sending = near.handle().send_file(file_with(&pattern(MUCH)), 0, None);
    stage.rest();
    assert!(!sending.is_done() && near.handle().is_reading());
    far.handle().write(b"meanwhile");
    stage.run_until_received(&near, 9);
    assert!(!sending.is_done());
    far.handle().resume_reading();
    assert_eq!(run_until_done(stage, &sending).unwrap(), MUCH as u64);
}

// 271: differs.
pub(crate) fn range_of_a_file_is_sent_and_its_position_stays<L: Link>(stage: &mut Stage<L>) {
    let far = Log::new();
    let near = Log::new();
    stage.join(Probe::new(&near), Probe::new(&far));
    let data = pattern(100_000);
    let file = file_with(&data);
    (&*file).seek(SeekFrom::Start(77)).unwrap();
    let first = near.handle().send_file(Rc::clone(&file), 10, Some(50_000));
    let rest = near.handle().send_file(Rc::clone(&file), 60_000, None);
    stage.run_until_received(&far, 90_000);
    let mut expected = data[10..50_010].to_vec();
    expected.extend_from_slice(&data[60_000..]);
    assert!(far.received() == expected, "the bytes differ");
    assert_eq!(run_until_done(stage, &first).unwrap(), 50_000);
    assert_eq!(run_until_done(stage, &rest).unwrap(), 40_000);
    assert_eq!((&*file).stream_position().unwrap(), 77);
}

// 271.
pub(crate) fn nothing_of_a_file_is_sent_at_once<L: Link>(stage: &mut Stage<L>) {
    let (near, _far) = join(stage);
    let file = file_with(b"four");
    for (offset, count) in [(4, None), (9, None), (0, Some(0)), (4, Some(0))] {
        let sending = near.handle().send_file(Rc::clone(&file), offset, count);
        assert_eq!(run_until_done(stage, &sending).unwrap(), 0);
    }
}

// 269, 273: differs.
pub(crate) fn what_cannot_be_sent_is_refused_and_harms_nothing<L: Link>(stage: &mut Stage<L>) {
    let (near, far) = (Log::new(), Log::new());
    stage.join(Probe::new(&near), Probe::new(&far));
    let handle = near.handle();
    let refused = |file: Rc<File>, offset, count| {
        let sending = handle.send_file(file, offset, count);
        assert_eq!((sending.count(), sending.progress()), (0, 0));
        sending.take_result().expect("it is refused at once").unwrap_err()
    };
    let device = refused(File::open("/dev/null").unwrap().into(), 0, Some(1));
    assert!(device.is_unsupported(), "{device}");
    let directory = refused(File::open("/").unwrap().into(), 0, None);
    assert!(directory.is_unsupported(), "{directory}");
    for (offset, count) in [(0, 5), (4, 1), (u64::MAX, 1), (1, u64::MAX)] {
        let beyond = refused(file_with(b"four"), offset, Some(count));
        assert!(beyond.is_invalid(), "{beyond}");
    }
    let name = std::env::temp_dir().join(format!("wharf-unreadable-{}", std::process::id()));
    let unreadable =
        OpenOptions::new().create(true).truncate(true).write(true).open(&name).unwrap();
    std::fs::remove_file(&name).unwrap_or_default();
    let unreadable = refused(unreadable.into(), 0, None);
    assert!(unreadable.is_invalid(), "{unreadable}");
    handle.write(b"it goes on");
    stage.run_until_received(&far, 10);
}

// 269.
pub(crate) fn closing_connection_refuses_files<L: Link>(stage: &mut Stage<L>) {
    let near = Log::new();
    stage.join_to_probe(Probe::new(&near));
    near.handle().close();
    for _ in 0..2 {
        let sending = near.handle().send_file(file_with(b"late"), 0, None);
        assert!(sending.take_result().unwrap().unwrap_err().is_closed());
        stage.run_until_lost(&near);
    }
}

// 272.
pub(crate) fn peer_that_goes_midway_is_told_to_the_future_and_to_the_protocol<L: Link>(
    stage: &mut Stage<L>,
) {
    if !stage.can().reset {
        return;
    }
    let (near, far) = join(stage);
    let sending = near.handle().send_file(file_with(&pattern(MUCH)), 0, None);
    stage.rest();
    let before = sending.progress();
    assert!(before > 0 && before < MUCH as u64, "{before}");
    // With unread input: a reset.
    far.handle().abort();
    stage.run_until_lost(&near);
    let error = run_until_done(stage, &sending).unwrap_err();
    assert_eq!(error.io_kind(), near.cause().unwrap().io_kind, "{error}");
    let kinds = [Some(ErrorKind::ConnectionReset), Some(ErrorKind::BrokenPipe)];
    assert!(kinds.contains(&error.io_kind()), "{error}");
    assert_eq!(sending.progress(), before);
    assert!(stage.reports.take().is_empty());
}

pub(crate) fn abort_ends_the_sending_with_closed<L: Link>(stage: &mut Stage<L>) {
    let (near, far) = join(stage);
    let sending = near.handle().send_file(file_with(&pattern(MUCH)), 0, None);
    let behind = near.handle().send_file(file_with(b"never sent"), 0, None);
    stage.rest();
    near.handle().abort();
    assert!(!sending.is_done(), "told by the loop");
    assert!(run_until_done(stage, &sending).unwrap_err().is_closed());
    assert!(run_until_done(stage, &behind).unwrap_err().is_closed());
    assert_eq!(behind.progress(), 0);
    stage.run_until_lost(&near);
    assert_eq!(near.cause(), None);
    stage.rest();
    far.handle().abort();
}

pub(crate) fn close_and_write_eof_send_the_whole_file_first<L: Link>(stage: &mut Stage<L>) {
    for half in [false, true] {
        if half && !stage.can().half_close {
            continue;
        }
        let (near, far) = join(stage);
        let sending = near.handle().send_file(file_with(&pattern(MUCH)), 0, None);
        near.handle().write(b"tail");
        match half {
            true => near.handle().write_eof(),
            false => near.handle().close(),
        }
        assert_eq!(near.handle().write(b"too late"), WriteStatus::Closed);
        stage.rest();
        assert!(!sending.is_done() && !near.is_lost());
        far.handle().resume_reading();
        stage.run_until_lost(&near);
        stage.run_until_lost(&far);
        let received = far.received();
        assert!(received[..MUCH] == pattern(MUCH), "the bytes differ");
        assert_eq!(&received[MUCH..], b"tail");
        assert_eq!(run_until_done(stage, &sending).unwrap(), MUCH as u64);
        assert_eq!(near.cause(), None);
    }
}

pub(crate) fn cancelled_file_stops_and_what_is_behind_it_follows<L: Link>(stage: &mut Stage<L>) {
    let (near, far) = join(stage);
    let sending = near.handle().send_file(file_with(&pattern(MUCH)), 0, None);
    near.handle().write(b"behind");
    stage.rest();
    assert!(sending.cancel());
    assert!(!sending.cancel(), "once");
    assert!(sending.is_cancelled() && sending.take_result().unwrap().unwrap_err().is_cancelled());
    let sent = usize::try_from(sending.progress()).unwrap();
    assert!(sent > 0 && sent < MUCH, "{sent}");
    far.handle().resume_reading();
    stage.run_until_received(&far, sent + 6);
    stage.rest();
    let received = far.received();
    assert!(received[..sent] == pattern(MUCH)[..sent], "the bytes differ");
    assert_eq!(&received[sent..], b"behind");
    near.handle().close();
    stage.run_until_lost(&near);
    assert_eq!(sending.progress(), sent as u64);
}

pub(crate) fn cancelling_the_only_file_lets_a_close_go_on<L: Link>(stage: &mut Stage<L>) {
    let (near, far) = join(stage);
    let sending = near.handle().send_file(file_with(&pattern(MUCH)), 0, None);
    near.handle().close();
    stage.rest();
    assert!(sending.cancel());
    if stage.can().plain {
        assert_eq!(near.handle().write_buffer_size(), 0);
        stage.run_until_lost(&near);
    }
    // Records that were made already still go out.
    assert!(near.handle().write_buffer_size() <= RECORDS);
    far.handle().resume_reading();
    stage.run_until_lost(&near);
    assert_eq!(near.cause(), None);
    stage.run_until_lost(&far);
    assert_eq!(far.received_len() as u64, sending.progress());
}

pub(crate) fn dropping_a_sending_cancels_it_unless_it_is_detached_or_listened_to<L: Link>(
    stage: &mut Stage<L>,
) {
    let (near, far) = join(stage);
    let told = Rc::new(Cell::new(0));
    let count = Rc::clone(&told);
    near.handle().send_file(file_with(b"detached, "), 0, None).detach();
    drop(near.handle().send_file(file_with(b"dropped, "), 0, None));
    let listened = near.handle().send_file(file_with(b"listened to"), 0, None);
    listened.add_done_callback(move |sent| count.set(*sent.as_ref().unwrap()));
    drop(listened);
    far.handle().resume_reading();
    stage.run_until_received(&far, 21);
    assert_eq!(far.received(), b"detached, listened to");
    stage.run_until("the done callback", || told.get() == 11);
    near.handle().send_file(File::open("/dev/null").unwrap().into(), 0, None).detach();
    stage.rest();
    assert_eq!(stage.reports.take().len(), 1, "a refusal that nobody would hear of is reported");
}

pub(crate) fn file_that_became_shorter_ends_the_connection<L: Link>(stage: &mut Stage<L>) {
    let (near, far) = join(stage);
    let file = file_with(&pattern(MUCH));
    let sending = near.handle().send_file(Rc::clone(&file), 0, None);
    near.handle().write(b"would be taken for the file's");
    stage.rest();
    let sent = usize::try_from(sending.progress()).unwrap();
    let left = sent + (MUCH - sent) / 2;
    file.set_len(left as u64).unwrap();
    far.handle().resume_reading();
    stage.run_until_lost(&near);
    let error = run_until_done(stage, &sending).unwrap_err();
    assert_eq!(error.io_kind(), Some(ErrorKind::UnexpectedEof), "{error}");
    assert_eq!(near.cause().unwrap().io_kind, Some(ErrorKind::UnexpectedEof));
    stage.run_until_lost(&far);
    let received = far.received();
    assert!(received.len() <= left && received[..] == pattern(MUCH)[..received.len()]);
    assert!(stage.reports.take().is_empty());
}

pub(crate) fn bytes_are_those_that_the_file_has_when_they_are_sent<L: Link>(stage: &mut Stage<L>) {
    let (near, far) = join(stage);
    let file = file_with(&vec![b'a'; 2 * MUCH]);
    let sending = near.handle().send_file(Rc::clone(&file), 0, None);
    stage.rest();
    file.write_all_at(b"changed", (2 * MUCH - 7) as u64).unwrap();
    far.handle().resume_reading();
    assert_eq!(run_until_done(stage, &sending).unwrap(), 2 * MUCH as u64);
    stage.run_until_received(&far, 2 * MUCH);
    assert!(far.received().ends_with(b"aaachanged"));
}

// 274: differs.
pub(crate) fn waiting_file_counts_little_and_what_is_behind_it_in_full<L: Link>(
    stage: &mut Stage<L>,
) {
    let (near, far) = join(stage);
    let sending = near.handle().send_file(file_with(&pattern(MUCH)), 0, None);
    stage.rest();
    // Under TLS a part of it may be records already.
    let records = near.handle().write_buffer_size() - WEIGHT;
    assert!(records <= if stage.can().plain { 0 } else { RECORDS });
    assert_eq!(near.count(Call::Pause), 0);
    near.handle().write(&[0; 64 * 1024]);
    stage.rest();
    assert_eq!(near.handle().write_buffer_size(), WEIGHT + records + 64 * 1024);
    assert_eq!((near.count(Call::Pause), near.count(Call::Resume)), (1, 0));
    far.handle().resume_reading();
    stage.run_until_received(&far, MUCH + 64 * 1024);
    stage.run_until("resume_writing", || near.count(Call::Resume) == 1);
    assert_eq!(near.handle().write_buffer_size(), 0);
    assert_eq!(run_until_done(stage, &sending).unwrap(), MUCH as u64);
}

pub(crate) fn answering_with_files_is_bounded_by_the_default_hold<L: Link>(stage: &mut Stage<L>) {
    const REQUESTS: usize = 2000;
    let near = Log::new();
    let file = file_with(&pattern(1000));
    let answers = Rc::new(Cell::new(0));
    let count = Rc::clone(&answers);
    // One request is read at a time, so that there is a pause between two answers.
    let server = Probe::new(&near).buffer_of(1).on_data(move |transport, _| {
        count.set(count.get() + 1);
        transport.send_file(Rc::clone(&file), 0, None).detach();
        Ok(())
    });
    let far = Log::new();
    stage.join(wharf::Buffered(server), Probe::new(&far).not_reading());
    far.handle().write(&[b'x'; REQUESTS]);
    stage.rest();
    let before = answers.get();
    assert!(before < REQUESTS, "all {before} files wait at once");
    assert!(near.handle().write_buffer_size() <= 64 * 1024 + WEIGHT);
    far.handle().resume_reading();
    stage.run_until_received(&far, REQUESTS * 1000);
    assert!(far.received().chunks(1000).all(|chunk| chunk == pattern(1000)), "the bytes differ");
}

pub(crate) fn long_file_leaves_others_their_turn<L: Link>(stage: &mut Stage<L>) {
    let (near, far) = (Log::new(), Log::new());
    stage.join(Probe::new(&near), Probe::new(&far));
    let other = stage.join_to_probe(Probe::new(&Log::new()).echoing());
    other.handle().write(b"ping");
    let sending = near.handle().send_file(file_with(&pattern(16 * MUCH)), 0, None);
    let mut steps = 0;
    while other.received_len() < 4 {
        stage.step();
        steps += 1;
        assert!(steps < 1000, "the other one had no turn");
    }
    assert!(!sending.is_done(), "the other one waited for the whole file");
    assert_eq!(run_until_done(stage, &sending).unwrap(), 16 * MUCH as u64);
    stage.run_until_received(&far, 16 * MUCH);
    assert!(far.received() == pattern(16 * MUCH), "the bytes differ");
}
