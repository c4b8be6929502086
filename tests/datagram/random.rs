//! Random sends, pauses, policies and ends over the in-memory driver: the books always balance.

use proptest::prelude::*;
use wharf::testing::{MemoryNetwork, settle};
use wharf::{Address, DatagramStatistics, DatagramTransport, DropPolicy, Endpoint, WaterMarks};

use crate::datagram_probe::{Event, Log, Probe};

/// What is done to one of the endpoints.
#[derive(Clone, Debug)]
enum Action {
    Send { to: usize, len: usize, times: usize, inside: bool },
    Pause,
    Resume,
    Policy(usize, u8),
    Marks(usize),
    Settle,
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        4 => (0usize..3, 0usize..900, 1usize..20, any::<bool>())
            .prop_map(|(to, len, times, inside)| Action::Send { to, len, times, inside }),
        1 => Just(Action::Pause),
        1 => Just(Action::Resume),
        1 => (0usize..6000, 0u8..3).prop_map(|(limit, policy)| Action::Policy(limit, policy)),
        1 => (0usize..3000).prop_map(Action::Marks),
        3 => Just(Action::Settle),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn books_balance_whatever_is_sent(
        unix in any::<bool>(),
        actions in prop::collection::vec((0usize..3, action()), 0..60),
    ) {
        balance(unix, &actions);
    }
}

fn balance(unix: bool, actions: &[(usize, Action)]) {
    let event_loop = MemoryNetwork::new().datagram_capacity(4000).event_loop();
    let logs = [(); 3].map(|()| Log::default());
    let endpoints: Vec<Endpoint<Probe>> = logs
        .iter()
        .enumerate()
        .map(|(number, log)| {
            // Every third datagram pauses its receiver in the middle of a batch.
            let mut count = 0;
            let probe = Probe::new(log).reacting(move |event, transport| {
                if let Event::Received(..) = event {
                    count += 1;
                    if count % 3 == 0 {
                        transport.pause_reading();
                    }
                }
                Ok(())
            });
            let builder = event_loop.create_datagram_endpoint(|| probe);
            let builder = match unix {
                true => builder.local_unix_address(format!("/{number}")),
                false => builder.local_address(format!("192.0.2.{number}:7")),
            };
            event_loop.run_until_complete(builder.start()).unwrap().unwrap()
        })
        .collect();
    let addresses: Vec<Address> =
        endpoints.iter().map(|endpoint| endpoint.handle().local_address().unwrap()).collect();
    let mut attempts = [0; 3];
    for (who, action) in actions {
        let endpoint = &endpoints[*who];
        match action {
            Action::Send { to, len, times, inside } => {
                attempts[*who] += *times as u64;
                let send = |transport: &dyn DatagramTransport| {
                    for _ in 0..*times {
                        transport.send_to(&vec![0; *len], &addresses[*to]).unwrap();
                    }
                };
                match inside {
                    true => endpoint.with(|_, transport| send(transport)).unwrap(),
                    false => send(endpoint.handle()),
                }
            }
            Action::Pause => endpoint.handle().pause_reading(),
            Action::Resume => endpoint.handle().resume_reading(),
            Action::Policy(limit, policy) => {
                let policies = [DropPolicy::Newest, DropPolicy::Oldest, DropPolicy::Refuse];
                endpoint.handle().set_queue_limit(*limit, policies[usize::from(*policy)]);
            }
            Action::Marks(high) => {
                endpoint.handle().set_write_buffer_limits(WaterMarks::from_high(*high)).unwrap();
            }
            Action::Settle => settle(&event_loop).unwrap(),
        }
        for (endpoint, attempts) in endpoints.iter().zip(attempts) {
            assert_eq!(attempts, accounted(&endpoint.handle().statistics()));
        }
    }
    // Everybody reads until nothing is left.
    let done = || {
        endpoints.iter().all(|endpoint| {
            endpoint.handle().is_reading() && endpoint.handle().write_buffer_size() == 0
        })
    };
    for _ in 0..100_000 {
        settle(&event_loop).unwrap();
        if done() {
            break;
        }
        endpoints.iter().for_each(|endpoint| endpoint.handle().resume_reading());
    }
    assert!(done(), "it does not come to rest");
    let all = |count: fn(&Endpoint<Probe>) -> u64| endpoints.iter().map(count).sum::<u64>();
    let sent = all(|endpoint| endpoint.handle().statistics().sent);
    let received = all(|endpoint| endpoint.handle().statistics().received);
    let drops = all(|endpoint| endpoint.handle().receive_drops().unwrap());
    assert_eq!(sent, received + drops);
    assert!(!unix || drops == 0, "senders of Unix datagrams wait");
    for (log, endpoint) in logs.iter().zip(&endpoints) {
        assert_eq!(log.received().len() as u64, endpoint.handle().statistics().received);
        let paused = log.count(|event| *event == Event::Paused);
        assert_eq!(paused, log.count(|event| *event == Event::Resumed));
        assert_eq!(log.errors(), 0);
    }
}

/// What became of all that was to be sent.
fn accounted(statistics: &DatagramStatistics) -> u64 {
    let DatagramStatistics { sent, queued, send_errors, dropped, refused, discarded, .. } =
        *statistics;
    sent + queued + send_errors + dropped + refused + discarded
}
