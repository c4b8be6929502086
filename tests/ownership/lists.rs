//! What is taken back leaves no trace in the list that it was in.

use std::cell::RefCell;
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Waker};
use std::time::Duration;

use allocation_counter::measure;
use wharf::testing::{MemoryNetwork, settle};
use wharf::{
    CancelScope, CapacityLimiter, EventLoop, ProcessProtocol, Protocol, RateGroup, RateLimit,
    Ready, Result, Scope, Transport, signal,
};

use crate::alone;
use crate::serving::{Directory, Echo};

/// How often something is put in a list and taken back.
const TIMES: usize = 2_000;

/// A list may keep the room of its fullest moment, and that is one entry.
const MOST_BYTES: i64 = 2_048;

/// Does it some times, for what is there from the first time on, then counts what the rest leaves.
#[track_caller]
fn leaves_nothing(what: &str, mut once: impl FnMut()) {
    (0..50).for_each(|_| once());
    let info = measure(|| (0..TIMES).for_each(|_| once()));
    assert!(info.bytes_current < MOST_BYTES, "{what}, {TIMES} times: {info:?}");
}

fn in_memory() -> EventLoop {
    MemoryNetwork::new().event_loop()
}

#[test]
fn done_callbacks_that_are_taken_back_leave_nothing() {
    let event_loop = in_memory();
    let (_promise, shutdown) = event_loop.create_future::<()>();
    leaves_nothing("a done callback", || shutdown.add_done_callback(|_| {}).cancel());
    // Beside others that stay, and in any order.
    let _others: Vec<_> = (0..10).map(|_| shutdown.add_done_callback(|_| {})).collect();
    leaves_nothing("two done callbacks", || {
        let (one, two) = (shutdown.add_done_callback(|_| {}), shutdown.add_done_callback(|_| {}));
        one.cancel();
        two.cancel();
    });
}

#[test]
fn waiters_that_give_up_leave_nothing() {
    let _alone = alone();
    let event_loop = EventLoop::new().expect("a loop");
    let directory = Directory::new();
    event_loop
        .run(async |event_loop| {
            let server = event_loop.create_server(|| Echo, "127.0.0.1:0").await?;
            leaves_nothing("waiting for a server's end", || drop(server.wait_closed()));
            let path = directory.join("control");
            let offer = event_loop.offer_handover(path, [("echo", &server)]).await?;
            leaves_nothing("waiting for a successor", || drop(offer.taken()));
            struct Child;
            impl ProcessProtocol for Child {
                fn pipe_data_received(
                    &mut self,
                    _: &dyn wharf::ProcessTransport,
                    _: wharf::ChildFd,
                    _: &[u8],
                ) -> Result {
                    Ok(())
                }
            }
            let child = event_loop.subprocess_exec(|| Child, "cat").await?;
            leaves_nothing("waiting for a child's exit", || drop(child.wait()));
            Ok(())
        })
        .expect("no error");
}

#[test]
fn callbacks_timers_and_tasks_that_are_cancelled_leave_nothing() {
    let event_loop = in_memory();
    leaves_nothing("a callback", || {
        event_loop.call_soon(|| {}).cancel();
        settle(&event_loop).expect("the loop runs");
    });
    leaves_nothing("a timer", || event_loop.call_later(Duration::from_secs(9), || {}).cancel());
    leaves_nothing("a task", || {
        drop(event_loop.create_task(std::future::pending::<()>()));
        settle(&event_loop).expect("the loop runs");
    });
    leaves_nothing("a future", || drop(event_loop.create_future::<u32>()));
    leaves_nothing("a job", || {
        drop(event_loop.run_in_executor(|| {}));
        settle(&event_loop).expect("the loop runs");
    });
    let limiter = CapacityLimiter::new(&event_loop, 0);
    leaves_nothing("waiting for a token", || drop(limiter.acquire()));
    leaves_nothing("a job that waits for a token", || {
        drop(event_loop.create_job(|_| ()).limiter(&limiter).start());
        settle(&event_loop).expect("the loop runs");
    });
    leaves_nothing("a channel", || drop(event_loop.create_channel::<u32>(4)));
    let (sender, _receiver) = event_loop.create_channel(1);
    sender.try_send(1).expect("room");
    leaves_nothing("a message that waits", || {
        let mut waiting = sender.send(2);
        let context = &mut Context::from_waker(Waker::noop());
        assert!(Pin::new(&mut waiting).poll(context).is_pending());
    });
    let remote = event_loop.remote();
    leaves_nothing("a task of another thread", || {
        drop(remote.spawn(async |_| std::future::pending::<()>().await));
        settle(&event_loop).expect("the loop runs");
    });
    leaves_nothing("a call of another thread", || {
        let handle = remote.call_soon_threadsafe(|_| {}).expect("an open loop");
        handle.cancel();
        settle(&event_loop).expect("the loop runs");
    });
}

