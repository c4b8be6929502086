//! What the receiver does not take: flow control and the limit of the queue.
//!
//! A UDP sender is never refused on loopback: what is too much is dropped at the receiver. So most
//! of this is seen on Unix sockets alone.

use std::time::{Duration, Instant};

use wharf::testing::advance;
use wharf::{DatagramTransport, DropPolicy, Endpoint, SendStatus, WaterMarks};

use crate::datagram_probe::{Event, Log, Probe};
use crate::stage::{OVERHEAD, Stage, address};

/// Of this many bytes is every datagram.
const SIZE: usize = 4000;

/// A receiver that is paused, and a sender to it that is refused.
fn filled(stage: &Stage, log: &Log, sender_log: &Log) -> (Endpoint<Probe>, Endpoint<Probe>) {
    let receiver = stage.bound(Probe::new(log));
    receiver.handle().pause_reading();
    let sender = stage.connected(Probe::new(sender_log), &address(&receiver));
    while sender.handle().statistics().queued == 0 {
        assert_eq!(sender.handle().send(&[0; SIZE]).unwrap(), SendStatus::Accepted);
        stage.rest();
    }
    (receiver, sender)
}

/// Lets the receiver take everything.
fn drain(stage: &Stage, receiver: &Endpoint<Probe>, sender: &Endpoint<Probe>) {
    receiver.handle().resume_reading();
    stage.run_until("the queue is empty", || sender.handle().write_buffer_size() == 0);
    stage.rest();
}

// 147.
pub(crate) fn queue_counts_what_a_datagram_takes_beside_its_bytes(stage: &Stage) {
    let endpoint = stage.bound(Probe::new(&Log::default()));
    let to = address(&endpoint);
    let path = to.as_unix_path().map_or(0, |path| path.as_os_str().len());
    let mut expected = 0;
    for data in [&b""[..], b"four", b""] {
        endpoint.handle().send_to(data, &to).unwrap();
        expected += data.len() + OVERHEAD + path;
        assert_eq!(endpoint.handle().write_buffer_size(), expected);
    }
    endpoint.handle().send_to(b"", &to).unwrap();
    endpoint.handle().send_to(b"four", &to).unwrap();
    endpoint.handle().send_to(b"more", &to).unwrap();
    expected += 3 * OVERHEAD + 8 + 2 * path;
    assert_eq!(endpoint.handle().write_buffer_size(), expected, "a path counts once in a row");
    stage.rest();
    assert_eq!(endpoint.handle().write_buffer_size(), 0, "and as much less when it is sent");
}

// 144, 154.
pub(crate) fn writing_pauses_above_high_and_resumes_at_low(stage: &Stage) {
    if !stage.is_unix() {
        return;
    }
    let (log, sender_log) = (Log::default(), Log::default());
    let (receiver, sender) = filled(stage, &log, &sender_log);
    let size = SIZE + OVERHEAD;
    sender.handle().set_write_buffer_limits(WaterMarks { low: size, high: 4 * size }).unwrap();
    let mut statuses = Vec::new();
    while sender.handle().statistics().queued < 4 {
        statuses.push(sender.handle().send(&[1; SIZE]).unwrap());
    }
    assert!(statuses.iter().all(|status| *status == SendStatus::Accepted));
    stage.rest();
    assert_eq!(sender_log.events(), [Event::Made]);
    assert_eq!(sender.handle().send(&[1; SIZE]).unwrap(), SendStatus::AboveHighWater);
    stage.run_until("the pause", || sender_log.events().contains(&Event::Paused));
    drain(stage, &receiver, &sender);
    assert_eq!(sender_log.events(), [Event::Made, Event::Paused, Event::Resumed]);
}

pub(crate) fn order_is_kept_through_the_queue(stage: &Stage) {
    if !stage.is_unix() {
        return;
    }
    let (log, sender_log) = (Log::default(), Log::default());
    let (receiver, sender) = filled(stage, &log, &sender_log);
    let before = sender.handle().statistics();
    let before = (before.sent + before.queued) as usize;
    for number in 0..50_u8 {
        sender.handle().send(&[number; 10]).unwrap();
        if number % 7 == 0 {
            sender.with(|_, transport| transport.send(b"in a callback")).unwrap().unwrap();
        }
    }
    drain(stage, &receiver, &sender);
    stage.run_until_received(&log, before + 58);
    let mut expected = Vec::new();
    for number in 0..50_u8 {
        expected.push(vec![number; 10]);
        if number % 7 == 0 {
            expected.push(b"in a callback".to_vec());
        }
    }
    assert_eq!(log.received()[before..], expected);
}

pub(crate) fn newest_are_dropped_and_counted_when_the_queue_is_full(stage: &Stage) {
    if !stage.is_unix() {
        return;
    }
    let (log, sender_log) = (Log::default(), Log::default());
    let (receiver, sender) = filled(stage, &log, &sender_log);
    let before = (sender.handle().statistics().sent + 1) as usize;
    sender.handle().set_queue_limit(SIZE + OVERHEAD + 3 * (1 + OVERHEAD), DropPolicy::Newest);
    let statuses: Vec<_> = (0..6).map(|number| sender.handle().send(&[number]).unwrap()).collect();
    assert!(statuses[..3].iter().all(|status| status.is_taken()), "{statuses:?}");
    assert_eq!(statuses[3..], [SendStatus::Dropped; 3]);
    assert_eq!(sender.handle().statistics().dropped, 3);
    drain(stage, &receiver, &sender);
    stage.run_until_received(&log, before + 3);
    assert_eq!(log.received()[before..], [[0], [1], [2]]);
}

