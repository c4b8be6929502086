//! Running programs to their end.

use std::time::{Duration, Instant};

use wharf::{EventLoop, Stdio, TimeoutKind};

use crate::children::{code, is_running, killed_by};
use crate::serving::{run, until};

// 184.
#[test]
fn input_that_a_program_does_not_read_is_no_error() {
    run(async |event_loop| {
        for line in ["exec <&-; echo done", "true; echo done", "head -c 10 >/dev/null; echo done"] {
            let output = event_loop.run_shell(line).input(vec![b'x'; 1_000_000]).await?;
            assert_eq!((output.status, &*output.stdout), (code(0), &b"done\n"[..]), "{line}");
        }
        Ok(())
    });
}

// 184.
#[test]
fn input_is_written_and_ended_while_output_is_read_to_its_end() {
    run(async |event_loop| {
        let input: Vec<u8> = (0..3_000_000u32).map(|number| number as u8).collect();
        let output = event_loop.run_shell("tee /dev/stderr").input(input.clone()).await?;
        assert!(output.status.success());
        assert!(output.stdout == input && output.stderr == input);
        Ok(())
    });
}

// XS.
#[test]
fn a_program_without_input_reads_its_end_at_once() {
    run(async |event_loop| {
        assert_eq!(event_loop.run_process("cat").await?.stdout, b"");
        assert_eq!(event_loop.run_process("cat").stdin(Stdio::piped()).await?.stdout, b"");
        let output = event_loop.run_shell("echo a; echo b >&2").stderr_to_stdout().await?;
        assert_eq!((&*output.stdout, &*output.stderr), (&b"a\nb\n"[..], &b""[..]));
        Ok(())
    });
}

// XS.
#[test]
fn a_program_that_takes_too_long_is_killed() {
    run(async |event_loop| {
        let (reader, writer) = std::io::pipe()?;
        let failed = event_loop
            .run_process("sleep")
            .arg("100")
            .stderr(writer)
            .timeout(Duration::from_millis(20))
            .await;
        let error = failed.expect_err("it is killed");
        assert_eq!(error.timeout_kind(), Some(TimeoutKind::Process));
        // Who had that pipe is gone.
        let mut rest = Vec::new();
        std::io::Read::read_to_end(&mut &reader, &mut rest)?;
        Ok(())
    });
}

// XS.
#[test]
fn a_program_that_writes_too_much_is_killed() {
    run(async |event_loop| {
        let failed = event_loop.run_process("yes").output_limit(100_000).await;
        let error = failed.expect_err("it is killed");
        assert!(error.is_output_limit());
        let output = error.partial_output().expect("the first so many bytes");
        assert_eq!(output.stdout, b"y\n".repeat(50_000));
        let failed = event_loop.run_shell("yes >&2").output_limit(100_000).await;
        assert!(failed.is_err_and(|error| error.is_output_limit()));
        let output = event_loop.run_shell("yes | head -c 1000").output_limit(1000).await?;
        assert_eq!(output.stdout.len(), 1000);
        Ok(())
    });
}

// XS.
#[test]
fn what_a_program_had_written_when_its_time_was_up_comes_with_the_error() {
    run(async |event_loop| {
        let (mut reader, writer) = std::io::pipe()?;
        let running = event_loop
            .run_shell("echo what; echo why >&2; exec 0<&-; exec sleep 100")
            .stdin(writer)
            .timeout(Duration::from_nanos(1))
            .start();
        // Closed when all is written. The loop has seen nothing of it, and its time is up.
        assert_eq!(std::io::Read::read(&mut reader, &mut [0])?, 0);
        let error = running.await.expect_err("it is killed");
        assert_eq!(error.timeout_kind(), Some(TimeoutKind::Process));
        let output = error.partial_output().expect("it had written something");
        assert_eq!((&*output.stdout, &*output.stderr), (&b"what\n"[..], &b"why\n"[..]));
        let other = event_loop.run_process("/no/such").await.expect_err("it is not there");
        assert!(other.partial_output().is_none());
        Ok(())
    });
}