#[test]
fn groups_scopes_and_deadlines_that_are_given_up_leave_nothing() {
    let event_loop = in_memory();
    let give_up = |future: std::pin::Pin<Box<dyn Future<Output = ()>>>| {
        let task = event_loop.create_task(future);
        settle(&event_loop).expect("the loop runs");
        drop(task);
        settle(&event_loop).expect("the loop runs");
    };
    let (own, long) = (event_loop.clone(), Duration::from_secs(9));
    leaves_nothing("a timeout", || {
        let limited = own.timeout(long, std::future::pending::<()>());
        give_up(Box::pin(async { drop(limited.await) }));
    });
    // In one scope that stays, beside another future.
    let scope = event_loop.cancel_scope();
    scope.reschedule_after(long);
    let run = |scope: CancelScope| async move {
        scope.run(std::future::pending::<()>()).await;
    };
    let _other = event_loop.create_task(run(scope.clone()));
    leaves_nothing("a run in a cancel scope", || give_up(Box::pin(run(scope.clone()))));
    leaves_nothing("moving a deadline", || assert!(scope.reschedule_after(long)));
    leaves_nothing("a periodic callback", || own.call_every(long, || {}).cancel());
    leaves_nothing("a group", || {
        let group = own.task_group(async |group| {
            group.spawn(std::future::pending::<Result>());
            group.start(async |_ready: Ready<()>| std::future::pending().await).await?;
            Ok(())
        });
        give_up(Box::pin(async { drop(group.await) }));
    });
    leaves_nothing("a scope", || {
        let scope = own.scope(async |scope| {
            scope.spawn(std::future::pending::<Result>()).await?;
            Ok(())
        });
        give_up(Box::pin(async { drop(scope.await) }));
    });
    // In one group and one scope that stay.
    let (group, own) = (Rc::new(RefCell::new(None)), event_loop.clone());
    let kept = Rc::clone(&group);
    let _staying = event_loop.create_task(own.task_group(async move |group| {
        *kept.borrow_mut() = Some(group);
        std::future::pending::<Result>().await
    }));
    let (inner, kept) = (Rc::new(RefCell::new(None)), event_loop.clone());
    let keeps = Rc::clone(&inner);
    let _staying_too = event_loop.create_task(kept.scope(async move |scope: Scope<'static>| {
        *keeps.borrow_mut() = Some(scope);
        std::future::pending::<Result>().await
    }));
    settle(&event_loop).expect("the loop runs");
    let (group, scope) = (group.take().expect("a group"), inner.take().expect("a scope"));
    leaves_nothing("a task of a group", || {
        group.spawn(async { Ok(()) });
        group.spawn(std::future::pending::<Result>()).cancel();
        settle(&event_loop).expect("the loop runs");
    });
    leaves_nothing("a task of a scope", || {
        scope.spawn(async { Ok(()) });
        scope.spawn(std::future::pending::<Result>()).cancel();
        settle(&event_loop).expect("the loop runs");
    });
}

