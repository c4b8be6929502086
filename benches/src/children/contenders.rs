//! The same child, once per library: its input is nothing, its output and errors are collected.

use std::process::{Command, Output, Stdio};

use wharf::{ChildFd, Error, EventLoop, ProcessProtocol, ProcessTransport, Promise};

use crate::Result;

const PROGRAM: &str = "/bin/echo";
const ARGUMENT: &str = "hello";

/// Runs so many children, one after the other.
pub(super) type Contender = fn(usize) -> Result;

pub(super) const CONTENDERS: [(&str, Contender); 4] = [
    ("std, blocking", with_std),
    ("tokio", with_tokio),
    ("wharf", with_wharf),
    ("wharf, protocol", with_protocol),
];

/// What a program does that has nothing else to do.
fn with_std(count: usize) -> Result {
    for _ in 0..count {
        check(&Command::new(PROGRAM).arg(ARGUMENT).stdin(Stdio::null()).output()?)?;
    }
    Ok(())
}

fn with_tokio(count: usize) -> Result {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        for _ in 0..count {
            let mut command = tokio::process::Command::new(PROGRAM);
            check(&command.arg(ARGUMENT).stdin(Stdio::null()).output().await?)?;
        }
        Ok(())
    })
}

fn with_wharf(count: usize) -> Result {
    EventLoop::new()?.run(async |event_loop| {
        for _ in 0..count {
            check(&event_loop.run_process(PROGRAM).arg(ARGUMENT).await?)?;
        }
        Ok(())
    })
}

/// What a program does that is to hear of output as it comes.
fn with_protocol(count: usize) -> Result {
    EventLoop::new()?.run(async |event_loop| {
        for _ in 0..count {
            let (promise, output) = event_loop.create_future();
            let (stdout, stderr) = (Vec::new(), Vec::new());
            let collector = Collector { stdout, stderr, promise: Some(promise) };
            let command = event_loop.subprocess_exec(|| collector, PROGRAM).arg(ARGUMENT);
            let _process = command.stdin(wharf::Stdio::null()).await?;
            check(&output.await?)?;
        }
        Ok(())
    })
}

struct Collector {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    promise: Option<Promise<Output>>,
}

impl ProcessProtocol for Collector {
    fn pipe_data_received(
        &mut self,
        _: &dyn ProcessTransport,
        fd: ChildFd,
        data: &[u8],
    ) -> wharf::Result {
        let output = if fd == ChildFd::STDERR { &mut self.stderr } else { &mut self.stdout };
        output.extend_from_slice(data);
        Ok(())
    }

    fn connection_lost(
        &mut self,
        process: &dyn ProcessTransport,
        _: Option<&Error>,
    ) -> wharf::Result {
        let (stdout, stderr) = (std::mem::take(&mut self.stdout), std::mem::take(&mut self.stderr));
        if let (Some(promise), Some(status)) = (self.promise.take(), process.exit_status()) {
            // Nobody can have given up.
            let _ = promise.set_result(Output { status, stdout, stderr });
        }
        Ok(())
    }
}

fn check(output: &Output) -> Result {
    match output.status.success() && output.stdout == b"hello\n" && output.stderr.is_empty() {
        true => Ok(()),
        false => Err(format!("a child did not say hello: {output:?}").into()),
    }
}
