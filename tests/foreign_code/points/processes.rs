//! Protocols of processes, and what runs a program is given.

use std::process::ExitStatus;

use wharf::bytes::Bytes;
use wharf::{ChildFd, Error, ProcessProtocol, ProcessTransport, Result};

use super::reaching::Reaching;
use crate::bomb::Owner;
use crate::stage::{Point, Stage, blow_up, elsewhere, reported};

#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    Made,
    Data,
    PipeLost,
    Exited,
    Lost,
    Nowhere,
}

struct Child(Reaching<At>);

impl ProcessProtocol for Child {
    fn connection_made(&mut self, _: &dyn ProcessTransport) -> Result {
        self.0.made(At::Made)
    }

    fn pipe_data_received(&mut self, _: &dyn ProcessTransport, _: ChildFd, _: &[u8]) -> Result {
        self.0.reach(At::Data)
    }

    fn pipe_connection_lost(
        &mut self,
        _: &dyn ProcessTransport,
        _: ChildFd,
        _: Option<&Error>,
    ) -> Result {
        self.0.reach(At::PipeLost)
    }

    fn process_exited(&mut self, _: &dyn ProcessTransport, _: ExitStatus) -> Result {
        self.0.reach(At::Exited)
    }

    fn connection_lost(&mut self, _: &dyn ProcessTransport, _: Option<&Error>) -> Result {
        self.0.lost(At::Lost)
    }
}

fn child(stage: &Stage, at: At, fails: bool) {
    run(stage, Child(Reaching::new(stage, at, fails)));
}

fn run(stage: &Stage, child: Child) {
    let before = stage.bomb.count();
    let lost = stage.counts.lost.get();
    let started = stage.event_loop.subprocess_shell(|| child, "echo hello").start();
    let process = stage.complete(started).expect("a process");
    process.handle().write_eof();
    stage.until("connection_lost", || stage.counts.lost.get() > lost);
    // Handles keep the error that ended their process.
    stage.event_loop.call_soon(move || drop(process));
    stage.until_reached(before);
}

const POINTS: &[Point] = &[
    reported("a process's connection_made", |stage| child(stage, At::Made, false)),
    reported("pipe_data_received", |stage| child(stage, At::Data, false)),
    reported("pipe_connection_lost", |stage| child(stage, At::PipeLost, false)),
    reported("process_exited", |stage| child(stage, At::Exited, false)),
    reported("a process's connection_lost", |stage| child(stage, At::Lost, false)),
    reported("the drop of pipe_data_received's error", |stage| child(stage, At::Data, true)),
    reported("the drop of process_exited's error", |stage| child(stage, At::Exited, true)),
    reported("the drop of a process's connection_lost's error", |stage| {
        child(stage, At::Lost, true);
    }),
    reported("the drop of a process's protocol", |stage| {
        run(stage, Child(Reaching::dropped(stage, At::Nowhere)));
    }),
    elsewhere("a process's factory", |stage| {
        let (bomb, made) = (stage.bomb.clone(), Child(Reaching::new(stage, At::Nowhere, false)));
        let factory = move || {
            bomb.tick();
            made
        };
        let lost = stage.counts.lost.get();
        let started = stage.event_loop.subprocess_shell(factory, "exit 0").start();
        if let Ok(process) = stage.complete(started) {
            stage.until("connection_lost", || stage.counts.lost.get() > lost);
            drop(process);
        }
    }),
    reported("the drop of a process's protocol when its program cannot be run", |stage| {
        let child = Child(Reaching::dropped(stage, At::Nowhere));
        let started = stage.event_loop.subprocess_exec(move || child, "/").start();
        let error = stage.complete(started).map(drop).unwrap_err();
        assert!(!error.is_panic(), "{error}");
    }),
    reported("the drop of a program's input", |stage| {
        let before = stage.bomb.count();
        let input = Bytes::from_owner(Owner(vec![b'x'; 100], stage.bomb.on_drop()));
        let output = stage.complete(stage.event_loop.run_shell("cat").input(input).start());
        assert_eq!(output.expect("a program").stdout, [b'x'; 100]);
        stage.until_reached(before);
    }),
];

#[test]
fn protocols_of_processes_may_panic_and_their_errors_too() {
    blow_up(POINTS);
}
