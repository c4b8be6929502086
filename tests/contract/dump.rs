//! What a loop has to do, as values and as text.

use std::time::Duration;

use rustix::process::Signal;
use wharf::signal::SIGUSR1;
use wharf::testing::advance;
use wharf::{EventLoop, LoopDump, PausedProtocol, Ready, Result, StreamWriter, Transport};

use crate::loops::{memory_loop, settle, system_loop};
use crate::probes::{is_child, run_in_child};
use crate::signals::{raise, text};

#[test]
fn a_dump_has_the_tree_of_tasks_with_what_each_waits_for() {
    let event_loop = memory_loop();
    event_loop.create_task(async {}).detach();
    let unbegun = event_loop.dump();
    assert_eq!(unbegun.tasks[0].waits_for, "its first step");
    settle(&event_loop).unwrap();
    assert_eq!(event_loop.dump().tasks, []);

    let (promise, future) = event_loop.create_future::<()>();
    let line = line!() + 1;
    let parent = event_loop.create_task(async {
        let child = wharf::spawn(async {
            wharf::sleep(Duration::from_secs(60)).await;
        });
        wharf::spawn(async { drop(future.await) }).named("waits").detach();
        wharf::spawn(std::future::pending::<()>()).detach();
        child.await
    });
    advance(&event_loop, Duration::from_secs(20)).unwrap();
    let LoopDump { tasks, timers, next_timer, .. } = event_loop.dump();
    assert_eq!((timers, next_timer), (1, Some(Duration::from_secs(40))));
    let [root, child, named, other] = &tasks[..] else { panic!("{tasks:?}") };
    assert_eq!(root.place, format!("{}:{line}:29", file!()));
    assert_eq!((root.id, root.parent, root.awaits), (2, None, Some(3)));
    assert_eq!(root.waits_for, "task 3");
    assert_eq!(root.age, Duration::from_secs(20));
    assert_eq!((child.parent, child.waits_for.as_str()), (Some(2), "a time, 40s from now"));
    assert_eq!((named.name.as_deref(), named.waits_for.as_str()), (Some("waits"), "a future"));
    assert_eq!((other.parent, other.waits_for.as_str(), other.steps), (Some(2), "", 1));

    let text = event_loop.dump().to_string();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(
        lines[0],
        "event loop, 20.0s old: 4 tasks, 0 connections, 0 listeners, 1 timer, the next one due in 40.0s"
    );
    assert!(
        lines[1].starts_with("  task 2 (") && lines[1].ends_with("1 step, waits for task 3"),
        "{text}"
    );
    assert!(lines[2].starts_with("    task 3 ("), "{text}");
    assert!(lines[3].starts_with("    task 4 `waits` ("), "{text}");

    // A child whose parent is finished is a root.
    drop((parent, promise));
    settle(&event_loop).unwrap();
    let tasks = event_loop.dump().tasks;
    assert_eq!((tasks.len(), tasks[0].parent), (1, Some(2)));
    assert!(event_loop.dump().to_string().contains("\n  task 5 ("));
}

#[test]
fn a_dump_has_connections_and_listeners() {
    let event_loop = memory_loop();
    event_loop
        .run(async |event_loop| {
            event_loop.create_server(PausedProtocol::new, "10.0.0.1:7").await?;
            let client = event_loop.create_connection(PausedProtocol::new, "10.0.0.1:7").await?;
            client.write(&[0; 1 << 20]);
            let (mut reader, _writer) = event_loop.open_connection("10.0.0.1:7").await?;
            let reading =
                event_loop.create_task(async move { reader.read_chunk().await.map(drop) });
            wharf::sleep(Duration::from_secs(3)).await;
            let dump = event_loop.dump();
            assert_eq!((dump.connections.len(), dump.listeners.len()), (4, 1));
            let known = dump.connections.iter().find(|one| one.id == client.id().to_string());
            let known = known.ok_or("the connection")?;
            assert_eq!(known.protocol, "wharf::protocol::paused::PausedProtocol");
            assert_eq!(known.peer_address.as_deref(), Some("10.0.0.1:7"));
            assert!(known.write_buffer_size > 0 && !known.is_closing && !known.is_reading);
            assert_eq!(known.idle, Duration::from_secs(3));
            let listener = &dump.listeners[0];
            assert_eq!(
                (listener.address.as_deref(), listener.connections),
                (Some("10.0.0.1:7"), 2)
            );
            assert!(listener.is_serving);
            let task =
                dump.tasks.iter().find(|task| task.waits_for.starts_with("input of connection"));
            assert!(task.is_some(), "{dump}");
            let text = dump.to_string();
            assert!(text.contains("listener on 10.0.0.1:7, 2 connections"), "{text}");
            assert!(text.contains("bytes to be sent, not reading"), "{text}");
            drop(reading);
            Ok(())
        })
        .unwrap();
}

