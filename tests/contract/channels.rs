//! Messages from other threads, with back-pressure.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use wharf::testing::settle;
use wharf::{EventLoop, RemoteReceiver, RemoteSendError, RemoteSender};

use crate::loops::memory_loop;
use crate::probes::{PATIENCE, complete, reports, run_forever};

/// A future that is polled once.
fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

fn message<T>(outcome: Result<(), RemoteSendError<T>>) -> T {
    outcome.unwrap_err().into_message()
}

#[test]
fn messages_arrive_in_the_order_of_each_thread_and_none_is_lost() {
    const EACH: usize = 5_000;
    let event_loop = EventLoop::new().unwrap();
    let (sender, mut receiver) = event_loop.create_channel(16);
    let threads: Vec<_> = (0..4)
        .map(|thread| {
            let sender: RemoteSender<(usize, usize)> = sender.clone();
            thread::spawn(move || {
                for number in 0..EACH {
                    assert!(sender.len() <= sender.capacity());
                    sender.send_blocking((thread, number)).unwrap();
                }
            })
        })
        .collect();
    drop(sender);
    let mut seen = [0; 4];
    complete(&event_loop, async {
        while let Some((thread, number)) = receiver.recv().await {
            assert_eq!(seen[thread], number, "out of order");
            seen[thread] += 1;
        }
    });
    assert_eq!(seen, [EACH; 4]);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn no_more_messages_are_alive_than_the_channel_and_its_senders_hold() {
    const CAPACITY: usize = 8;
    const SENDERS: usize = 4;
    struct Message(Arc<AtomicUsize>);
    impl Drop for Message {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::SeqCst);
        }
    }
    let event_loop = EventLoop::new().unwrap();
    let (sender, mut receiver) = event_loop.create_channel(CAPACITY);
    let alive = Arc::new(AtomicUsize::new(0));
    let threads: Vec<_> = (0..SENDERS)
        .map(|_| {
            let (sender, alive) = (sender.clone(), Arc::clone(&alive));
            thread::spawn(move || {
                for _ in 0..1000 {
                    alive.fetch_add(1, Ordering::SeqCst);
                    assert!(sender.send_blocking(Message(Arc::clone(&alive))).is_ok());
                }
            })
        })
        .collect();
    drop(sender);
    complete(&event_loop, async {
        while let Some(message) = receiver.recv().await {
            // Each sender has one in hand, and so has the receiver.
            assert!(alive.load(Ordering::SeqCst) <= CAPACITY + SENDERS + 1);
            drop(message);
        }
    });
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(alive.load(Ordering::SeqCst), 0);
}

#[test]
fn a_full_channel_gives_the_message_back_or_has_its_sender_wait_its_turn() {
    let event_loop = memory_loop();
    let (sender, mut receiver) = event_loop.create_channel(2);
    assert_eq!((sender.capacity(), sender.is_empty()), (2, true));
    sender.try_send("first").unwrap();
    sender.try_send("second").unwrap();
    let refused = sender.try_send("too much").unwrap_err();
    assert!(refused.is_full() && !refused.is_closed(), "{refused}");
    assert_eq!(refused.into_message(), "too much");
    let (mut third, mut fourth) = (sender.send("third"), sender.send("fourth"));
    assert!(poll_once(&mut third).is_pending());
    assert!(poll_once(&mut fourth).is_pending());
    assert_eq!(receiver.try_recv(), Some("first"));
    // Nobody goes past those who wait.
    assert!(sender.try_send("barges").unwrap_err().is_full());
    assert!(poll_once(&mut fourth).is_pending());
    assert!(is_sent(poll_once(&mut third)));
    for expected in ["second", "third", "fourth"] {
        assert_eq!(receiver.try_recv(), Some(expected));
    }
    assert!(is_sent(poll_once(&mut fourth)));
    assert_eq!(receiver.try_recv(), None);
    assert!(receiver.is_empty());
}

fn is_sent<T>(polled: Poll<Result<(), RemoteSendError<T>>>) -> bool {
    matches!(polled, Poll::Ready(Ok(())))
}

