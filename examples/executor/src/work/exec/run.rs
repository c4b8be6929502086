//! One program.

use std::cell::RefCell;
use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt as _;
use std::pin::pin;
use std::process::ExitStatus;
use std::rc::Rc;
use std::time::Duration;

use serde_json::json;
use wharf::signal::SIGTERM;
use wharf::{ChildProcess, ProcessTransport as _, Result, Stdio, StreamReader};

use super::arguments::ExecArguments;
use super::warden::{MARK, Warden};
use crate::work::Failure;
use crate::work::functions::{Call, Returned, parsed, returned};
use crate::work::output::TaskOutput;
use crate::work::stop::{StopSignal, Why, beside, race};

/// How much of standard error is in the error of a task, in bytes.
const MOST_OF_STDERR: usize = 1024;
/// How long the output of a program that has exited is waited for: something that has left its group may have it open.
const REST: Duration = Duration::from_secs(1);

/// Runs a program, and ends it when the task is to end.
pub(super) async fn run(call: Call, warden: Rc<Warden>) -> Returned {
    let arguments: ExecArguments = parsed(&call.arguments)?;
    warden.start(&call.event_loop).await.map_err(|error| format!("no warden: {error:#}"))?;
    let child = start(&call, &arguments, &warden).await?;
    let group = Group { child, warden };
    group.warden.watch(group.child.pid());
    let (status, errors) = finish(&call, &arguments, group).await?;
    let error = match (status.code(), call.stop.why()) {
        (Some(0), _) => return returned(Ok::<_, Failure>(json!({"status": 0}))),
        (_, Some(Why::Timeout(most))) => format!("it took longer than {most} ms"),
        (_, Some(Why::Told)) => "it was told to end".into(),
        (Some(code), None) => format!("it exited with status {code}"),
        (None, None) => {
            format!("signal {} ended it", status.signal().unwrap_or_default())
        }
    };
    let errors = errors.trim_end();
    let separator = if errors.is_empty() { "" } else { "; it wrote:\n" };
    Err(format!("{error}{separator}{errors}").into())
}

/// A program and all that it has started in its group, which is killed when this is dropped.
struct Group {
    child: ChildProcess,
    warden: Rc<Warden>,
}

impl Drop for Group {
    fn drop(&mut self) {
        // In this order: while there is a handle, nobody else gets the number.
        self.child.process().close();
        self.warden.forget(self.child.pid());
    }
}

async fn start(
    call: &Call,
    arguments: &ExecArguments,
    warden: &Warden,
) -> Result<ChildProcess, Failure> {
    let line = arguments.command_line().map_err(Failure::permanent)?;
    let (program, rest) = line.split_first().ok_or("argv is empty")?;
    let mut builder = call.event_loop.create_subprocess_exec(program).args(rest).process_group(0);
    if arguments.clear_env {
        builder = builder.env_clear();
    } else {
        // Tokens are among them.
        for name in variables_of_this_program() {
            builder = builder.env_remove(name);
        }
    }
    if let Some(directory) = &arguments.cwd {
        builder = builder.current_dir(directory);
    }
    if arguments.stdin.is_none() {
        builder = builder.stdin(Stdio::null());
    }
    let builder = builder
        .envs(&arguments.env)
        .env("WHARF_TASK_ID", &*call.id)
        .env("WHARF_TASK_ATTEMPT", call.attempt.to_string())
        .env(MARK, warden.mark());
    let mut child = builder.await.map_err(|error| format!("{error:#}"))?;
    if let (Some(stdin), Some(text)) = (child.stdin.take(), &arguments.stdin) {
        // Its end follows when all of it is taken.
        stdin.write(text.as_bytes());
    }
    Ok(child)
}

fn variables_of_this_program() -> impl Iterator<Item = OsString> {
    let names = std::env::vars_os().map(|(name, _)| name);
    names.filter(|name| name.as_encoded_bytes().starts_with(b"WHARF_EXECUTOR"))
}

