//! Signals that a simulation sends.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use crate::event_loop::EventLoop;
use crate::signal::{
    SIGCHLD, SIGCONT, SIGHUP, SIGINT, SIGKILL, SIGSTOP, SIGTERM, SIGTSTP, SIGUSR1,
};
use crate::sim::{Script, Simulation};

const SECOND: Duration = Duration::from_secs(1);

type Told = Rc<RefCell<Vec<i32>>>;

/// Handles one signal, and waits for another in a task.
fn handle(event_loop: &EventLoop, handled: i32, awaited: i32, told: &Told) {
    let own = Rc::clone(told);
    event_loop.add_signal_handler(handled, move || own.borrow_mut().push(handled)).unwrap();
    let mut signals = event_loop.signals([awaited]).unwrap();
    let own = Rc::clone(told);
    let waits = async move {
        loop {
            let signal = signals.next().await;
            own.borrow_mut().push(signal);
        }
    };
    event_loop.create_task(waits).detach();
}

#[test]
fn a_signal_is_handled_or_does_what_it_does_by_default() {
    let simulation = Simulation::new(1);
    let (server, client) = (simulation.host("server"), simulation.host("client"));
    let told = Told::default();
    let own = Rc::clone(&told);
    server.serve(async move |event_loop| {
        handle(&event_loop, SIGTERM, SIGHUP, &own);
        let listener = event_loop.listen("0.0.0.0:7").await?;
        let _kept = listener.accept().await?;
        std::future::pending().await
    });
    let ended = Rc::new(RefCell::new(None));
    let end = Rc::clone(&ended);
    client.serve(async move |event_loop| {
        let (mut reader, _writer) = event_loop.open_connection("server:7").await?;
        *end.borrow_mut() = Some(reader.read_line().await?.map(str::to_owned));
        Ok(())
    });
    simulation.run_for(SECOND).unwrap();
    for signal in [SIGTERM, SIGHUP, SIGTERM, SIGCHLD] {
        server.signal(signal);
        simulation.run_for(SECOND).unwrap();
    }
    assert_eq!(*told.borrow(), [SIGTERM, SIGHUP, SIGTERM]);
    assert!(server.is_on() && ended.borrow().is_none());
    // Nobody handles this one: its kernel closes its connections.
    server.signal(SIGINT);
    simulation.run_for(SECOND).unwrap();
    assert!(!server.is_on());
    assert_eq!(*ended.borrow(), Some(None));
    // It is off, and hears nothing.
    server.signal(SIGTERM);
    // Nobody can handle this one.
    server.restart();
    simulation.run_for(SECOND).unwrap();
    server.signal(SIGKILL);
    assert!(!server.is_on());
    assert_eq!(told.borrow().len(), 3);
    let text = simulation.trace().to_string();
    let noted = |line: &&str| line.contains("! signal server SIGINT");
    assert_eq!(text.lines().filter(noted).count(), 1, "{text}");
}

#[test]
fn a_signal_waits_while_a_host_stands_still() {
    let simulation = Simulation::new(1);
    let server = simulation.host("server");
    let told = Told::default();
    let own = Rc::clone(&told);
    server.serve(async move |event_loop| {
        handle(&event_loop, SIGTERM, SIGCONT, &own);
        std::future::pending().await
    });
    simulation.run_for(SECOND).unwrap();
    for stop in [SIGSTOP, SIGTSTP] {
        told.take();
        server.signal(stop);
        server.signal(SIGTERM);
        server.signal(SIGTERM);
        simulation.run_for(SECOND).unwrap();
        assert_eq!(*told.borrow(), [0; 0]);
        server.signal(SIGCONT);
        simulation.run_for(SECOND).unwrap();
        let mut all = told.borrow().clone();
        all.sort_unstable();
        assert_eq!(all, [SIGTERM, SIGCONT]);
    }
    // What ends it waits, too, and is forgotten with what ends it before.
    server.pause();
    server.signal(SIGUSR1);
    simulation.run_for(SECOND).unwrap();
    assert!(server.is_on());
    server.resume();
    assert!(!server.is_on());
    server.restart();
    server.pause();
    server.signal(SIGUSR1);
    server.restart();
    server.resume();
    assert!(server.is_on());
}

#[test]
fn signals_are_words_of_scripts() {
    let text = "1 signal server SIGHUP; 2 signal server SIGTERM";
    let script: Script = text.parse().unwrap();
    assert_eq!(script.to_string(), text);
    assert_eq!("1 signal server 1; 2 signal server 15".parse::<Script>().unwrap(), script);
    for wrong in ["1 signal server SIGNOT", "1 signal server 0", "1 signal server 99"] {
        wrong.parse::<Script>().unwrap_err();
    }
    let simulation = Simulation::new(1);
    let server = simulation.host("server");
    let told = Told::default();
    let own = Rc::clone(&told);
    server.serve(async move |event_loop| {
        handle(&event_loop, SIGUSR1, SIGHUP, &own);
        assert!(event_loop.add_signal_handler(SIGKILL, || {}).unwrap_err().is_invalid());
        assert!(event_loop.remove_signal_handler(SIGUSR1));
        std::future::pending().await
    });
    simulation.script(script);
    simulation.run_for(3 * SECOND).unwrap();
    assert_eq!(*told.borrow(), [SIGHUP]);
    assert!(!server.is_on());
    server.signal(99);
    let error = simulation.run_for(SECOND).unwrap_err().to_string();
    assert!(error.contains("99 is no signal"), "{error}");
}
