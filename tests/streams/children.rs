//! Children whose pipes are streams.

use wharf::{EventLoop, Result, Stdio, signal};

use super::{poll_once, settle};

fn run(test: impl AsyncFnOnce(EventLoop) -> Result) {
    EventLoop::new().unwrap().run(test).unwrap();
}

#[test]
fn a_childs_pipes_are_streams() {
    run(async |event_loop| {
        let mut child = event_loop.create_subprocess_exec("cat").await?;
        assert!(child.exit_status().is_none());
        let stdin = child.stdin.take().unwrap();
        stdin.write_all(b"one\ntwo\n").await?;
        let mut lines = child.stdout.take().unwrap().lines();
        assert_eq!(lines.next().await.unwrap()?, "one");
        assert_eq!(lines.next().await.unwrap()?, "two");
        assert!(poll_once(lines.next()).await.is_none());
        drop(stdin);
        assert!(lines.next().await.is_none());
        assert!(child.wait().await?.success());
        assert!(child.exit_status().unwrap().success());
        assert_eq!(child.stderr.as_mut().unwrap().read_chunk().await?, b"");
        Ok(())
    });
}

// 317.
#[test]
fn communicating_takes_any_amount_both_ways() {
    run(async |event_loop| {
        let script = "tee /dev/stderr";
        let mut child = event_loop.create_subprocess_shell(script).await?;
        let input: Vec<u8> = (0..500_000_u32).map(|number| number as u8).collect();
        let output = child.communicate(&input, 1 << 20).await?;
        assert!(output.status.success());
        assert_eq!(output.stdout, input);
        assert_eq!(output.stderr, input);
        // What it does not read is no error.
        let mut child = event_loop.create_subprocess_exec("true").await?;
        let output = child.communicate(&input, 10).await?;
        assert!(output.status.success() && output.stdout.is_empty());
        Ok(())
    });
}

#[test]
fn more_output_than_the_limit_is_an_error_that_loses_nothing() {
    run(async |event_loop| {
        let script = "echo error >&2; head -c 200000 /dev/zero";
        let mut child = event_loop.create_subprocess_shell(script).await?;
        let error = child.communicate(b"", 1000).await.unwrap_err();
        assert!(error.is_limit_overrun());
        // A future that is dropped loses nothing, either.
        for _ in 0..3 {
            let _ = poll_once(child.communicate(b"", 1 << 20)).await;
            settle(&event_loop).await;
        }
        let output = child.communicate(b"", 1 << 20).await?;
        assert_eq!((output.stdout.len(), &output.stderr[..]), (200_000, &b"error\n"[..]));
        Ok(())
    });
}

#[test]
fn a_child_is_killed_when_it_is_dropped_unless_it_is_detached() {
    run(async |event_loop| {
        let child = event_loop.create_subprocess_exec("sleep").arg("1000").await?;
        let handle = child.process().handle().clone();
        drop(child);
        let status = handle.wait().await?;
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(signal::SIGKILL));

        let child = event_loop.create_subprocess_exec("cat").await?;
        let handle = child.process().handle().clone();
        let (stdin, stdout, _) = child.detach();
        let (stdin, mut stdout) = (stdin.unwrap(), stdout.unwrap());
        stdin.write_all(b"still here").await?;
        assert_eq!(stdout.read_exactly(10).await?, b"still here");
        drop(stdin);
        assert!(handle.wait().await?.success());

        let child = event_loop.create_subprocess_exec("sleep").arg("1000").await?;
        child.terminate()?;
        let status = child.wait().await?;
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(signal::SIGTERM));
        assert!(child.kill().is_err_and(|error| error.is_closed()));
        Ok(())
    });
}

#[test]
fn what_is_no_pipe_of_a_child_is_no_stream() {
    run(async |event_loop| {
        let child = event_loop.create_subprocess_exec("cat");
        let mut child = child.stdin(Stdio::null()).stderr(Stdio::null()).await?;
        assert!(child.stdin.is_none() && child.stderr.is_none());
        let output = child.communicate(b"to nobody", 100).await?;
        assert!(output.stdout.is_empty() && output.stderr.is_empty());
        let missing = event_loop.create_subprocess_exec("/no/such/program").await;
        assert_eq!(missing.unwrap_err().io_kind(), Some(std::io::ErrorKind::NotFound));
        Ok(())
    });
}
