//! Unix receivers that are full: each is waited for by itself, and delays nobody else.

use std::time::Duration;

use wharf::{DatagramTransport, DropPolicy, Endpoint, EventLoop, SendStatus, WaterMarks};

use crate::datagram_probe::{Event, Log, Probe};
use crate::running::run_until;
use crate::stage::{LANE, OVERHEAD, Stage, address};

/// Of this many bytes is every datagram that fills a receiver.
const SIZE: usize = 4000;

/// More than the path of a receiver, which counts before a datagram is in its lane.
const ROOM: usize = 200;

/// A receiver that does not read.
fn paused(stage: &Stage, log: &Log) -> Endpoint<Probe> {
    let receiver = stage.bound(Probe::new(log));
    receiver.handle().pause_reading();
    receiver
}

/// Sends to the receiver until it is full and the last datagram waits. How many were sent.
fn fill(stage: &Stage, sender: &Endpoint<Probe>, receiver: &Endpoint<Probe>) -> usize {
    let before = sender.handle().statistics();
    let mut count = 0;
    while sender.handle().statistics().queued == before.queued {
        sender.handle().send_to(&[0xFF; SIZE], &address(receiver)).unwrap();
        stage.rest();
        count += 1;
    }
    count
}

/// Sends from inside a callback, or from elsewhere.
fn send(sender: &Endpoint<Probe>, inside: bool, data: &[u8], to: &Endpoint<Probe>) {
    let to = address(to);
    match inside {
        true => sender.with(|_, transport| transport.send_to(data, &to)).unwrap().unwrap(),
        false => sender.handle().send_to(data, &to).unwrap(),
    };
}

fn numbers(numbers: impl IntoIterator<Item = u8>) -> Vec<Vec<u8>> {
    numbers.into_iter().map(|number| vec![number]).collect()
}

pub(crate) fn full_receiver_delays_nobody_else(stage: &Stage) {
    if !stage.is_unix() {
        return;
    }
    let (full_log, log, sender_log) = (Log::default(), Log::default(), Log::default());
    let full = paused(stage, &full_log);
    let reader = stage.bound(Probe::new(&log));
    let sender = stage.bound(Probe::new(&sender_log));
    let before = fill(stage, &sender, &full);
    for number in 0..40 {
        send(&sender, number % 3 == 0, &[number], &full);
        send(&sender, number % 3 == 0, &[number], &reader);
    }
    stage.run_until_received(&log, 40);
    assert_eq!(log.received(), numbers(0..40));
    assert_eq!(sender.handle().statistics().queued, 41, "all for the one that is full");
    full.handle().resume_reading();
    stage.run_until_received(&full_log, before + 40);
    assert_eq!(full_log.received()[before..], numbers(0..40), "and they kept their order");
    assert_eq!(sender.handle().write_buffer_size(), 0);
    assert_eq!(sender_log.errors(), 0);
}

pub(crate) fn full_receiver_delays_nobody_else_in_one_callback(stage: &Stage) {
    if !stage.is_unix() {
        return;
    }
    let logs = [(); 3].map(|()| Log::default());
    let receivers = [0, 1, 2].map(|position| match position {
        1 => stage.bound(Probe::new(&logs[1])),
        _ => paused(stage, &logs[position]),
    });
    let to = receivers.each_ref().map(address);
    let sender = stage.bound(Probe::new(&Log::default()));
    sender
        .with(|_, transport| {
            for number in 0..60 {
                for to in &to {
                    transport.send_to(&[number; 1000], to).unwrap();
                }
            }
        })
        .unwrap();
    let expected: Vec<_> = (0..60).map(|number| vec![number; 1000]).collect();
    stage.run_until_received(&logs[1], 60);
    assert_eq!(logs[1].received(), expected);
    for position in [2, 0] {
        receivers[position].handle().resume_reading();
        stage.run_until_received(&logs[position], 60);
        assert_eq!(logs[position].received(), expected);
    }
    assert_eq!(sender.handle().statistics().sent, 180);
}

