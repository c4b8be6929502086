//! Tasks of one loop that let each other go on.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

use futures_lite::future::yield_now;

use super::contender::{Contender, Oneshot};

/// How many tasks yield where many do.
const YIELDING: u64 = 100;

/// One task lets others go first, of which there are none.
pub(super) async fn yield_alone<C: Contender>(_: C, count: u64) {
    for _ in 0..count {
        yield_now().await;
    }
}

/// The same in the library's own way.
pub(super) async fn yield_alone_its_way<C: Contender>(_: C, count: u64) {
    for _ in 0..count {
        C::yield_now().await;
    }
}

/// Many tasks let each other go first.
pub(super) async fn yield_in_turn<C: Contender>(contender: C, count: u64) {
    let each = count.div_ceil(YIELDING);
    let tasks: Vec<_> = (0..YIELDING.min(count))
        .map(|_| {
            contender.spawn(async move {
                for _ in 0..each {
                    yield_now().await;
                }
            })
        })
        .collect();
    for task in tasks {
        C::join(task).await;
    }
}

/// Two tasks wake each other in turn, with nothing between them but a cell.
pub(super) async fn wake<C: Contender>(contender: C, count: u64) {
    let baton = Rc::new(Baton::default());
    let tasks = [0, 1].map(|side| {
        let baton = Rc::clone(&baton);
        contender.spawn(async move {
            for _ in 0..count.div_ceil(2) {
                baton.mine(side).await;
                baton.pass(side);
            }
        })
    });
    for task in tasks {
        C::join(task).await;
    }
}

/// Whose turn it is, of two.
#[derive(Default)]
struct Baton {
    turn: Cell<usize>,
    wakers: [RefCell<Option<Waker>>; 2],
}

impl Baton {
    fn mine(&self, side: usize) -> impl Future<Output = ()> {
        poll_fn(move |context| {
            if self.turn.get() == side {
                return Poll::Ready(());
            }
            let mut waker = self.wakers[side].borrow_mut();
            if !waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
                *waker = Some(context.waker().clone());
            }
            Poll::Pending
        })
    }

    fn pass(&self, side: usize) {
        self.turn.set(1 - side);
        if let Some(waker) = &*self.wakers[1 - side].borrow() {
            waker.wake_by_ref();
        }
    }
}

/// What is sent: where the answer is to go; nothing when there is to be none.
struct Message<C: Contender, O: Oneshot<C>>(Option<O::Sender<Message<C, O>>>);

/// Two tasks send each other the channel for the answer: each time a channel is made, one task
/// waits on it, the other sends, and the first wakes up.
pub(super) async fn oneshot<C: Contender, O: Oneshot<C>>(contender: C, count: u64) {
    let (sender, receiver) = O::new(&contender);
    let answering = contender.spawn(answer::<C, O>(contender.clone(), receiver));
    let mut to = sender;
    for _ in 0..count / 2 {
        let (sender, receiver) = O::new(&contender);
        O::send(to, Message(Some(sender)));
        to = O::receive::<Message<C, O>>(receiver).await.0.expect("the other side goes on");
    }
    O::send(to, Message(None));
    C::join(answering).await;
}

async fn answer<C: Contender, O: Oneshot<C>>(contender: C, first: O::Receiver<Message<C, O>>) {
    let mut from = first;
    while let Message(Some(to)) = O::receive(from).await {
        let (sender, receiver) = O::new(&contender);
        O::send(to, Message(Some(sender)));
        from = receiver;
    }
}
