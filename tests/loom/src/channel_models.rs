//! The channel: no message is lost or doubled, nobody waits for what is there, and no order is broken.

use std::sync::Arc;
use std::task::{Poll, Wake, Waker};

use loom::sync::{Condvar, Mutex};
use loom::thread;

use crate::channel::queue::{Queue, Sent, Waited};
use crate::model;

/// Who waits: a loop in its poll, a thread that has parked.
struct Parker {
    is_woken: Mutex<bool>,
    condition: Condvar,
}

impl Parker {
    fn new() -> (Arc<Self>, Waker) {
        let parker = Arc::new(Self { is_woken: Mutex::new(false), condition: Condvar::new() });
        let waker = Waker::from(Arc::clone(&parker));
        (parker, waker)
    }

    /// Waits to be woken. A wake-up before ends it.
    fn park(&self) {
        let mut is_woken = self.is_woken.lock().unwrap();
        while !*is_woken {
            is_woken = self.condition.wait(is_woken).unwrap();
        }
        *is_woken = false;
    }
}

impl Wake for Parker {
    fn wake(self: Arc<Self>) {
        *self.is_woken.lock().unwrap() = true;
        self.condition.notify_one();
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// What `RemoteSender::send_blocking` does; whether it was sent.
fn send(queue: &Queue<u32>, message: u32) -> Result<(), u32> {
    let message = match queue.try_send(message) {
        Sent::Queued(receiver) => {
            wake(receiver);
            return Ok(());
        }
        Sent::Closed(message) => return Err(message),
        Sent::Full(message) => message,
    };
    let (parker, waker) = Parker::new();
    let number = match queue.send_or_wait(message, waker.clone()) {
        Ok(Sent::Queued(receiver)) => {
            wake(receiver);
            return Ok(());
        }
        Ok(Sent::Closed(message) | Sent::Full(message)) => return Err(message),
        Err(number) => number,
    };
    loop {
        match queue.look(number, &waker) {
            Waited::Sent => return Ok(()),
            Waited::Closed(message) => return Err(message),
            Waited::Waits(former) => {
                drop(former);
                parker.park();
            }
        }
    }
}

/// What `RemoteReceiver::recv` does.
fn receive(queue: &Queue<u32>, (parker, waker): &(Arc<Parker>, Waker)) -> Option<u32> {
    loop {
        match queue.receive_or_wait(waker).0 {
            Poll::Ready(Some((message, sender))) => {
                wake(sender);
                return Some(message);
            }
            Poll::Ready(None) => return None,
            Poll::Pending => parker.park(),
        }
    }
}

fn end(queue: &Queue<u32>) {
    wake(queue.remove_sender());
}

#[test]
fn what_two_threads_send_arrives_once_in_the_order_of_each_and_then_the_end() {
    model(|| {
        let queue = Arc::new(Queue::new(1));
        queue.add_sender();
        for messages in [&[1, 2][..], &[10]] {
            let queue = Arc::clone(&queue);
            thread::spawn(move || {
                messages.iter().for_each(|message| send(&queue, *message).unwrap());
                end(&queue);
            });
        }

        let receiver = Parker::new();
        let mut received = Vec::new();
        while let Some(message) = receive(&queue, &receiver) {
            assert!(queue.len() <= queue.capacity());
            received.push(message);
        }

        let (first, second): (Vec<_>, Vec<_>) = received.into_iter().partition(|one| *one < 10);
        assert_eq!((first, second), (vec![1, 2], vec![10]));
    });
}

#[test]
fn a_message_is_received_or_comes_back_when_the_receiver_closes_the_channel() {
    model(|| {
        let queue = Arc::new(Queue::new(1));
        queue.add_sender();
        let threads = [1, 2].map(|message| {
            let queue = Arc::clone(&queue);
            thread::spawn(move || {
                let sent = send(&queue, message);
                end(&queue);
                sent
            })
        });

        let receiver = Parker::new();
        let mut received: Vec<u32> = receive(&queue, &receiver).into_iter().collect();
        queue.close().into_iter().for_each(Waker::wake);
        assert!(queue.is_closed());
        while let Poll::Ready(Some((message, nobody))) = queue.try_receive() {
            assert!(nobody.is_none(), "nothing is taken any more");
            received.push(message);
        }

        for (message, thread) in [1, 2].into_iter().zip(threads) {
            let sent = thread.join().unwrap();
            assert_eq!(received.contains(&message), sent.is_ok(), "{message}");
            assert_eq!(sent.err().unwrap_or(message), message);
        }
    });
}

#[test]
fn a_send_that_is_given_up_leaves_its_place_to_the_next() {
    model(|| {
        let queue = Arc::new(Queue::new(1));
        queue.add_sender();
        send(&queue, 1).unwrap();
        let gives_up = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || {
                let (_, waker) = Parker::new();
                let taken_back = match queue.send_or_wait(2, waker) {
                    Err(number) => queue.take_back(number).map(|(message, _)| message),
                    Ok(Sent::Queued(receiver)) => {
                        wake(receiver);
                        None
                    }
                    Ok(_) => unreachable!("nobody closes it"),
                };
                end(&queue);
                taken_back
            })
        };
        let waits = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || {
                send(&queue, 3).unwrap();
                end(&queue);
            })
        };

        let receiver = Parker::new();
        let mut received = Vec::new();
        while let Some(message) = receive(&queue, &receiver) {
            received.push(message);
        }

        assert!(queue.take_all().is_empty());
        waits.join().unwrap();
        let taken_back = gives_up.join().unwrap();
        received.sort_unstable();
        assert_eq!(received, if taken_back.is_some() { vec![1, 3] } else { vec![1, 2, 3] });
    });
}