pub(crate) fn receiver_that_never_reads_does_not_take_the_room_of_others(stage: &Stage) {
    if !stage.is_unix() {
        return;
    }
    let (hog_log, slow_log, log) = (Log::default(), Log::default(), Log::default());
    let (hog, slow) = (paused(stage, &hog_log), paused(stage, &slow_log));
    let reader = stage.bound(Probe::new(&log));
    let sender = stage.bound(Probe::new(&Log::default()));
    sender.handle().set_queue_limit(ROOM + 2 * LANE + 20 * (SIZE + OVERHEAD), DropPolicy::Newest);
    for number in 0..100 {
        send(&sender, number % 2 == 0, &[number; SIZE], &hog);
    }
    stage.rest();
    let filled = sender.handle().statistics();
    assert_eq!((filled.queued, filled.sent + filled.dropped), (20, 80));
    // Who has room gets its datagrams though the queue is full,
    for number in 0..10 {
        send(&sender, number % 2 == 0, &[number; SIZE], &reader);
        stage.run_until_received(&log, usize::from(number) + 1);
    }
    // and who is slow finds room in it.
    let before = sender.handle().statistics().sent;
    for number in 0..60 {
        send(&sender, number % 2 == 0, &[number; SIZE], &slow);
        stage.rest();
    }
    let taken = (sender.handle().statistics().sent - before) as usize;
    assert_eq!(sender.handle().statistics().queued, 20);
    slow.handle().resume_reading();
    stage.run_until("the slow one's", || slow_log.received().len() >= taken + 8);
    hog.handle().resume_reading();
    stage.run_until("everything is sent", || sender.handle().write_buffer_size() == 0);
    stage.rest();
    // Of each the newest went.
    for log in [hog_log, slow_log] {
        let expected: Vec<_> = (0..).take(log.received().len()).collect();
        let received: Vec<_> = log.received().iter().map(|data| data[0]).collect();
        assert_eq!(received, expected);
    }
}

pub(crate) fn oldest_of_all_receivers_are_dropped(stage: &Stage) {
    if !stage.is_unix() {
        return;
    }
    let logs = [(); 2].map(|()| Log::default());
    let receivers = logs.each_ref().map(|log| paused(stage, log));
    let sender = stage.bound(Probe::new(&Log::default()));
    let before = receivers.each_ref().map(|receiver| fill(stage, &sender, receiver) - 1);
    sender.handle().set_queue_limit(ROOM + 2 * LANE + 6 * (SIZE + OVERHEAD), DropPolicy::Oldest);
    for number in 0..10 {
        let to = &receivers[usize::from(number % 2)];
        send(&sender, number % 4 == 0, &[number; SIZE], to);
    }
    send(&sender, false, &[9; 7 * SIZE], &receivers[0]);
    let statistics = sender.handle().statistics();
    assert_eq!((statistics.queued, statistics.dropped), (6, 2 + 4 + 1), "one never fits");
    for (position, receiver) in receivers.iter().enumerate() {
        receiver.handle().resume_reading();
        stage.run_until_received(&logs[position], before[position] + 3);
    }
    stage.rest();
    assert_eq!(logs[0].received()[before[0]..], [4, 6, 8].map(|number| [number; SIZE]));
    assert_eq!(logs[1].received()[before[1]..], [5, 7, 9].map(|number| [number; SIZE]));
}

pub(crate) fn what_one_callback_sends_too_much_is_dropped_as_the_policy_says(stage: &Stage) {
    if !stage.is_unix() {
        return;
    }
    for (connected, is_set_inside) in [(true, false), (true, true), (false, false), (false, true)] {
        for policy in [DropPolicy::Newest, DropPolicy::Oldest, DropPolicy::Refuse] {
            let log = Log::default();
            let receiver = paused(stage, &log);
            let to = address(&receiver);
            let probe = Probe::new(&Log::default());
            let sender = if connected { stage.connected(probe, &to) } else { stage.bound(probe) };
            let lane = if connected { 0 } else { LANE };
            let set = |transport: &dyn DatagramTransport| {
                transport.set_queue_limit(lane + ROOM + 10 * (1000 + OVERHEAD), policy);
            };
            if !is_set_inside {
                set(sender.handle());
            }
            let send = |number, transport: &dyn DatagramTransport| {
                transport.send_to(&[number; 1000], &to).unwrap()
            };
            let statuses: Vec<SendStatus> = sender
                .with(|_, transport| {
                    if is_set_inside {
                        set(transport);
                    }
                    (0..100).map(|number| send(number, transport)).collect()
                })
                .unwrap();
            let statistics = sender.handle().statistics();
            let taken = statistics.sent as u8;
            let (dropped, refused) = match policy {
                DropPolicy::Refuse => (0, 90 - u64::from(taken)),
                _ => (90 - u64::from(taken), 0),
            };
            let counts = (statistics.queued, statistics.dropped, statistics.refused);
            assert_eq!(counts, (10, dropped, refused), "{policy:?}");
            let answers = statuses.iter().filter(|status| **status == SendStatus::Refused).count();
            assert_eq!(answers as u64, refused, "whoever is refused is told");
            receiver.handle().resume_reading();
            stage.run_until_received(&log, usize::from(taken) + 10);
            stage.rest();
            let received: Vec<u8> = log.received().iter().map(|data| data[0]).collect();
            let expected: Vec<u8> = match policy {
                DropPolicy::Oldest => (0..taken).chain(90..100).collect(),
                _ => (0..taken + 10).collect(),
            };
            assert_eq!(received, expected, "{policy:?}, connected: {connected}");
        }
    }
}

