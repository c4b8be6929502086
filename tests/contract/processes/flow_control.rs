//! Children that do not read, and children that write too much.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use wharf::{ChildFd, ProcessTransport, Transport, WaterMarks, WriteStatus};

use crate::children::{Event, Log};
use crate::serving::{run, until};

// 181.
#[test]
fn pause_and_resume_of_standard_input_reach_the_process_protocol() {
    run(async |event_loop| {
        let log = Log::new();
        // It reads once it is told to.
        let (reader, mut writer) = std::io::pipe()?;
        let process = event_loop
            .subprocess_shell(log.factory(), "read line <&2; exec cat >/dev/null")
            .stderr(reader)
            .await?;
        let mut written = 0;
        while process.with(|_, process| process.write(&[b'x'; 10_000]))? == WriteStatus::Accepted {
            written += 10_000;
            assert!(written < 1_000_000);
        }
        until(&event_loop, "a pause", || log.has(&Event::Pause(ChildFd::STDIN))).await;
        assert!(!log.has(&Event::Resume(ChildFd::STDIN)));
        let stdin = process.handle().pipe_transport(ChildFd::STDIN).ok_or("a pipe")?;
        assert!(stdin.write_buffer_size() > 64 * 1024);
        std::io::Write::write_all(&mut writer, b"go\n")?;
        until(&event_loop, "a resume", || log.has(&Event::Resume(ChildFd::STDIN))).await;
        process.handle().write_eof();
        until(&event_loop, "the end", || log.is_lost()).await;
        Ok(())
    });
}

// XS.
#[test]
fn a_child_that_never_reads_costs_no_more_than_the_cap() {
    run(async |event_loop| {
        let log = Log::new();
        let process = event_loop
            .subprocess_exec(log.factory(), "sleep")
            .arg("100")
            .write_buffer_limits(WaterMarks { low: 100, high: 1000 })
            .write_buffer_cap(Some(100_000))
            .await?;
        let stdin = process.handle().pipe_transport(ChildFd::STDIN).ok_or("a pipe")?;
        assert_eq!(stdin.write_buffer_limits(), WaterMarks { low: 100, high: 1000 });
        let mut most = 0;
        while process.handle().write(&[b'x'; 10_000]) != WriteStatus::Closed {
            most = most.max(stdin.write_buffer_size());
            assert!(most <= 110_000);
        }
        assert!(most > 90_000);
        let lost = || log.events().iter().any(|event| matches!(event, Event::PipeLost(..)));
        until(&event_loop, "the end of the pipe", lost).await;
        assert!(!log.has_exited(), "only the pipe is gone");
        Ok(())
    });
}

// XS.
#[test]
fn a_child_whose_output_is_paused_waits_and_nothing_is_lost() {
    run(async |event_loop| {
        let log = Log::reacting(|event, process| {
            if *event == Event::Made {
                process.pause_reading(ChildFd::STDOUT);
            }
            Ok(())
        });
        let count = 1_000_000;
        let process = event_loop
            .subprocess_exec(log.factory(), "head")
            .args(["-c", &count.to_string(), "/dev/zero"])
            .await?;
        event_loop.sleep(Duration::from_millis(30)).await;
        assert!(log.stdout().is_empty());
        assert!(!log.has_exited(), "it waits for room in the pipe");
        process.handle().resume_reading(ChildFd::STDOUT);
        until(&event_loop, "the end", || log.is_lost()).await;
        assert_eq!(log.stdout().len(), count);
        Ok(())
    });
}

// XS.
#[test]
fn a_protocol_that_answers_output_with_input_is_held_and_stays_bounded() {
    run(async |event_loop| {
        let most = Rc::new(Cell::new(0));
        let noted = Rc::clone(&most);
        // Whatever the child says it is told back, and it never listens.
        let log = Log::reacting(move |event, process| {
            if let (Event::Data(_), Some(stdin)) = (event, process.pipe_transport(ChildFd::STDIN)) {
                process.write(&[b'x'; 64 * 1024]);
                noted.set(noted.get().max(stdin.write_buffer_size()));
            }
            Ok(())
        });
        let process = event_loop.subprocess_exec(log.factory(), "yes").await?;
        until(&event_loop, "a pause", || log.has(&Event::Pause(ChildFd::STDIN))).await;
        let received = log.stdout().len();
        event_loop.sleep(Duration::from_millis(30)).await;
        assert_eq!(log.stdout().len(), received, "reading is held");
        assert!(most.get() < 1024 * 1024, "{}", most.get());

        // Neither a resume ends the hold, nor anything but room: here the end of that pipe.
        process.handle().resume_reading(ChildFd::STDOUT);
        event_loop.sleep(Duration::from_millis(10)).await;
        assert_eq!(log.stdout().len(), received);
        process.handle().pipe_transport(ChildFd::STDIN).ok_or("a pipe")?.abort();
        until(&event_loop, "more output", || log.stdout().len() > received).await;
        Ok(())
    });
}

// XS.
#[test]
fn a_hold_ends_when_the_child_reads() {
    run(async |event_loop| {
        let total = 4_000_000;
        // Every line goes back, and is counted once the child has taken all.
        let log = Log::reacting(move |event, process| {
            if let Event::Data(fd) = event
                && *fd == ChildFd::STDOUT
            {
                process.write(&[b'x'; 100_000]);
            }
            Ok(())
        });
        let line = format!("yes | head -c {total} & cat >/dev/null; wait; echo done >&2");
        let line = format!("exec 3<&0; {}", line.replace("cat >", "cat <&3 >"));
        let process = event_loop.subprocess_shell(log.factory(), line).await?;
        until(&event_loop, "all output", || log.stdout().len() == total).await;
        assert!(log.has(&Event::Pause(ChildFd::STDIN)) && log.has(&Event::Resume(ChildFd::STDIN)));
        process.handle().write_eof();
        until(&event_loop, "the end", || log.is_lost()).await;
        assert_eq!(log.stderr(), b"done\n");
        Ok(())
    });
}

// XS.
#[test]
fn a_hold_is_not_granted_for_what_is_written_from_elsewhere() {
    run(async |event_loop| {
        let log = Log::new();
        let line = "yes | head -c 100000; sleep 100";
        let process = event_loop.subprocess_shell(log.factory(), line).process_group(0).await?;
        process.with(|_, process| process.write(&[b'x'; 1_000_000]))?;
        until(&event_loop, "all output", || log.stdout().len() == 100_000).await;
        assert!(log.has(&Event::Pause(ChildFd::STDIN)), "it was asked for");
        Ok(())
    });
}