#[test]
fn tasks_that_the_library_spawns_have_the_place_of_the_call() {
    let places = |event_loop: &EventLoop| -> Vec<String> {
        event_loop.dump().tasks.into_iter().map(|task| task.place).collect()
    };
    let here = |line: u32, column: u32| format!("{}:{line}:{column}", file!());
    let handler = async |_reader, writer: StreamWriter| {
        writer.wait_closed().await?;
        Ok(())
    };
    let memory = memory_loop();
    memory
        .run(async |event_loop| {
            let line = line!() + 1;
            event_loop.start_server(handler, "10.0.0.1:7").await?;
            let _stream = event_loop.open_connection("10.0.0.1:7").await?;
            wharf::sleep(Duration::from_secs(1)).await;
            assert_eq!(places(&event_loop), [here(line, 24)]);
            Ok(())
        })
        .unwrap();

    let memory = memory_loop();
    memory
        .run(async |event_loop| {
            let line = line!() + 3;
            wharf::task_group(async |group| {
                group
                    .start(async |ready: Ready<()>| {
                        ready.set(());
                        std::future::pending().await
                    })
                    .await?;
                assert_eq!(places(&event_loop), [here(line, 22)]);
                group.cancel();
                Ok(())
            })
            .await?;
            Ok(())
        })
        .unwrap();

    let event_loop = system_loop();
    let line = line!() + 1;
    let task = event_loop.remote().spawn(async |_| std::future::pending::<()>().await);
    let (_sender, receiver) = event_loop.create_channel::<()>(1);
    let receiving = receiver.on_message(|()| ());
    event_loop.run_until_complete(wharf::yield_now()).unwrap();
    event_loop.run_until_complete(wharf::yield_now()).unwrap();
    let mut places = places(&event_loop);
    places.sort();
    assert_eq!(places, [here(line, 36), here(line + 2, 30)]);
    drop((task, receiving));
}

#[test]
fn the_longest_step_is_there_where_steps_are_timed() {
    let event_loop = memory_loop();
    let network = event_loop.clone();
    event_loop.set_step_timing(true);
    let task = event_loop.create_task(async move {
        // Virtual time does not pass in a step.
        assert_eq!(network.dump().tasks[0].longest_step, Duration::ZERO);
        std::future::pending::<()>().await;
    });
    settle(&event_loop).unwrap();
    assert_eq!(event_loop.dump().tasks[0].longest_step, Duration::ZERO);
    drop(task);

    let event_loop = system_loop();
    event_loop.set_step_timing(true);
    let slow = event_loop.create_task(async {
        std::thread::sleep(Duration::from_millis(3));
        std::future::pending::<()>().await;
    });
    event_loop.run_until_complete(wharf::yield_now()).unwrap();
    assert!(event_loop.dump().tasks[0].longest_step >= Duration::from_millis(3));
    drop(slow);
}

#[test]
fn a_dump_of_a_long_chain_of_tasks_needs_neither_stack_nor_much_text() {
    const COUNT: usize = 20_000;

    fn chain(left: usize) {
        wharf::spawn(async move {
            if left > 1 {
                chain(left - 1);
            }
            std::future::pending::<()>().await;
        })
        .detach();
    }

    let event_loop = memory_loop();
    event_loop.call_soon(|| chain(COUNT));
    settle(&event_loop).unwrap();
    let dump = event_loop.dump();
    assert_eq!(dump.tasks.len(), COUNT);
    assert!(dump.to_string().len() < 300 * COUNT);
}

#[test]
fn a_dump_of_a_closed_loop_is_empty() -> Result {
    let event_loop = memory_loop();
    event_loop.create_task(std::future::pending::<()>()).detach();
    event_loop.close()?;
    let dump = event_loop.dump();
    assert_eq!((dump.tasks.len(), dump.connections.len(), dump.timers), (0, 0, 0));
    Ok(())
}

#[test]
fn a_dump_is_printed_on_a_signal() {
    if is_child() {
        let event_loop = system_loop();
        event_loop.dump_on_signal(SIGUSR1).unwrap();
        // Asked for twice, it is printed once.
        event_loop.dump_on_signal(SIGUSR1).unwrap();
        let mut signals = event_loop.signals([SIGUSR1]).unwrap();
        let ran = event_loop.run(async |event_loop| {
            event_loop.call_soon(|| raise(Signal::USR1));
            let waits = event_loop.create_task(std::future::pending::<()>()).named("waits");
            assert_eq!(signals.next().await, SIGUSR1);
            drop(waits);
            Ok(())
        });
        return ran.unwrap();
    }
    let output = run_in_child("dump::a_dump_is_printed_on_a_signal");
    let text = text(&output);
    assert!(output.status.success(), "{text}");
    assert_eq!(text.matches("wharf: event loop, ").count(), 1, "{text}");
    assert!(text.contains("\n  task 1 `waits` (tests"), "{text}");
}