pub(crate) fn full_receiver_that_goes_away_is_told_for_each_datagram(stage: &Stage) {
    if !stage.is_unix() {
        return;
    }
    let (log, sender_log) = (Log::default(), Log::default());
    let full = paused(stage, &Log::default());
    let reader = stage.bound(Probe::new(&log));
    let sender = stage.bound(Probe::new(&sender_log));
    fill(stage, &sender, &full);
    for number in 0..5 {
        send(&sender, number % 2 == 0, &[number], &full);
    }
    full.handle().abort();
    stage.run_until("the errors", || sender.handle().write_buffer_size() == 0);
    stage.rest();
    assert_eq!(sender_log.errors(), 6);
    let statistics = sender.handle().statistics();
    assert_eq!((statistics.send_errors, statistics.errors_received), (6, 0));
    send(&sender, true, b"still here", &reader);
    stage.run_until_received(&log, 1);
    assert_eq!(sender_log.lost(), 0);
}

pub(crate) fn closing_waits_for_full_receivers_and_aborting_does_not(stage: &Stage) {
    if !stage.is_unix() {
        return;
    }
    for abort in [false, true] {
        let (log, sender_log) = (Log::default(), Log::default());
        let full = paused(stage, &log);
        let sender = stage.bound(Probe::new(&sender_log));
        let before = fill(stage, &sender, &full);
        send(&sender, true, b"last", &full);
        if abort {
            sender.handle().abort();
        } else {
            sender.handle().close();
            stage.rest();
            assert_eq!(sender_log.lost(), 0);
        }
        full.handle().resume_reading();
        stage.run_until("the end", || sender_log.lost() == 1);
        stage.rest();
        assert_eq!(sender_log.events().last(), Some(&Event::Lost(None)));
        assert_eq!(log.received().len(), if abort { before - 1 } else { before + 1 });
    }
}

pub(crate) fn marks_count_what_waits_for_each_receiver(stage: &Stage) {
    if !stage.is_unix() {
        return;
    }
    let sender_log = Log::default();
    let receivers = [(); 2].map(|()| paused(stage, &Log::default()));
    let sender = stage.bound(Probe::new(&sender_log));
    for receiver in &receivers {
        fill(stage, &sender, receiver);
    }
    let each = LANE + SIZE + OVERHEAD;
    assert_eq!(sender.handle().write_buffer_size(), 2 * each);
    sender.handle().set_write_buffer_limits(WaterMarks { low: each, high: 2 * each }).unwrap();
    stage.rest();
    assert_eq!(sender_log.events(), [Event::Made]);
    send(&sender, false, b"more", &receivers[0]);
    stage.run_until("the pause", || sender_log.events().contains(&Event::Paused));
    receivers[0].handle().resume_reading();
    stage.run_until("the resume", || sender_log.events().contains(&Event::Resumed));
    assert_eq!(sender_log.events(), [Event::Made, Event::Paused, Event::Resumed]);
}

/// The delay is the subject: nothing tells when a receiver has room, so that it is tried again.
#[test]
fn retries_for_full_receivers_back_off() {
    let event_loop = EventLoop::new().unwrap();
    let folder = std::env::temp_dir();
    let at = |name: &str| folder.join(format!("wharf-retries-{name}-{}", std::process::id()));
    let open = |log: &Log, name: &str| {
        let probe = Probe::new(log);
        let builder = event_loop.create_datagram_endpoint(|| probe).local_unix_address(at(name));
        event_loop.run_until_complete(builder.start()).unwrap().unwrap()
    };
    let log = Log::default();
    let receiver = open(&log, "receiver");
    receiver.handle().pause_reading();
    let senders = (0..20).map(|number| open(&Log::default(), &number.to_string()));
    let senders: Vec<_> = senders.collect();
    let to = address(&receiver);
    for sender in &senders {
        for _ in 0..20 {
            sender.handle().send_to(b"x", &to).unwrap();
        }
    }
    let wait = |time| event_loop.run_until_complete(event_loop.sleep(time)).unwrap();
    wait(Duration::from_millis(500));
    let (before, began) = (event_loop.statistics().ticks, event_loop.time());
    let mut retries = 0;
    // Some of each, however slow the machine is. One that is slow has fewer in a second, not more.
    while retries < 20 {
        wait(Duration::from_secs(1));
        retries = event_loop.statistics().ticks - before;
    }
    // Every 5 ms they would be 4,000.
    let at_most = 400.0 * (event_loop.time() - began).as_secs_f64();
    assert!((retries as f64) < at_most, "{retries} retries, and at most {at_most}");
    receiver.handle().resume_reading();
    run_until(&event_loop, "all", || log.received().len() == 400);
}