#[test]
fn a_send_that_is_dropped_sends_nothing_and_takes_nobodys_place() {
    let event_loop = memory_loop();
    let (sender, mut receiver) = event_loop.create_channel(1);
    let held = Arc::new(());
    sender.try_send(Arc::clone(&held)).unwrap();
    // Never polled, and polled.
    drop(sender.send(Arc::clone(&held)));
    let mut gives_up = sender.send(Arc::clone(&held));
    assert!(poll_once(&mut gives_up).is_pending());
    let last = Arc::new(());
    let mut stays = sender.send(Arc::clone(&last));
    assert!(poll_once(&mut stays).is_pending());
    drop(gives_up);
    assert_eq!(Arc::strong_count(&held), 2);
    drop(receiver.try_recv());
    assert_eq!(Arc::strong_count(&held), 1);
    assert!(poll_once(&mut stays).is_ready());
    // One that has been sent is not taken back by dropping the future.
    assert!(receiver.try_recv().is_some_and(|message| Arc::ptr_eq(&message, &last)));
    assert!(receiver.try_recv().is_none());
}

#[test]
fn a_receive_that_is_dropped_loses_no_message() {
    let event_loop = memory_loop();
    let (sender, mut receiver) = event_loop.create_channel(4);
    complete(&event_loop, async {
        for number in 0..100 {
            assert!(poll_once(&mut pin!(receiver.recv())).is_pending());
            sender.send(number).await.unwrap();
            drop(receiver.recv());
            assert_eq!(receiver.recv().await, Some(number));
        }
    });
}

#[test]
fn a_receiver_gets_what_is_there_when_the_last_sender_is_gone_and_then_none() {
    let event_loop = memory_loop();
    let (sender, mut receiver) = event_loop.create_channel(1);
    let other = sender.clone();
    sender.try_send(1).unwrap();
    // A message that waits is a sender, too.
    let mut waiting = other.send(2);
    assert!(poll_once(&mut waiting).is_pending());
    drop((sender, other));
    complete(&event_loop, async {
        assert_eq!(receiver.recv().await, Some(1));
        assert!(poll_once(&mut waiting).is_ready());
        drop(waiting);
        assert_eq!(receiver.recv().await, Some(2));
        assert_eq!(receiver.recv().await, None);
        assert_eq!(receiver.recv().await, None);
    });
}

#[test]
fn senders_learn_that_the_receiver_is_gone_and_get_their_messages_back() {
    for drops in [false, true] {
        let event_loop = memory_loop();
        let (sender, mut receiver) = event_loop.create_channel(1);
        sender.try_send(Box::new(1)).unwrap();
        let mut waiting = sender.send(Box::new(2));
        assert!(poll_once(&mut waiting).is_pending());
        assert!(!sender.is_closed());
        if drops {
            drop(receiver);
        } else {
            receiver.close();
            receiver.close();
            assert_eq!(receiver.try_recv().as_deref(), Some(&1), "what is there stays");
            assert_eq!(complete(&event_loop, receiver.recv()), None);
        }
        assert!(sender.is_closed());
        let Poll::Ready(Err(refused)) = poll_once(&mut waiting) else { panic!("it waits") };
        assert!(refused.is_closed() && wharf::Error::from(refused).is_closed());
        assert_eq!(*message(sender.try_send(Box::new(3))), 3);
        assert_eq!(*message(sender.send_blocking(Box::new(4))), 4);
        assert_eq!(*message(complete(&event_loop, sender.send(Box::new(5)))), 5);
    }
}

#[test]
fn threads_that_wait_for_room_are_told_when_the_loop_closes() {
    let event_loop = EventLoop::new().unwrap();
    // The receiver is kept, and yet nobody waits for a loop that is closed.
    let (sender, mut receiver) = event_loop.create_channel(1);
    sender.try_send(0).unwrap();
    let (begun, has_begun) = mpsc::channel();
    let threads: Vec<_> = (1..=4)
        .map(|number| {
            let (sender, begun) = (sender.clone(), begun.clone());
            thread::spawn(move || {
                begun.send(()).unwrap();
                sender.send_blocking(number)
            })
        })
        .collect();
    (0..4).for_each(|_| has_begun.recv_timeout(PATIENCE).unwrap());
    event_loop.close().unwrap();
    for (thread, number) in threads.into_iter().zip(1..) {
        let refused = thread.join().unwrap().unwrap_err();
        assert!(refused.is_closed(), "{refused}");
        assert_eq!(refused.into_message(), number);
    }
    assert_eq!(complete(&memory_loop(), receiver.recv()), Some(0));
    assert_eq!(complete(&memory_loop(), receiver.recv()), None);
    let (late, _receiver) = event_loop.create_channel(1);
    assert!(late.try_send(9).unwrap_err().is_closed());
}

