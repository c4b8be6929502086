//! What comes through the pipes of a child, and when.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::rc::Rc;

use bytes::Bytes;
use wharf::{
    ChildFd, Eof, Error, ProcessTransport, Protocol, Result, Stdio, Transport, WriteStatus,
};

use crate::children::{Event, Log, code, is_running, killed_by};
use crate::serving::{run, until};

/// `SIGPIPE`.
const BROKEN_PIPE: i32 = 13;

// 175.
#[test]
fn pipes_are_connected_before_connection_made_and_what_they_bring_comes_after_it() {
    run(async |event_loop| {
        let log = Log::reacting(|event, process| {
            if *event == Event::Made {
                for fd in [ChildFd::STDIN, ChildFd::STDOUT, ChildFd::STDERR] {
                    assert!(process.pipe_transport(fd).is_some(), "{fd}");
                }
                // It has written and exited by then.
                while is_running(process.pid()) {
                    std::thread::yield_now();
                }
                assert_eq!(process.exit_status(), None, "not told yet");
            }
            Ok(())
        });
        let process =
            event_loop.subprocess_shell(log.factory(), "echo out; echo err >&2; exit 7").await?;
        until(&event_loop, "the end", || log.is_lost()).await;
        assert_eq!(log.events()[0], Event::Made);
        assert_eq!((log.stdout(), log.stderr()), (b"out\n".to_vec(), b"err\n".to_vec()));
        assert_eq!(process.handle().exit_status(), Some(code(7)));
        Ok(())
    });
}

// 176.
#[test]
fn what_a_pipe_brings_comes_in_order_and_before_its_end() {
    run(async |event_loop| {
        let log = Log::new();
        // The observer checks that nothing comes after the end of a pipe.
        let line = "seq 1 20000; seq 20001 40000 >&2";
        let _process = event_loop.subprocess_shell(log.factory(), line).await?;
        until(&event_loop, "the end", || log.is_lost()).await;
        let lines = |range: std::ops::RangeInclusive<u32>| {
            range.map(|number| format!("{number}\n")).collect::<String>().into_bytes()
        };
        assert!(log.stdout() == lines(1..=20000));
        assert!(log.stderr() == lines(20001..=40000));
        for fd in [ChildFd::STDIN, ChildFd::STDOUT, ChildFd::STDERR] {
            assert!(log.has(&Event::PipeLost(fd, None)), "{fd}: {:?}", log.order());
        }
        Ok(())
    });
}

// 177.
#[test]
fn connection_lost_comes_once_after_the_exit_and_the_end_of_every_pipe() {
    run(async |event_loop| {
        let log = Log::new();
        let _process = event_loop.subprocess_shell(log.factory(), "echo x; exit 1").await?;
        until(&event_loop, "the end", || log.is_lost()).await;
        let events = log.events();
        assert_eq!(events.last(), Some(&Event::Lost(None)));
        assert!(events.contains(&Event::Exited(code(1))));
        let pipes = events.iter().filter(|event| matches!(event, Event::PipeLost(..)));
        assert_eq!(pipes.count(), 3);
        assert_eq!(log.drops(), 1, "nothing holds the protocol any more");
        Ok(())
    });
}

// 182.
#[test]
fn a_child_whose_output_is_closed_here_gets_a_broken_pipe() {
    run(async |event_loop| {
        let log = Log::reacting(|event, process| {
            if let Event::Data(fd) = event
                && let Some(pipe) = process.pipe_transport(*fd)
            {
                pipe.close();
            }
            Ok(())
        });
        let process = event_loop.subprocess_exec(log.factory(), "yes").await?;
        assert_eq!(process.wait().await?, killed_by(BROKEN_PIPE));
        assert!(log.has(&Event::PipeLost(ChildFd::STDOUT, None)));
        Ok(())
    });
}

// 185.
#[test]
fn input_that_a_dead_child_has_not_taken_is_a_broken_pipe() {
    run(async |event_loop| {
        let log = Log::new();
        let process = event_loop.subprocess_exec(log.factory(), "sleep").arg("100").await?;
        let handle = process.handle().clone();
        process.with(|_, process| process.write(&[b'x'; 300_000]))?;
        handle.kill()?;
        until(&event_loop, "the end", || log.is_lost()).await;
        assert!(log.has(&Event::PipeLost(ChildFd::STDIN, Some(ErrorKind::BrokenPipe))));
        assert_eq!(handle.write(b"more"), WriteStatus::Closed);
        Ok(())
    });
}