// XS.
#[test]
fn a_program_that_has_ended_when_its_time_is_up_was_in_time() {
    run(async |event_loop| {
        let (mut reader, writer) = std::io::pipe()?;
        let running = event_loop
            .run_shell("echo in time; echo $$ >&0; exit 3")
            .stdin(writer)
            .timeout(Duration::from_nanos(1))
            .start();
        let mut text = String::new();
        std::io::Read::read_to_string(&mut reader, &mut text)?;
        let (pid, began) = (text.trim().parse()?, Instant::now());
        // It closes its descriptors a moment before it can be waited for.
        while is_running(pid) {
            assert!(began.elapsed() < Duration::from_secs(10), "it did not end");
            std::thread::yield_now();
        }
        let output = running.await?;
        assert_eq!((output.status, &*output.stdout), (code(3), &b"in time\n"[..]));
        Ok(())
    });
}

// XS.
#[test]
fn a_program_that_is_killed_takes_its_process_group_along() {
    run(async |event_loop| {
        // Also when it has exited itself, and only what it has left behind still writes.
        for end in ["wait", "exit 1"] {
            let (mut reader, writer) = std::io::pipe()?;
            let running = event_loop
                .run_shell(format!("sleep 100 <&2 & echo $!; exec 0<&-; {end}"))
                .stdin(writer)
                .process_group(0)
                .timeout(Duration::from_nanos(1))
                .start();
            assert_eq!(std::io::Read::read(&mut reader, &mut [0])?, 0);
            let error = running.await.expect_err("it is killed");
            let output = error.partial_output().expect("it had written something");
            let pid: u32 = std::str::from_utf8(&output.stdout)?.trim().parse()?;
            until(&event_loop, "its end", || !is_running(pid)).await;
        }
        Ok(())
    });
}

// XS.
#[test]
fn what_a_program_leaves_behind_is_waited_for_as_long_as_it_writes() {
    run(async |event_loop| {
        let (reader, mut writer) = std::io::pipe()?;
        let line = "exec 3<&0; echo one; (read line <&3; echo two) & exit 4";
        let running = event_loop.run_shell(line).stdin(reader).start();
        event_loop.sleep(Duration::from_millis(20)).await;
        assert!(!running.is_done());
        std::io::Write::write_all(&mut writer, b"go\n")?;
        let output = running.await?;
        assert_eq!((output.status, &*output.stdout), (code(4), &b"one\ntwo\n"[..]));
        Ok(())
    });
}

// XS.
#[test]
fn dropping_a_run_kills_the_program() {
    run(async |event_loop| {
        let (reader, writer) = std::io::pipe()?;
        let running = event_loop.run_shell("echo $$ >&2; exec sleep 100").stderr(writer).start();
        let mut text = String::new();
        let mut line = std::io::BufReader::new(reader);
        std::io::BufRead::read_line(&mut line, &mut text)?;
        let pid: u32 = text.trim().parse()?;
        assert!(is_running(pid));
        drop(running);
        until(&event_loop, "its end", || !is_running(pid)).await;
        Ok(())
    });
}

// XS.
#[test]
fn a_run_on_a_loop_that_closes_is_cancelled_and_its_program_killed() {
    let event_loop = EventLoop::new().unwrap();
    let (mut reader, writer) = std::io::pipe().unwrap();
    let running = event_loop.run_shell("exec sleep 100").stderr(writer).start();
    assert!(!running.is_done());
    drop(event_loop);
    assert!(running.take_result().is_some_and(|result| result.is_err_and(|e| e.is_cancelled())));
    // Nobody has the other end any more.
    assert_eq!(std::io::Read::read(&mut reader, &mut [0]).unwrap(), 0);
}

// XS.
#[test]
fn a_status_that_is_no_success_is_no_error() {
    run(async |event_loop| {
        assert_eq!(event_loop.run_process("false").await?.status, code(1));
        assert_eq!(event_loop.run_shell("kill -9 $$").await?.status, killed_by(9));
        Ok(())
    });
}
