//! What pipes leave behind in a process: nothing.

use std::fs::File;
use std::io::{self, Read, Write};
use std::process::{Command, Stdio};
use std::rc::Rc;

use rustix::fs::{CWD, Mode};
use wharf::{Error, Protocol, Result, Transport};

use crate::process::{
    Guard, PASSED, alone, command, open_descriptors, role, wait_for_open_descriptors,
};
use crate::serving::{Directory, Echo, Seen, run, until};

/// Writes without end, as fast as it may.
struct Flood(Rc<Seen>);

impl Protocol for Flood {
    fn connection_made(&mut self, transport: &dyn Transport) -> Result {
        self.resume_writing(transport)
    }

    fn data_received(&mut self, _: &dyn Transport, _: &[u8]) -> Result {
        Err("a write pipe is not read".into())
    }

    fn pause_writing(&mut self, transport: &dyn Transport) -> Result {
        assert!(transport.write_buffer_size() <= 64 * 1024 + 1000, "bounded");
        Ok(())
    }

    fn resume_writing(&mut self, transport: &dyn Transport) -> Result {
        while transport.write(&[b'x'; 1000]) == wharf::WriteStatus::Accepted {}
        Ok(())
    }

    fn connection_lost(&mut self, _: &dyn Transport, error: Option<&Error>) -> Result {
        self.0.lost.borrow_mut().push(error.map(ToString::to_string));
        Ok(())
    }
}

#[test]
fn every_descriptor_is_closed_however_a_pipe_ends() {
    alone("pipes::every_descriptor_is_closed_however_a_pipe_ends", || {
        let directory = Directory::new();
        let fifo = directory.join("fifo");
        rustix::fs::mkfifoat(CWD, &fifo, Mode::RUSR | Mode::WUSR).expect("a FIFO");
        let before = open_descriptors();
        for round in 0..50 {
            run(async |event_loop| {
                let seen = Seen::new();
                let (reader, writer) = io::pipe()?;
                let (other_reader, other_writer) = io::pipe()?;
                event_loop.connect_read_pipe(seen.watcher(), reader).await?;
                event_loop.connect_write_pipe(seen.watcher(), other_writer).await?;
                let file = File::create(directory.join("file"))?;
                event_loop.connect_write_pipe(seen.watcher(), file).await?;
                let kept = event_loop.connect_read_fifo(seen.watcher(), &fifo).keep_open(true);
                kept.await?;
                event_loop.connect_write_fifo(seen.watcher(), &fifo).await?;
                event_loop.connect_stdin(seen.watcher()).await?;
                event_loop.connect_stdout(seen.watcher()).await?;
                let refused = event_loop.connect_read_pipe(seen.watcher(), File::open("/")?);
                assert!(refused.await.is_err());
                let impatient = event_loop.connect_write_fifo(seen.watcher(), directory.join("no"));
                assert!(impatient.await.is_err());
                match round % 3 {
                    // The loop closes with everything open.
                    0 => {}
                    1 => {
                        for handle in &*seen.handles.borrow() {
                            handle.close();
                        }
                        let all = seen.handles.borrow().len();
                        until(&event_loop, "every end", || seen.lost() == all).await;
                    }
                    _ => {
                        drop((writer, other_reader));
                        // Both pipes, and standard input, which is empty.
                        until(&event_loop, "three ends", || seen.lost() >= 3).await;
                        assert!(seen.lost_cleanly());
                    }
                }
                Ok(())
            });
        }
        wait_for_open_descriptors(before);
    });
}

#[test]
fn a_reader_that_does_not_read_costs_its_writer_a_bounded_amount_of_memory() {
    run(async |event_loop| {
        let seen = Seen::new();
        let sleeper = Command::new("sleep").arg("30").stdin(Stdio::piped()).spawn();
        let mut sleeper = Guard(sleeper.expect("a process"));
        let flood = Flood(Rc::clone(&seen));
        let input = sleeper.0.stdin.take().expect("a pipe");
        let connection = event_loop.connect_write_pipe(|| flood, input).await?;
        let waiting = || connection.handle().write_buffer_size();
        until(&event_loop, "a full pipe", || waiting() > 64 * 1024).await;
        assert!(waiting() <= 64 * 1024 + 1000, "{} bytes wait", waiting());
        // Killed in the middle: what was not taken is lost, and that is said.
        sleeper.0.kill()?;
        sleeper.wait();
        until(&event_loop, "connection_lost", || seen.lost() == 1).await;
        assert!(seen.lost.borrow()[0].as_deref().is_some_and(|text| text.contains("pipe")));
        Ok(())
    });
}

#[test]
fn a_writer_that_is_killed_in_the_middle_is_the_end_after_what_it_wrote() {
    run(async |event_loop| {
        let seen = Seen::new();
        let mut shell = Command::new("sh");
        shell.args(["-c", "printf half; kill -9 $$"]).stdout(Stdio::piped());
        let mut shell = Guard(shell.spawn().expect("a process"));
        let output = shell.0.stdout.take().expect("a pipe");
        event_loop.connect_read_pipe(seen.watcher(), output).await?;
        until(&event_loop, "connection_lost", || seen.lost() == 1).await;
        assert_eq!((&*seen.received.borrow(), seen.eofs.get()), (&b"half".to_vec(), 1));
        assert!(seen.lost_cleanly());
        shell.wait();
        Ok(())
    });
}

#[test]
fn standard_input_and_output_are_one_transport() {
    let name = "pipes::standard_input_and_output_are_one_transport";
    if role().is_some() {
        run(async |event_loop| {
            let connection = event_loop.connect_stdio(|| Echo).await?;
            until(&event_loop, "its end", || connection.handle().is_closing()).await;
            Ok(())
        });
        std::process::exit(PASSED);
    }
    let mut command = command(name, "echo");
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a process");
    let mut child = Guard(child);
    let mut input = child.0.stdin.take().unwrap();
    input.write_all(b"over both").unwrap();
    drop(input);
    let mut output = String::new();
    child.0.stdout.take().unwrap().read_to_string(&mut output).unwrap();
    assert!(output.ends_with("over both"), "{output}");
    assert_eq!(child.wait().code(), Some(PASSED));
}