#[test]
fn the_loops_own_thread_does_not_wait_for_itself() {
    let event_loop = memory_loop();
    let (sender, mut receiver) = event_loop.create_channel(1);
    sender.send_blocking(1).unwrap();
    let refused = sender.send_blocking(2).unwrap_err();
    assert!(refused.is_invalid(), "{refused}");
    assert!(wharf::Error::from(refused).is_invalid());
    assert_eq!(receiver.try_recv(), Some(1));
}

#[test]
fn a_message_can_be_sent_from_another_loop_and_from_any_executor() {
    let event_loop = EventLoop::new().unwrap();
    let (sender, receiver) = event_loop.create_channel(2);
    let thread = thread::spawn(move || {
        let other = EventLoop::new().unwrap();
        complete(&other, async {
            for number in 0..1000 {
                sender.send(number).await.unwrap();
            }
        });
    });
    let sum = Rc::new(Cell::new(0));
    let (added, stopper) = (Rc::clone(&sum), event_loop.clone());
    let receiving = receiver.on_message(move |number| {
        added.set(added.get() + number);
        if number == 999 {
            stopper.stop();
        }
    });
    run_forever(&event_loop);
    assert_eq!(sum.get(), 499_500);
    thread.join().unwrap();
    complete(&event_loop, receiving).unwrap();
}

#[test]
fn a_callback_for_messages_may_panic_send_and_end_the_channel() {
    let event_loop = memory_loop();
    let reports = reports(&event_loop);
    let (sender, receiver) = event_loop.create_channel(8);
    let seen = Rc::new(RefCell::new(Vec::new()));
    let (noted, again) = (Rc::clone(&seen), RefCell::new(Some(sender.clone())));
    let receiving = receiver.on_message(move |number: u32| {
        noted.borrow_mut().push(number);
        match number {
            1 => panic!("on purpose"),
            // The last sender goes from inside.
            2 => again.borrow_mut().take().unwrap().try_send(3).unwrap(),
            _ => {}
        }
    });
    sender.try_send(1).unwrap();
    sender.try_send(2).unwrap();
    drop(sender);
    complete(&event_loop, receiving).unwrap();
    settle(&event_loop).unwrap();
    assert_eq!(*seen.borrow(), [1, 2, 3]);
    assert_eq!(reports.entries(), ["a callback for messages panicked: on purpose"]);
}

#[test]
fn cancelling_a_callback_for_messages_closes_the_channel() {
    let event_loop = memory_loop();
    let (sender, receiver) = event_loop.create_channel(8);
    let held = Arc::new(());
    let receiving = receiver.on_message(|_| unreachable!("it is cancelled"));
    sender.try_send(Arc::clone(&held)).unwrap();
    receiving.cancel();
    settle(&event_loop).unwrap();
    assert!(sender.is_closed());
    assert_eq!(Arc::strong_count(&held), 1);
}

#[test]
fn messages_that_were_not_received_are_dropped_on_the_loops_thread_one_by_one() {
    struct Message {
        sender: RemoteSender<Message>,
        drops: Arc<AtomicUsize>,
        panics: bool,
    }
    impl Drop for Message {
        fn drop(&mut self) {
            self.drops.fetch_add(1, Ordering::SeqCst);
            // Nothing is locked: it may use the channel.
            assert!(self.sender.is_closed() && self.sender.is_empty());
            assert!(!self.panics, "in its drop");
        }
    }
    let event_loop = memory_loop();
    let reports = reports(&event_loop);
    let (sender, receiver) = event_loop.create_channel(8);
    let drops = Arc::new(AtomicUsize::new(0));
    for number in 0..4 {
        let message =
            Message { sender: sender.clone(), drops: Arc::clone(&drops), panics: number == 1 };
        assert!(sender.try_send(message).is_ok());
    }
    drop(receiver);
    assert_eq!(drops.load(Ordering::SeqCst), 4);
    assert_eq!(reports.entries(), ["dropping a message panicked: in its drop"]);
}