// XS.
#[test]
fn a_child_can_close_a_pipe_and_go_on() {
    run(async |event_loop| {
        let log = Log::new();
        let line = "exec >&-; read line; echo $line >&2";
        let process = event_loop.subprocess_shell(log.factory(), line).await?;
        let end = Event::PipeLost(ChildFd::STDOUT, None);
        until(&event_loop, "the end of its output", || log.has(&end)).await;
        assert!(!log.has_exited());
        process.with(|_, process| process.write(b"still here\n"))?;
        until(&event_loop, "the end", || log.is_lost()).await;
        assert_eq!(log.stderr(), b"still here\n");
        Ok(())
    });
}

// XS.
#[test]
fn standard_error_can_go_where_standard_output_goes() {
    run(async |event_loop| {
        let log = Log::new();
        let line = "echo 1; echo 2 >&2; echo 3; echo 4 >&2";
        let _process = event_loop.subprocess_shell(log.factory(), line).stderr_to_stdout().await?;
        until(&event_loop, "the end", || log.is_lost()).await;
        assert_eq!(log.stdout(), b"1\n2\n3\n4\n");
        assert!(!log.has(&Event::PipeLost(ChildFd::STDERR, None)), "there is no such pipe");

        let (mut reader, writer) = std::io::pipe()?;
        let log = Log::new();
        let process = event_loop
            .subprocess_shell(log.factory(), line)
            .stdout(writer)
            .stderr_to_stdout()
            .await?;
        process.wait().await?;
        let mut text = String::new();
        reader.read_to_string(&mut text)?;
        assert_eq!(text, "1\n2\n3\n4\n");
        Ok(())
    });
}

// XS.
#[test]
fn standard_streams_can_be_files_or_nothing() {
    run(async |event_loop| {
        let log = Log::new();
        let process = event_loop
            .subprocess_exec(log.factory(), "cat")
            .stdin(File::open("/dev/null")?)
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .await?;
        assert!(process.wait().await?.success());
        until(&event_loop, "the end", || log.is_lost()).await;
        assert_eq!(log.order(), [Event::Made, Event::Exited(code(0)), Event::Lost(None)]);
        Ok(())
    });
}

/// Counts, and notes its end.
struct Counter {
    count: Rc<Cell<usize>>,
    ends: Rc<RefCell<Vec<Option<String>>>>,
}

impl Protocol for Counter {
    fn data_received(&mut self, _: &dyn Transport, data: &[u8]) -> Result {
        self.count.set(self.count.get() + data.len());
        Ok(())
    }

    fn eof_received(&mut self, _: &dyn Transport) -> Result<Eof> {
        Ok(Eof::Close)
    }

    fn connection_lost(&mut self, _: &dyn Transport, error: Option<&Error>) -> Result {
        self.ends.borrow_mut().push(error.map(ToString::to_string));
        Ok(())
    }
}

// XS.
#[test]
fn a_pipe_that_another_protocol_takes_over_is_no_longer_the_processs() {
    run(async |event_loop| {
        let (count, ends) = (Rc::new(Cell::new(0)), Rc::new(RefCell::new(Vec::new())));
        let counter = Counter { count: Rc::clone(&count), ends: Rc::clone(&ends) };
        let mut counter = Some(counter);
        let log = Log::reacting(move |event, process| {
            if *event == Event::Made
                && let Some(counter) = counter.take()
            {
                let pipe = process.pipe_transport(ChildFd::STDOUT).ok_or("a pipe")?;
                pipe.set_protocol(Box::new(counter), Bytes::new());
            }
            Ok(())
        });
        let (reader, mut writer) = std::io::pipe()?;
        // It leaves something behind that has its output, until a line comes.
        let line = "exec 3<&0 2>&-; (read line <&3; echo $line) & exit 0";
        let _process = event_loop.subprocess_shell(log.factory(), line).stdin(reader).await?;
        until(&event_loop, "connection_lost", || log.is_lost()).await;
        assert!(ends.borrow().is_empty(), "the output did not end");
        writer.write_all(b"later\n")?;
        until(&event_loop, "the end of the output", || !ends.borrow().is_empty()).await;
        assert_eq!((count.get(), &*ends.borrow()), (6, &vec![None]));
        assert!(!log.has(&Event::PipeLost(ChildFd::STDOUT, None)));
        assert!(log.stdout().is_empty());
        Ok(())
    });
}
