//! What is sent, and what is refused at once.

use std::cell::Cell;
use std::rc::Rc;

use wharf::{Address, DatagramTransport, SendStatus, UnixAddress};

use crate::datagram_probe::{Event, Log, Probe};
use crate::stage::{OVERHEAD, Stage, address, datagrams};

pub(crate) fn answers_reach_their_senders(stage: &Stage) {
    let server = stage.bound(Probe::echo(&Log::default()));
    let logs = [(); 3].map(|()| Log::default());
    let clients: Vec<_> = logs
        .iter()
        .enumerate()
        .map(|(position, log)| match position {
            0 => stage.connected(Probe::new(log), &address(&server)),
            _ => stage.bound(Probe::new(log)),
        })
        .collect();
    for (position, client) in clients.iter().enumerate() {
        for part in 0..5 {
            client.handle().send_to(&[position as u8, part], &address(&server)).unwrap();
        }
    }
    for (position, log) in logs.iter().enumerate() {
        stage.run_until_received(log, 5);
        let expected: Vec<_> = (0..5).map(|part| vec![position as u8, part]).collect();
        assert_eq!(log.received(), expected);
        assert_eq!(log.senders(), vec![address(&server); 5]);
    }
}

// 150.
pub(crate) fn missing_address_is_an_immediate_error_and_harmless(stage: &Stage) {
    let log = Log::default();
    let endpoint = stage.bound(Probe::new(&log));
    let error = endpoint.handle().send(b"where to?").unwrap_err();
    assert!(error.is_invalid() && format!("{error:#}").contains("remote address"), "{error}");
    assert!(endpoint.handle().send_segments(b"ab", 1, None).unwrap_err().is_invalid());
    endpoint.handle().send_to(b"here", &address(&endpoint)).unwrap();
    stage.run_until_received(&log, 1);
    assert_eq!(log.errors(), 0);
}

// 148.
pub(crate) fn another_address_than_the_remote_one_is_an_immediate_error(stage: &Stage) {
    let log = Log::default();
    let server = stage.bound(Probe::new(&log));
    let other = stage.bound(Probe::new(&Log::default()));
    let client = stage.connected(Probe::new(&Log::default()), &address(&server));
    let error = client.handle().send_to(b"x", &address(&other)).unwrap_err();
    let named = format!("{error:#}").contains(&address(&server).to_string());
    assert!(error.is_invalid() && named, "{error}");
    client.handle().send_to(b"1", &address(&server)).unwrap();
    client.handle().send(b"2").unwrap();
    stage.run_until_received(&log, 2);
    assert_eq!(log.received(), [b"1", b"2"]);
}

pub(crate) fn address_of_another_family_is_an_immediate_error(stage: &Stage) {
    let endpoint = stage.bound(Probe::new(&Log::default()));
    let ip = |text: &str| Address::Ip(text.parse().unwrap());
    let unix = Address::Unix(UnixAddress::from_path("/nowhere"));
    let none = Address::Unix(UnixAddress::unnamed());
    for to in [ip("127.0.0.1:1"), ip("[::1]:1"), unix, none, ip("127.0.0.1:0"), ip("[::1]:0")] {
        let usable = match (&to, address(&endpoint)) {
            (Address::Ip(to), Address::Ip(own)) => to.is_ipv4() == own.is_ipv4() && to.port() != 0,
            (to, Address::Unix(_)) => to.as_unix_path().is_some(),
            _ => false,
        };
        let result = endpoint.handle().send_to(b"x", &to);
        assert_eq!(result.as_ref().is_err_and(wharf::Error::is_invalid), !usable, "{to}");
    }
    stage.rest();
    assert!(!endpoint.handle().is_closing());
}

pub(crate) fn too_large_a_datagram_is_an_immediate_error(stage: &Stage) {
    let log = Log::default();
    let endpoint = stage.bound(Probe::new(&log));
    let to = address(&endpoint);
    if !stage.is_unix() {
        let error = endpoint.handle().send_to(&[0; 65_536], &to).unwrap_err();
        assert!(error.is_invalid() && format!("{error:#}").contains("too large"), "{error}");
        assert!(endpoint.handle().send_segments(&[0; 65_600], 65_536, Some(&to)).is_err());
        let many = [(&[0; 1][..], &to), (&[0; 65_536][..], &to)];
        assert!(endpoint.handle().send_many_to(&many).unwrap_err().is_invalid());
    }
    stage.rest();
    assert!(log.received().is_empty());
    endpoint.handle().send_to(&[1; 60_000], &to).unwrap();
    stage.run_until_received(&log, 1);
}

