//! Requests and their answers.

use std::cell::{Cell, RefCell};
use std::future::{Future as _, poll_fn};
use std::rc::Rc;
use std::time::Duration;

use wharf::testing::{advance, pair};
use wharf::{Error, Protocol, Requests, RequestsById, Result, Transport};

use crate::loops::{memory_loop, settle};
use crate::probes::Log;

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
fn a_closed_loop_takes_no_requests() {
    let event_loop = memory_loop();
    let (requests, by_id) =
        (Requests::<()>::new(&event_loop), RequestsById::<_, ()>::new(&event_loop));
    event_loop.close().unwrap();
    assert!(requests.begin().unwrap_err().is_closed());
    assert!(by_id.begin("tea").unwrap_err().is_closed());
    assert!(requests.is_empty() && by_id.is_empty());
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

/// Not all, of whom all but one would wait again.
#[test]
fn an_answer_wakes_a_few_of_those_who_wait_for_room() {
    const MANY: u32 = 1000;
    let event_loop = memory_loop();
    let requests = Requests::new(&event_loop).limit(1);
    let first = requests.begin().unwrap();
    let (log, polls) = (Log::default(), Rc::new(Cell::new(0)));
    for number in 0..MANY {
        let (requests, log, polls) = (requests.clone(), log.clone(), Rc::clone(&polls));
        let ask = async move {
            let mut room = Box::pin(requests.room());
            poll_fn(|context| {
                polls.set(polls.get() + 1);
                room.as_mut().poll(context)
            })
            .await
            .unwrap();
            log.add(number.to_string());
            requests.begin().unwrap().await.unwrap();
        };
        event_loop.create_task(ask).detach();
    }
    settle(&event_loop).unwrap();
    for _ in 0..=MANY {
        requests.answer(()).unwrap();
        settle(&event_loop).unwrap();
    }
    drop(first);
    let expected: Vec<String> = (0..MANY).map(|number| number.to_string()).collect();
    assert_eq!(log.take(), expected, "in the order in which they came");
    assert!(polls.get() < 20 * MANY, "{} polls", polls.get());
}

#[test]
fn a_request_that_is_forgotten_frees_its_id_and_its_room() {
    let event_loop = memory_loop();
    let requests = RequestsById::new(&event_loop).limit(1).deadline(SECOND);
    assert!(!requests.forget(&7), "there is none");
    let late = requests.begin(7).unwrap();
    advance(&event_loop, SECOND).unwrap();
    assert!(late.take_result().unwrap().unwrap_err().is_timeout());
    assert!(requests.begin(8).unwrap_err().is_queue_full(), "its answer may still come");
    let mut room = Box::pin(requests.room());
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(room.as_mut().poll(&mut context).is_pending());
    assert!(requests.forget(&7));
    assert!(room.as_mut().poll(&mut context).is_ready());
    let again = requests.begin(7).unwrap();
    assert!(requests.forget(&7) && requests.is_empty());
    assert!(again.take_result().unwrap().unwrap_err().is_cancelled());
    assert!(requests.answer(&7, ()).unwrap_err().is_protocol_violation());
}

#[test]
fn room_that_nobody_takes_is_offered_to_the_next() {
    let event_loop = memory_loop();
    let requests = Requests::new(&event_loop).limit(1);
    let first = requests.begin().unwrap();
    let log = Log::default();
    let mut waiting = Vec::new();
    for name in ["gives up", "goes on without a request", "asks", "waits"] {
        let (requests, log) = (requests.clone(), log.clone());
        waiting.push(event_loop.create_task(async move {
            requests.room().await.unwrap();
            log.add(name);
            if name == "asks" {
                requests.begin().unwrap().await.unwrap();
            }
        }));
    }
    settle(&event_loop).unwrap();
    requests.answer(()).unwrap();
    // It was told, and does not look any more.
    drop(waiting.remove(0));
    settle(&event_loop).unwrap();
    assert_eq!(log.take(), ["goes on without a request", "asks"]);
    let requests = requests.limit(2);
    settle(&event_loop).unwrap();
    assert_eq!(log.take(), ["waits"], "a higher limit is room, too");
    requests.answer(()).unwrap();
    settle(&event_loop).unwrap();
    assert!(waiting.iter().all(wharf::Task::is_done) && requests.is_empty());
    drop(first);
}

/// An id that uses the list when it is cloned and dropped, and panics when it is told to.
struct Id {
    number: u32,
    shared: Rc<IdShared>,
}

#[derive(Default)]
struct IdShared {
    requests: RefCell<Option<RequestsById<Id, u32>>>,
    begins_itself: Cell<bool>,
    panics: Cell<bool>,
}

impl Id {
    /// Uses the list in each way.
    fn use_list(&self) {
        let requests = self.shared.requests.borrow().clone();
        if let (1.., Some(requests)) = (self.number, requests) {
            let id = || Id { number: 0, shared: Rc::clone(&self.shared) };
            let is_open = requests.begin(id()).is_ok();
            assert_eq!(requests.answer(&id(), 0).is_ok(), is_open);
            assert!(requests.answer(&id(), 0).is_err());
        }
    }
}

impl Clone for Id {
    fn clone(&self) -> Self {
        self.use_list();
        let clone = || Self { number: self.number, shared: Rc::clone(&self.shared) };
        let requests = self.shared.requests.borrow().clone();
        if let (1.., Some(requests)) = (self.number, requests)
            && self.shared.begins_itself.take()
        {
            drop(requests.begin(clone()).unwrap());
        }
        clone()
    }
}

impl Drop for Id {
    fn drop(&mut self) {
        self.use_list();
        if self.number > 0 && self.shared.panics.get() {
            panic!("an id that panics");
        }
    }
}

impl Ord for Id {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.number.cmp(&other.number)
    }
}

