//! Descriptors of a child besides the standard three.

use std::io::{ErrorKind, Read, Write};

use wharf::{ChildFd, ProcessTransport, Transport};

use crate::children::{Event, Log};
use crate::serving::{run, until};

// XS.
#[test]
fn a_child_gets_further_descriptors_and_further_pipes() {
    run(async |event_loop| {
        let (given, theirs) = (ChildFd::new(3), ChildFd::new(7));
        let (input, output) = (ChildFd::new(4), ChildFd::new(5));
        let usual = event_loop.run_shell("ls /proc/self/fd | wc -l").await?.stdout;
        let (mut reader, writer) = std::io::pipe()?;
        let log = Log::new();
        let line = "cat <&4 >&5; echo given >&3; echo seven >&7; ls /proc/self/fd | wc -l";
        let process = event_loop
            .subprocess_shell(log.factory(), line)
            .extra_fd(given, writer.try_clone()?)
            .extra_fd(theirs, writer)
            .extra_input(input)
            .extra_output(output)
            .await?;
        let pipe = process.handle().pipe_transport(input).ok_or("a pipe")?;
        pipe.write(b"through the child");
        pipe.close();
        until(&event_loop, "the end", || log.is_lost()).await;
        assert_eq!(log.other(), b"through the child");
        for fd in [input, output] {
            assert!(log.has(&Event::PipeLost(fd, None)));
        }
        let mut text = String::new();
        reader.read_to_string(&mut text)?;
        assert_eq!(text, "given\nseven\n");
        let count =
            |text: Vec<u8>| Ok::<u32, wharf::Failure>(String::from_utf8(text)?.trim().parse()?);
        assert_eq!(count(log.stdout())?, count(usual)? + 4, "nothing else is passed on");
        Ok(())
    });
}

// XS.
#[test]
fn further_descriptors_have_numbers_from_3_to_255_each_once() {
    run(async |event_loop| {
        for numbers in [&[2][..], &[256], &[-1], &[5, 5]] {
            let log = Log::new();
            let mut command = event_loop.subprocess_exec(log.factory(), "true");
            for number in numbers {
                command = command.extra_output(ChildFd::new(*number));
            }
            assert!(command.await.is_err_and(|error| error.is_invalid()), "{numbers:?}");
        }
        Ok(())
    });
}

// XS.
#[test]
fn a_program_that_is_not_found_is_told_of_whatever_further_descriptors_it_would_have() {
    run(async |event_loop| {
        // The system tells by a pipe, which must not have one of these numbers.
        for number in 3..40 {
            let (mut reader, mut writer) = std::io::pipe()?;
            let log = Log::new();
            let failed = event_loop
                .subprocess_exec(log.factory(), "/nonexistent/program")
                .extra_fd(ChildFd::new(number), writer.try_clone()?)
                .await;
            let error = failed.expect_err("it is not there");
            assert_eq!(error.io_kind(), Some(ErrorKind::NotFound), "{number}: {error}");
            writer.write_all(b"nothing else")?;
            drop(writer);
            let mut text = String::new();
            reader.read_to_string(&mut text)?;
            assert_eq!(text, "nothing else", "{number}");
        }
        Ok(())
    });
}
