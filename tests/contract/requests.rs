//! Requests and their answers.

use std::time::Duration;

use wharf::testing::{advance, pair, settle};
use wharf::{Error, Protocol, Requests, RequestsById, Result, Transport};

use crate::probes::{Log, memory_loop};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn answers_go_to_the_requests_in_their_order_or_by_their_ids() {
    let event_loop = memory_loop();
    let requests = Requests::new(&event_loop);
    let answers = [requests.begin().unwrap(), requests.begin().unwrap(), requests.begin().unwrap()];
    assert_eq!(requests.len(), 3);
    requests.answer("first").unwrap();
    requests.fail("the second has none").unwrap();
    requests.answer("third").unwrap();
    assert!(requests.is_empty());
    let [first, second, third] = answers.map(|answer| answer.take_result().unwrap());
    assert_eq!((first.unwrap(), third.unwrap()), ("first", "third"));
    assert_eq!(second.unwrap_err().to_string(), "the second has none");
    assert!(requests.answer("fourth").unwrap_err().is_protocol_violation());

    let requests = RequestsById::new(&event_loop);
    let (tea, milk) = (requests.begin("tea").unwrap(), requests.begin("milk").unwrap());
    assert!(requests.begin("tea").unwrap_err().is_invalid());
    requests.answer(&"milk", 2).unwrap();
    requests.answer(&"tea", 1).unwrap();
    assert!(requests.answer(&"tea", 3).unwrap_err().is_protocol_violation());
    assert_eq!((tea.take_result().unwrap().unwrap(), milk.take_result().unwrap().unwrap()), (1, 2));
    // The id is free again.
    drop(requests.begin("tea").unwrap());
}

#[test]
fn a_request_that_nobody_waits_for_keeps_its_place_until_its_answer_comes() {
    let event_loop = memory_loop();
    let requests = Requests::new(&event_loop).limit(2);
    let first = requests.begin().unwrap();
    let second = requests.begin().unwrap();
    assert!(requests.begin().unwrap_err().is_queue_full());
    drop(first);
    assert!(requests.begin().unwrap_err().is_queue_full(), "its answer is to come");
    requests.answer(1).unwrap();
    requests.answer(2).unwrap();
    assert_eq!(second.take_result().unwrap().unwrap(), 2);
    drop(requests.begin().unwrap());
}

#[test]
fn whoever_waits_for_room_goes_on_when_an_answer_comes_or_the_connection_ends() {
    let event_loop = memory_loop();
    let log = Log::default();
    let requests = Requests::new(&event_loop).limit(1);
    let first = requests.begin().unwrap();
    for name in ["one", "two"] {
        let (requests, log) = (requests.clone(), log.clone());
        event_loop
            .create_task(async move {
                let outcome = requests.room().await;
                log.add(format!("{name} {}", outcome.is_ok()));
                if outcome.is_ok() {
                    requests.begin().unwrap().detach();
                }
            })
            .detach();
    }
    settle(&event_loop).unwrap();
    assert_eq!(log.len(), 0);
    requests.answer(1).unwrap();
    settle(&event_loop).unwrap();
    assert_eq!(log.take(), ["one true"], "there was room for one");
    requests.end(None);
    settle(&event_loop).unwrap();
    assert_eq!(log.take(), ["two false"]);
    drop(first);
}

#[test]
fn a_deadline_fails_its_request_and_leaves_the_others_in_their_places() {
    let event_loop = memory_loop();
    let requests = Requests::new(&event_loop).deadline(10 * SECOND);
    let early = requests.begin().unwrap();
    advance(&event_loop, 5 * SECOND).unwrap();
    let late = requests.begin().unwrap();
    assert_eq!(event_loop.statistics().timers, 1, "one for all");
    advance(&event_loop, 5 * SECOND).unwrap();
    let error = early.take_result().unwrap().unwrap_err();
    assert_eq!(error.timeout_kind(), Some(wharf::TimeoutKind::Answer));
    assert!(!late.is_done());
    // The late answer of the first is not the second one's.
    requests.answer("of the first").unwrap();
    assert!(!late.is_done());
    requests.answer("of the second").unwrap();
    assert_eq!(late.take_result().unwrap().unwrap(), "of the second");
    assert_eq!(event_loop.statistics().timers, 0, "nothing is due");

    // Answered in time, again and again: deadlines do not pile up.
    for _ in 0..10_000 {
        let answer = requests.begin().unwrap();
        requests.answer("at once").unwrap();
        assert!(answer.is_done());
    }
    assert_eq!(event_loop.statistics().timers, 0);
}

#[test]
fn the_end_of_the_connection_fails_whoever_waits_with_its_error() {
    struct Client(Requests<u8>);

    impl Protocol for Client {
        fn data_received(&mut self, _: &dyn Transport, data: &[u8]) -> Result {
            data.iter().try_for_each(|&answer| Ok(self.0.answer(answer)?))
        }

        fn connection_lost(&mut self, _: &dyn Transport, error: Option<&Error>) -> Result {
            self.0.end(error);
            Ok(())
        }
    }

    let event_loop = memory_loop();
    let requests = Requests::new(&event_loop);
    let record = wharf::testing::Record::new();
    let (_near, far) = pair(&event_loop, 64, Client(requests.clone()), record.protocol()).unwrap();
    let (answered, first, second) =
        (requests.begin().unwrap(), requests.begin().unwrap(), requests.begin().unwrap());
    far.write(&[42]);
    settle(&event_loop).unwrap();
    assert_eq!(answered.take_result().unwrap().unwrap(), 42);
    // More answers than questions break the protocol: the connection's error is everybody's.
    far.write(&[1]);
    settle(&event_loop).unwrap();
    assert_eq!(first.take_result().unwrap().unwrap(), 1);
    far.close();
    settle(&event_loop).unwrap();
    assert!(second.take_result().unwrap().unwrap_err().is_closed());
    assert!(requests.begin().unwrap_err().is_closed());

    let requests = RequestsById::<u8, ()>::new(&event_loop);
    let waiting = requests.begin(1).unwrap();
    drop(requests);
    assert!(waiting.take_result().unwrap().unwrap_err().is_closed(), "nobody can answer any more");
}