pub(crate) fn oldest_are_dropped_and_counted_when_the_policy_says_so(stage: &Stage) {
    if !stage.is_unix() {
        return;
    }
    let (log, sender_log) = (Log::default(), Log::default());
    let (receiver, sender) = filled(stage, &log, &sender_log);
    let before = sender.handle().statistics().sent as usize;
    // The one that waits goes first.
    sender.handle().set_queue_limit(3 * (1 + OVERHEAD), DropPolicy::Oldest);
    for number in 0..6 {
        assert!(sender.handle().send(&[number]).unwrap().is_taken());
    }
    assert_eq!(sender.handle().statistics().dropped, 4);
    assert_eq!(sender.handle().send(&[9; 1000]).unwrap(), SendStatus::Dropped, "never fits");
    drain(stage, &receiver, &sender);
    stage.run_until_received(&log, before + 3);
    stage.rest();
    let received = log.received();
    assert_eq!(received[before..], [[3], [4], [5]], "what never fits has taken nobody's place");
    let statistics = sender.handle().statistics();
    assert_eq!(statistics.sent as usize, received.len());
    assert_eq!(statistics.sent + statistics.dropped, before as u64 + 1 + 6 + 1);
}

pub(crate) fn refused_datagrams_can_be_sent_again_after_the_resume(stage: &Stage) {
    if !stage.is_unix() {
        return;
    }
    let (log, sender_log) = (Log::default(), Log::default());
    let (receiver, sender) = filled(stage, &log, &sender_log);
    let before = (sender.handle().statistics().sent + 1) as usize;
    sender.handle().set_queue_limit(SIZE + OVERHEAD + 1 + OVERHEAD, DropPolicy::Refuse);
    assert!(sender.handle().send(b"1").unwrap().is_taken());
    assert_eq!(sender.handle().send(b"2").unwrap(), SendStatus::Refused);
    let statistics = sender.handle().statistics();
    assert_eq!((statistics.refused, statistics.dropped), (1, 0));
    drain(stage, &receiver, &sender);
    stage.run_until("the resume", || sender_log.events().contains(&Event::Resumed));
    assert!(sender.handle().send(b"2").unwrap().is_taken());
    stage.run_until_received(&log, before + 2);
    assert_eq!(log.received()[before..], [b"1", b"2"]);
    assert_eq!(sender_log.events(), [Event::Made, Event::Paused, Event::Resumed]);
}

pub(crate) fn limits_are_derived_and_low_above_high_is_refused(stage: &Stage) {
    let endpoint = stage.bound(Probe::new(&Log::default()));
    let handle = endpoint.handle();
    assert_eq!(handle.write_buffer_limits(), WaterMarks { low: 16 * 1024, high: 64 * 1024 });
    handle.set_write_buffer_limits(WaterMarks::from_high(1000)).unwrap();
    assert_eq!(handle.write_buffer_limits(), WaterMarks { low: 250, high: 1000 });
    handle.set_write_buffer_limits(WaterMarks::from_low(30)).unwrap();
    assert_eq!(handle.write_buffer_limits(), WaterMarks { low: 30, high: 120 });
    assert!(
        handle.set_write_buffer_limits(WaterMarks { low: 2, high: 1 }).unwrap_err().is_invalid()
    );
    assert_eq!(handle.write_buffer_limits(), WaterMarks { low: 30, high: 120 });
    handle.set_write_buffer_limits(WaterMarks::default()).unwrap();
    assert_eq!(handle.write_buffer_limits(), WaterMarks { low: 16 * 1024, high: 64 * 1024 });
    stage.rest();
}

pub(crate) fn full_receiver_does_not_grow_the_sender(stage: &Stage) {
    if !stage.is_unix() {
        return;
    }
    let (log, sender_log) = (Log::default(), Log::default());
    let (_receiver, sender) = filled(stage, &log, &sender_log);
    let before = sender.handle().statistics();
    let before = before.sent + before.queued;
    for _ in 0..1000 {
        sender.handle().send(&[0; SIZE]).unwrap();
    }
    sender
        .with(|_, transport| {
            for _ in 0..1000 {
                transport.send(&[0; SIZE]).unwrap();
            }
        })
        .unwrap();
    assert!(sender.handle().write_buffer_size() <= 1024 * 1024);
    let statistics = sender.handle().statistics();
    assert_eq!(statistics.sent + statistics.queued + statistics.dropped, before + 2000);
    // A close gives up in the end.
    sender.handle().close();
    if stage.link == crate::stage::Link::MemoryUnix {
        advance(stage.event_loop(), Duration::from_secs(29)).unwrap();
        assert_eq!(sender_log.lost(), 0);
        advance(stage.event_loop(), Duration::from_secs(1)).unwrap();
        let error =
            Event::Lost(Some("closing timed out before everything written was sent".into()));
        assert_eq!(sender_log.events().last(), Some(&error));
    } else {
        let began = Instant::now();
        stage.rest();
        assert!(began.elapsed() > Duration::from_secs(20) || sender_log.lost() == 0);
    }
}