#[test]
fn watchers_and_signal_handlers_that_are_removed_leave_nothing() {
    let _alone = alone();
    let event_loop = EventLoop::new().expect("a loop");
    let (ours, _theirs) = UnixStream::pair().expect("a pair");
    let ours = Rc::new(ours);
    leaves_nothing("a reader", || {
        event_loop.add_reader(Rc::clone(&ours), || {}).expect("it can be watched");
        assert!(event_loop.remove_reader(&ours));
    });
    leaves_nothing("a writer", || {
        event_loop.add_writer(Rc::clone(&ours), || {}).expect("it can be watched");
        assert!(event_loop.remove_writer(&ours));
        settle(&event_loop).expect("the loop runs");
    });
    leaves_nothing("waiting for a descriptor", || {
        let (event_loop, ours) = (event_loop.clone(), Rc::clone(&ours));
        let other = event_loop.clone();
        drop(event_loop.create_task(async move { other.wait_readable(&ours).await }));
        settle(&event_loop).expect("the loop runs");
    });
    leaves_nothing("a signal handler", || {
        event_loop.add_signal_handler(signal::SIGUSR1, || {}).expect("a signal");
        assert!(event_loop.remove_signal_handler(signal::SIGUSR1));
    });
    leaves_nothing("a stream of signals", || {
        drop(event_loop.signals([signal::SIGUSR1, signal::SIGUSR2]).expect("signals"));
    });
}

/// Writes at once, which a group without a budget keeps waiting.
struct Talker;

impl Protocol for Talker {
    fn connection_made(&mut self, transport: &dyn Transport) -> Result {
        transport.write(&[7; 100]);
        Ok(())
    }

    fn data_received(&mut self, _: &dyn Transport, _: &[u8]) -> Result {
        Ok(())
    }
}

#[test]
fn members_of_a_shut_rate_group_that_come_and_go_leave_nothing() {
    let event_loop = in_memory();
    let group = RateGroup::new(&event_loop);
    group.set_write_limit(Some(RateLimit::bytes_per_second(0)));
    group.set_read_limit(Some(RateLimit::bytes_per_second(0)));
    let server = event_loop.create_server(|| Talker, "127.0.0.1:0").start();
    let server = event_loop.run_until_complete(server).expect("the loop runs").expect("a server");
    let to = server.local_address().unwrap();
    leaves_nothing("a member", || {
        let made = event_loop.create_connection(|| Talker, &to).rate_group(&group).start();
        let made = event_loop.run_until_complete(made).expect("the loop runs").expect("it");
        settle(&event_loop).expect("the loop runs");
        made.handle().abort();
        settle(&event_loop).expect("the loop runs");
        server.abort_clients();
        settle(&event_loop).expect("the loop runs");
    });
    assert_eq!(group.members(), 0);
    // One that leaves while it waits, and stays connected.
    let held = RefCell::new(Vec::new());
    let made = event_loop.create_connection(|| Talker, &to).start();
    let made = event_loop.run_until_complete(made).expect("the loop runs").expect("it");
    held.borrow_mut().push(made.clone());
    leaves_nothing("a member that leaves", || {
        made.handle().set_rate_group(Some(&group)).expect("a group of this loop");
        made.handle().write(b"more");
        settle(&event_loop).expect("the loop runs");
        made.handle().set_rate_group(None).expect("a group of this loop");
        settle(&event_loop).expect("the loop runs");
    });
}

#[test]
fn connects_that_hear_nothing_and_are_given_up_leave_nothing() {
    let dead = "10.0.0.1:7".parse().expect("an address");
    let event_loop = MemoryNetwork::new().black_hole(dead).event_loop();
    leaves_nothing("a connect", || {
        let connecting = event_loop.create_connection(|| Echo, dead).start();
        settle(&event_loop).expect("the loop runs");
        drop(connecting);
        settle(&event_loop).expect("the loop runs");
    });
}