impl PartialOrd for Id {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Id {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Id {}

#[test]
fn ids_may_use_the_list_and_panic_when_they_are_dropped() {
    for panics in [false, true] {
        let event_loop = memory_loop();
        let reports = crate::probes::reports(&event_loop);
        let requests = RequestsById::new(&event_loop).deadline(SECOND);
        let shared = Rc::new(IdShared::default());
        *shared.requests.borrow_mut() = Some(requests.clone());
        let id = |number| std::mem::ManuallyDrop::new(Id { number, shared: Rc::clone(&shared) });
        let mut answers = Vec::new();
        for number in 1..=9 {
            let id = std::mem::ManuallyDrop::into_inner(id(number));
            answers.push(requests.begin(id).unwrap());
        }
        shared.panics.set(panics);
        for number in [9, 2, 1] {
            requests.answer(&id(number), number).unwrap();
        }
        settle(&event_loop).unwrap();
        assert_eq!(answers.iter().filter(|answer| answer.is_done()).count(), 3);
        advance(&event_loop, SECOND).unwrap();
        assert!(answers.iter().all(wharf::LoopFuture::is_done), "the others are late");
        requests.end(None);
        *shared.requests.borrow_mut() = None;
        drop(requests);
        settle(&event_loop).unwrap();
        for (answer, number) in answers.into_iter().zip(1..) {
            match (number, answer.take_result().unwrap()) {
                (1 | 2 | 9, result) => assert_eq!(result.unwrap(), number),
                (_, result) => assert!(result.unwrap_err().is_timeout()),
            }
        }
        assert_eq!(reports.take().is_empty(), !panics);
    }
}

#[test]
fn an_id_that_begins_itself_while_it_is_cloned_waits_already() {
    let event_loop = memory_loop();
    let requests = RequestsById::new(&event_loop);
    let shared = Rc::new(IdShared::default());
    *shared.requests.borrow_mut() = Some(requests.clone());
    let id = || Id { number: 7, shared: Rc::clone(&shared) };
    shared.begins_itself.set(true);
    assert!(requests.begin(id()).unwrap_err().is_invalid());
    assert_eq!(requests.len(), 1, "it is the one that was begun meanwhile");
    requests.answer(&id(), 1).unwrap();
    *shared.requests.borrow_mut() = None;
}