pub(crate) fn datagrams_of_a_callback_go_out_when_it_returns(stage: &Stage) {
    let log = Log::default();
    let receiver = stage.bound(Probe::new(&log));
    let to = address(&receiver);
    let sender = stage.bound(Probe::new(&Log::default()));
    let (before, size) = sender
        .with(|_, transport| {
            for data in datagrams(10, 300) {
                assert_eq!(transport.send_to(&data, &to).unwrap(), SendStatus::Accepted);
            }
            (transport.statistics().sent, transport.write_buffer_size())
        })
        .unwrap();
    let bytes: usize = datagrams(10, 300).iter().map(Vec::len).sum();
    let path = to.as_unix_path().map_or(0, |path| path.as_os_str().len());
    assert_eq!((before, size), (0, bytes + 10 * (OVERHEAD + path)), "still gathered");
    assert_eq!(sender.handle().statistics().sent, 10, "sent on return");
    stage.run_until_received(&log, 10);
    assert_eq!(log.received(), datagrams(10, 300));
}

pub(crate) fn datagrams_from_elsewhere_go_out_at_the_end_of_the_round(stage: &Stage) {
    let log = Log::default();
    let endpoint = stage.bound(Probe::new(&log));
    let to = address(&endpoint);
    let handle = endpoint.handle().clone();
    let sent_inside = Rc::new(Cell::new(u64::MAX));
    let seen = Rc::clone(&sent_inside);
    stage.event_loop().call_soon(move || {
        handle.send_to(b"1", &to).unwrap();
        handle.send_to(b"2", &to).unwrap();
        seen.set(handle.statistics().sent);
    });
    stage.run_until_received(&log, 2);
    assert_eq!(sent_inside.get(), 0);
    assert_eq!(log.received(), [b"1", b"2"]);
}

// 145.
pub(crate) fn caller_may_change_its_buffer_after_the_send(stage: &Stage) {
    let log = Log::default();
    let endpoint = stage.bound(Probe::new(&log));
    let to = address(&endpoint);
    let mut data = *b"one";
    endpoint.handle().send_to(&data, &to).unwrap();
    data = *b"two";
    endpoint.handle().send_to(&data, &to).unwrap();
    data = *b"not";
    stage.run_until_received(&log, 2);
    assert_eq!(log.received(), [b"one", b"two"]);
    assert_eq!(&data, b"not");
}

pub(crate) fn segments_arrive_as_datagrams_of_their_own(stage: &Stage) {
    let log = Log::default();
    let receiver = stage.bound(Probe::new(&log));
    let to = address(&receiver);
    let sender = stage.bound(Probe::new(&Log::default()));
    let data: Vec<u8> = (0..10_500_u32).map(|position| (position % 251) as u8).collect();
    sender.with(|_, transport| transport.send_segments(&data, 1000, Some(&to))).unwrap().unwrap();
    stage.run_until_received(&log, 11);
    stage.rest();
    let expected: Vec<Vec<u8>> = data.chunks(1000).map(<[u8]>::to_vec).collect();
    assert_eq!(log.received(), expected);
    assert!(sender.handle().send_segments(&data, 0, Some(&to)).unwrap_err().is_invalid());
    assert_eq!(sender.handle().statistics().sent, 11);
}

pub(crate) fn many_to_many_arrive_in_order(stage: &Stage) {
    let logs = [(); 4].map(|()| Log::default());
    let receivers: Vec<_> = logs.iter().map(|log| stage.bound(Probe::new(log))).collect();
    let to: Vec<Address> = receivers.iter().map(address).collect();
    let sender = stage.bound(Probe::new(&Log::default()));
    let sent = datagrams(80, 200);
    let many: Vec<(&[u8], &Address)> =
        sent.iter().zip(to.iter().cycle()).map(|(data, to)| (&data[..], to)).collect();
    let taken = sender.with(|_, transport| transport.send_many_to(&many)).unwrap().unwrap();
    assert_eq!(taken, 80);
    for (position, log) in logs.iter().enumerate() {
        stage.run_until_received(log, 20);
        let expected: Vec<_> = sent.iter().skip(position).step_by(4).cloned().collect();
        assert_eq!(log.received(), expected);
    }
}

pub(crate) fn more_than_a_callback_gathers_arrives(stage: &Stage) {
    let log = Log::default();
    let receiver = stage.bound(Probe::new(&log));
    let to = address(&receiver);
    let sender_log = Log::default();
    let sender = stage.connected(Probe::new(&sender_log), &to);
    let (size, count) = (4000, 100);
    sender
        .with(|_, transport| {
            transport.set_queue_limit(usize::MAX, wharf::DropPolicy::Newest);
            for position in 0..count {
                transport.send(&vec![position as u8; size]).unwrap();
            }
            // 256 KiB were gathered meanwhile, and handed over, or refused by a full receiver.
            let (sent, queued) = (transport.statistics().sent, transport.statistics().queued);
            assert!(sent + queued > 60, "{sent} sent, {queued} queued");
        })
        .unwrap();
    stage.run_until("everything is sent", || sender.handle().statistics().sent == count as u64);
    stage.rest();
    let drops = receiver.handle().receive_drops().unwrap_or(0) as usize;
    let received = log.received().len();
    if stage.joins_datagrams() {
        // Those that were joined are dropped as one.
        assert!(received + drops <= count && (drops > 0 || received == count));
    } else {
        assert_eq!(received + drops, count);
    }
    assert_eq!(sender_log.count(|event| matches!(event, Event::Error(_))), 0);
}
