//! Nothing gets lost without being counted.

use wharf::{DatagramTransport, DropPolicy};

use crate::datagram_probe::{Log, Probe};
use crate::stage::{Stage, address, datagrams};

pub(crate) fn every_datagram_is_accounted_for(stage: &Stage) {
    let log = Log::default();
    let receiver = stage.bound(Probe::new(&log));
    let to = address(&receiver);
    let dead = stage.deserted();
    let sender_log = Log::default();
    let sender = stage.bound(Probe::new(&sender_log));
    let mut taken = 0;
    for (position, data) in datagrams(300, 2000).into_iter().enumerate() {
        let to = if position % 10 == 3 { &dead } else { &to };
        let send = |transport: &dyn DatagramTransport| transport.send_to(&data, to).unwrap();
        let status = match position % 2 {
            0 => send(sender.handle()),
            _ => sender.with(|_, transport| send(transport)).unwrap(),
        };
        taken += u64::from(status.is_taken());
        if position % 25 == 0 {
            stage.rest();
        }
    }
    stage.run_until("everything is sent", || sender.handle().write_buffer_size() == 0);
    stage.rest();
    let statistics = sender.handle().statistics();
    assert_eq!(taken, 300);
    assert_eq!(statistics.sent + statistics.send_errors, taken);
    assert_eq!(statistics.send_errors + statistics.errors_received, sender_log.errors() as u64);
    let drops = receiver.handle().receive_drops().unwrap();
    let received = receiver.handle().statistics().received;
    assert_eq!(received, log.received().len() as u64);
    assert_eq!(received + drops, 270);
}

pub(crate) fn every_datagram_of_a_flood_is_received_or_counted(stage: &Stage) {
    let log = Log::default();
    let receiver = stage.bound(Probe::new(&log));
    let sender = stage.connected(Probe::new(&Log::default()), &address(&receiver));
    sender.handle().set_queue_limit(100_000, DropPolicy::Oldest);
    receiver.handle().pause_reading();
    let count = 3000;
    sender
        .with(|_, transport| {
            for number in 0..count {
                transport.send(&vec![number as u8; 100 + number % 2]).unwrap();
            }
        })
        .unwrap();
    stage.rest();
    receiver.handle().resume_reading();
    stage.run_until("everything is sent", || sender.handle().write_buffer_size() == 0);
    stage.rest();
    let statistics = sender.handle().statistics();
    assert_eq!(statistics.send_errors, 0);
    assert_eq!(statistics.sent + statistics.dropped, count as u64);
    let drops = receiver.handle().receive_drops().unwrap();
    assert!(drops + statistics.dropped > 0, "it was no flood");
    assert_eq!(receiver.handle().statistics().received + drops, statistics.sent);
    assert_eq!(log.received().len() as u64, receiver.handle().statistics().received);
}
