//! The same child, once per library: its input is nothing, its output and errors are collected.

use std::process::{Command, Output, Stdio};

use wharf::EventLoop;

use crate::Result;

const PROGRAM: &str = "/bin/echo";
const ARGUMENT: &str = "hello";

/// Runs so many children, one after the other.
pub(super) type Contender = fn(usize) -> Result;

pub(super) const CONTENDERS: [(&str, Contender); 3] =
    [("std, blocking", with_std), ("tokio", with_tokio), ("wharf", with_wharf)];

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

fn check(output: &Output) -> Result {
    match output.status.success() && output.stdout == b"hello\n" && output.stderr.is_empty() {
        true => Ok(()),
        false => Err(format!("a child did not say hello: {output:?}").into()),
    }
}