#[test]
fn senders_without_end_keep_the_loop_from_nothing() {
    let event_loop = EventLoop::new().unwrap();
    let (sender, receiver) = event_loop.create_channel(1 << 16);
    let threads: Vec<_> = (0..2)
        .map(|_| {
            let sender = sender.clone();
            thread::spawn(move || while sender.send_blocking(()).is_ok() {})
        })
        .collect();
    let receiving: RemoteReceiver<()> = receiver;
    let receiving = receiving.on_message(|()| {});
    complete(&event_loop, async {
        for _ in 0..20 {
            wharf::sleep(Duration::from_millis(1)).await;
        }
    });
    receiving.cancel();
    settle(&event_loop).unwrap();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn a_receiver_in_a_row_gives_others_their_turn() {
    let event_loop = memory_loop();
    let (sender, mut receiver) = event_loop.create_channel(1000);
    for number in 0..1000 {
        sender.try_send(number).unwrap();
    }
    let turns = Rc::new(Cell::new(0));
    let counted = Rc::clone(&turns);
    let other = event_loop.create_task(async move {
        loop {
            counted.set(counted.get() + 1);
            wharf::yield_now().await;
        }
    });
    complete(&event_loop, async {
        for number in 0..1000 {
            assert_eq!(receiver.recv().await, Some(number));
        }
    });
    assert!((7..=9).contains(&turns.get()), "{}", turns.get());
    drop::<wharf::Task<()>>(other);
}

#[cfg(target_os = "linux")]
#[test]
fn many_messages_cost_one_wake_up() {
    let event_loop = EventLoop::new().unwrap();
    let (sender, mut receiver) = event_loop.create_channel(10_000);
    complete(&event_loop, async {
        // The receiver waits.
        poll_fn(|context| {
            assert!(receiver.poll_recv(context).is_pending());
            Poll::Ready(())
        })
        .await;
        let writes = thread::spawn(move || {
            let before = crate::threads::writes_of_this_thread();
            for number in 0..10_000 {
                sender.try_send(number).unwrap();
            }
            crate::threads::writes_of_this_thread() - before
        });
        assert!(writes.join().unwrap() <= 1);
        let mut received = 0;
        while receiver.recv().await.is_some() {
            received += 1;
        }
        assert_eq!(received, 10_000);
    });
}

#[test]
fn senders_receivers_and_sends_that_come_and_go_under_load_lose_nothing() {
    const EACH: usize = 300;
    let event_loop = EventLoop::new().unwrap();
    let (sender, mut receiver) = event_loop.create_channel(3);
    let sent = Arc::new(AtomicUsize::new(0));
    let threads: Vec<_> = (0..4)
        .map(|thread| {
            let (sender, sent) = (sender.clone(), Arc::clone(&sent));
            thread::spawn(move || {
                for number in 0..EACH {
                    let own = sender.clone();
                    let count =
                        |sent_now: bool| sent.fetch_add(usize::from(sent_now), Ordering::SeqCst);
                    match (thread + number) % 4 {
                        0 => count(own.try_send(number).is_ok()),
                        1 => count(own.send_blocking(number).is_ok()),
                        2 => {
                            // Given up after one poll: sent at once or later or never.
                            let mut send = own.send(number);
                            match poll_once(&mut send) {
                                Poll::Ready(outcome) => count(outcome.is_ok()),
                                Poll::Pending => {
                                    thread::yield_now();
                                    count(is_sent(poll_once(&mut send)))
                                }
                            }
                        }
                        _ => count(own.send_blocking(number).is_ok()),
                    };
                }
            })
        })
        .collect();
    drop(sender);
    let received = Rc::new(Cell::new(0));
    let counted = Rc::clone(&received);
    let receiving = event_loop.create_task(async move {
        while receiver.recv().await.is_some() {
            counted.set(counted.get() + 1);
        }
    });
    complete(&event_loop, receiving).unwrap();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    // One that is sent between its last poll and its drop is received without having been counted.
    assert!(received.get() >= sent.load(Ordering::SeqCst));
    assert!(sent.load(Ordering::SeqCst) >= 2 * EACH);
}