/// Waits for the program's end, while its output is read; ends it when the task is to end. Gives the end of what it wrote
/// to standard error, too.
async fn finish(
    call: &Call,
    arguments: &ExecArguments,
    mut group: Group,
) -> Result<(ExitStatus, String), Failure> {
    let (stdout, stderr) = (group.child.stdout.take(), group.child.stderr.take());
    let (has_exited, end) = (StopSignal::default(), RefCell::default());
    let reading = async {
        let out = read(stdout, false, &call.output, &has_exited, None);
        let errors = read(stderr, true, &call.output, &has_exited, Some(&end));
        futures_util::future::join(out, errors).await;
    };
    let (mut reading, mut is_read) = (pin!(reading), false);
    let exit = until_exit(&group.child, arguments, &call.stop);
    let status = beside(exit, reading.as_mut(), &mut is_read).await?;
    drop(group);
    has_exited.stop(Why::Told);
    if !is_read {
        let _ = wharf::move_on_after(REST, reading).await;
    }
    Ok((status, end.take()))
}

/// Waits for the program's exit. If the task is to end before, the group gets SIGTERM; when the grace is over, it gets
/// SIGKILL, as it does whenever the program has exited.
async fn until_exit(
    child: &ChildProcess,
    arguments: &ExecArguments,
    stop: &StopSignal,
) -> Result<ExitStatus, Failure> {
    if let Ok(status) = race(child.wait(), stop.stopped()).await {
        return Ok(status?);
    }
    // One that has exited meanwhile is no error.
    let _ = child.process().send_signal_to_group(SIGTERM);
    let grace = Duration::from_millis(arguments.grace());
    if let Some(status) = wharf::move_on_after(grace, child.wait()).await {
        return Ok(status?);
    }
    child.process().close();
    Ok(child.wait().await?)
}

/// Passes on what the program writes, and does not read while much of it is not sent.
async fn read(
    reader: Option<StreamReader>,
    is_stderr: bool,
    output: &TaskOutput,
    has_exited: &StopSignal,
    end: Option<&RefCell<String>>,
) {
    let Some(mut reader) = reader else { return };
    let mut decoder = Decoder::default();
    loop {
        // A pipe that fails has ended.
        let bytes = reader.read_chunk().await.unwrap_or_default();
        let is_end = bytes.is_empty();
        let text = decoder.decode(bytes, is_end);
        output.write(is_stderr, &text);
        if let Some(end) = end {
            keep_end(&mut end.borrow_mut(), &text);
        }
        if is_end {
            return;
        }
        // What is left when it has exited is little, and waits for nobody.
        let _ = race(output.has_space(), has_exited.stopped()).await;
    }
}

fn keep_end(end: &mut String, text: &str) {
    end.push_str(text);
    let mut first = end.len().saturating_sub(MOST_OF_STDERR);
    while !end.is_char_boundary(first) {
        first += 1;
    }
    end.drain(..first);
}

/// Makes text of bytes that come in any parts.
#[derive(Default)]
pub(super) struct Decoder {
    /// The beginning of a character.
    rest: Vec<u8>,
}

impl Decoder {
    /// The text of these bytes, but for a character that is not complete. What is no UTF-8 becomes U+FFFD.
    pub(super) fn decode(&mut self, bytes: &[u8], is_end: bool) -> String {
        self.rest.extend_from_slice(bytes);
        let kept = if is_end { 0 } else { incomplete(&self.rest) };
        let rest = self.rest.split_off(self.rest.len() - kept);
        let whole = std::mem::replace(&mut self.rest, rest);
        String::from_utf8_lossy(&whole).into_owned()
    }
}

/// How many of the last bytes may be the beginning of a character.
fn incomplete(bytes: &[u8]) -> usize {
    match bytes.utf8_chunks().last() {
        // It says where the bytes end that could still become one.
        Some(last) if last.invalid().len() < 4 => {
            let invalid = last.invalid();
            let error = std::str::from_utf8(invalid).err();
            if error.is_some_and(|error| error.error_len().is_none()) { invalid.len() } else { 0 }
        }
        _ => 0,
    }
}
