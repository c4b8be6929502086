//! Standard streams in pipelines, with files, terminals and nothing: `tee` among real programs.

use std::process::Command;

use rustix::process::Signal;

use crate::needs;
use crate::program::{Ending, Program, built};
use crate::serving::Directory;

/// Runs a shell's script in which `$TEE` is the example, in a directory of its own.
fn shell(script: &str) -> (Ending, Directory) {
    let directory = Directory::new();
    let program = started(script, &directory).expect("every system has a shell");
    (program.end(), directory)
}

fn started(script: &str, directory: &Directory) -> Option<Program> {
    let tee = built("tee");
    assert!(tee.exists(), "`cargo build --examples` makes {}", tee.display());
    let mut command = Command::new("sh");
    command.args(["-c", script]).env("TEE", tee).current_dir(directory.join("."));
    Program::start(&mut command).ok()
}

#[track_caller]
fn assert_output(script: &str, expected: &[&str]) {
    let (ending, _directory) = shell(script);
    assert_eq!((ending.errors.as_str(), ending.code), ("", Some(0)), "{script}");
    assert_eq!(ending.output, expected, "{script}");
}

#[test]
fn everything_passes_through_a_pipeline() {
    assert_output("printf 'one\\ntwo\\n' | $TEE | cat", &["one", "two"]);
    // Larger than all buffers on the way, and none of it twice or lost.
    let script = "seq 1000000 > numbers; $TEE copy < numbers | cmp - numbers && cmp copy numbers \
                  && cat numbers | $TEE | $TEE | cmp - numbers && echo equal";
    assert_output(script, &["equal"]);
}

#[test]
fn a_reader_that_leaves_early_ends_the_pipeline() {
    assert_output("yes | $TEE | head -3; echo $?", &["y", "y", "y", "0"]);
    assert_output("yes | $TEE | head -c 1000000 | wc -c", &["1000000"]);
    // Also while it has nothing to write: the poll tells, no write does.
    let script = "mkfifo quiet; sleep 30 > quiet & quiet=$!
        $TEE < quiet | true; kill $quiet; echo over";
    assert_output(script, &["over"]);
}

#[test]
fn a_reader_that_is_slow_or_stopped_loses_nothing() {
    let script =
        "seq 200000 > numbers; $TEE < numbers | { sleep 0.3; cmp - numbers; } && echo equal";
    assert_output(script, &["equal"]);
    let script =
        "seq 200000 > numbers; sh -c 'kill -STOP $$; exec cmp - numbers' < fifo & reader=$!
        $TEE < numbers > fifo & writer=$!
        sleep 0.2; kill -CONT $reader; wait $reader && wait $writer && echo equal";
    assert_output(&format!("mkfifo fifo; {script}"), &["equal"]);
}

#[test]
fn files_and_devices_are_standard_streams() {
    assert_output("echo text > file; $TEE < file > copy; cat copy", &["text"]);
    assert_output("echo text | $TEE > file; $TEE < file", &["text"]);
    assert_output("$TEE < /dev/null; echo $?", &["0"]);
    assert_output("seq 100000 | $TEE > /dev/null; echo $?", &["0"]);
    assert_output("head -c 3000000 /dev/zero | $TEE | wc -c", &["3000000"]);
    assert_output("$TEE < /dev/zero | head -c 3000000 | wc -c", &["3000000"]);
    // The position in a file is shared with whoever comes before and after.
    let script = "{ echo first; echo second | $TEE; echo third; } > file; cat file";
    assert_output(script, &["first", "second", "third"]);
    let script = "printf 'first\\nsecond\\n' > file; { read line; $TEE; } < file";
    assert_output(script, &["second"]);
    let script = "echo before > file; echo after | $TEE >> file; cat file";
    assert_output(script, &["before", "after"]);
}

#[test]
fn closed_standard_streams_are_empty() {
    assert_output("$TEE <&-; echo $?", &["0"]);
    assert_output("echo lost | $TEE >&-; echo $?", &["0"]);
    assert_output("echo kept | $TEE 2>&-; echo $?", &["kept", "0"]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_told() {
    let (ending, _directory) = shell("echo text | $TEE copy > /dev/full; echo $?; cat copy");
    assert_eq!(ending.output, ["1", "text"]);
    assert!(ending.errors.starts_with("tee: standard output: "), "{}", ending.errors);
}

#[test]
fn an_output_that_cannot_be_had_is_named_and_the_others_go_on() {
    let script =
        "mkdir folder; echo text | $TEE /no/such/folder/file folder copy; echo $?; cat copy";
    let (ending, _directory) = shell(script);
    assert_eq!(ending.output, ["text", "1", "text"]);
    let errors: Vec<_> = ending.errors.lines().collect();
    assert_eq!(errors.len(), 2, "{}", ending.errors);
    assert!(errors[0].starts_with("tee: /no/such/folder/file: "), "{}", ending.errors);
    assert!(errors[1].starts_with("tee: folder: "), "{}", ending.errors);
}

#[cfg(target_os = "linux")]
#[test]
fn every_failure_is_told_and_shows_in_the_exit_code() {
    let (ending, _directory) = shell("seq 100000 | $TEE /dev/full | tail -1; $TEE < .; echo $?");
    assert_eq!(ending.output, ["100000", "1"]);
    let errors: Vec<_> = ending.errors.lines().collect();
    assert_eq!(errors.len(), 2, "{}", ending.errors);
    assert!(errors[0].starts_with("tee: /dev/full: "), "{}", ending.errors);
    assert!(errors[1].starts_with("tee: standard input: "), "{}", ending.errors);
    // With no output left, the input is not waited for.
    let script = "mkfifo quiet; { echo text; exec sleep 30; } > quiet & quiet=$!
        $TEE < quiet > /dev/full; echo $?; kill $quiet";
    assert_eq!(shell(script).0.output, ["1"]);
}

#[test]
fn a_reader_that_leaves_early_is_no_failure() {
    let script =
        "{ yes | $TEE; echo $? > code; } | head -1; while ! [ -s code ]; do sleep 0.05; done
        cat code";
    assert_output(script, &["y", "0"]);
}

#[test]
fn a_fifo_that_nobody_reads_is_named() {
    let script = "mkfifo fifo; { echo text | $TEE fifo; echo $?; } 2> said &
        while ! [ -s said ]; do sleep 0.05; done; cat fifo > copy; wait; cat copy said";
    let expected = ["text", "0", "text", "tee: waiting for somebody to read fifo"];
    assert_output(script, &expected);
}

#[test]
fn a_writer_that_is_killed_is_the_end_of_input() {
    let script = "sh -c 'echo half; kill -9 $$' | $TEE; echo over";
    let (ending, _directory) = shell(script);
    assert_eq!(ending.output, ["half", "over"]);
}

#[test]
fn fifos_join_processes_that_come_one_after_the_other() {
    let script = "mkfifo fifo; cat fifo > copy & echo text | $TEE fifo; wait; cat copy";
    assert_output(script, &["text", "text"]);
    // The FIFO is opened when somebody reads it, and standard input waits.
    let script = "mkfifo fifo; (sleep 0.2; cat fifo) & echo text | $TEE fifo > /dev/null; wait";
    assert_output(script, &["text"]);
    let script = "mkfifo fifo; $TEE < fifo & echo one > fifo; wait";
    assert_output(script, &["one"]);
    // Its writer is gone when the program begins to read.
    let script = "mkfifo fifo; { sleep 0.2; $TEE; } < fifo & echo one > fifo; wait";
    assert_output(script, &["one"]);
    assert_output("echo one | { sleep 0.1; $TEE; }", &["one"]);
}

#[test]
fn what_others_share_stays_blocking() {
    // Both pipes and the program after it find their ends as they were; had the descriptions been
    // made non-blocking, `cat` and `read` would fail with EAGAIN.
    let script = "(sleep 0.1; echo one; sleep 0.1; echo two) | { $TEE <&0 & sleep 0.05; kill -9 $!; \
                  cat; }";
    let (ending, _directory) = shell(script);
    assert!(!ending.errors.contains("unavailable"), "{}", ending.errors);
    assert_eq!(ending.output.last().map(String::as_str), Some("two"));
    let script =
        "seq 100000 > numbers; { echo | $TEE > /dev/null; cat numbers; } | { sleep 0.1; wc -l; }";
    assert_output(script, &["100000"]);
}

/// Runs the example on a terminal of its own, and says how it left that.
const ON_A_TERMINAL: &str = r#"
import fcntl, os, pty, select, signal, subprocess, sys, termios, time

master, terminal = pty.openpty()
before = termios.tcgetattr(terminal)
flags = fcntl.fcntl(terminal, fcntl.F_GETFL)

def leave_controlling_terminal():
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)

program = subprocess.Popen([os.environ["TEE"]], stdin=terminal, stdout=terminal, stderr=terminal,
                           preexec_fn=leave_controlling_terminal)

def shown(wanted):
    text = b""
    limit = time.monotonic() + 15
    while wanted not in text:
        assert time.monotonic() < limit, text
        if select.select([master], [], [], 0.1)[0]:
            text += os.read(master, 1000)
    return text

os.write(master, b"typed\n")
# Echoed by the terminal, then by the program.
shown(b"typed\r\ntyped\r\n")
during = fcntl.fcntl(terminal, fcntl.F_GETFL)
if sys.argv[1] == "end":
    os.write(master, b"\x04")
else:
    os.kill(program.pid, int(sys.argv[1]))
print(program.wait(timeout=15))
assert termios.tcgetattr(terminal) == before, "the settings differ"
assert not during & os.O_NONBLOCK, "the others' terminal did not block meanwhile"
assert fcntl.fcntl(terminal, fcntl.F_GETFL) == flags, "the flags differ"
"#;

#[test]
fn a_terminal_is_left_as_it_was_however_the_program_ends() {
    for (how, code) in [("end", "0"), ("9", "-9"), ("15", "-15")] {
        let Some(program) = on_a_terminal(&["-c", ON_A_TERMINAL, how]) else { return };
        let ending = program.end();
        assert_eq!(ending.errors, "", "{how}");
        assert_eq!(ending.output, [code], "{how}");
    }
}

#[test]
fn a_terminal_that_hangs_up_ends_the_program() {
    let script = r#"
import os, pty, subprocess
master, terminal = pty.openpty()
program = subprocess.Popen([os.environ["TEE"]], stdin=terminal, stdout=terminal, stderr=terminal)
os.close(terminal)
os.write(master, b"typed\n")
text = b""
while b"typed\r\ntyped\r\n" not in text:
    text += os.read(master, 1000)
os.close(master)
print(program.wait(timeout=15))
"#;
    let Some(program) = on_a_terminal(&["-c", script]) else { return };
    let ending = program.end();
    assert_eq!((ending.errors.as_str(), &ending.output[..]), ("", &["0".to_owned()][..]));
}

#[test]
fn standard_input_may_be_the_masters_side_of_a_terminal() {
    // Its input is that terminal's, not a new one's.
    let script = r#"
import os, pty, select, subprocess, sys, tty
master, terminal = pty.openpty()
tty.setraw(terminal)
program = subprocess.Popen([os.environ["TEE"]], stdin=master, stdout=subprocess.PIPE)
os.write(terminal, b"typed\n")
if not select.select([program.stdout], [], [], 15)[0]:
    program.kill()
    sys.exit("nothing came")
print(os.read(program.stdout.fileno(), 100).decode().strip())
os.close(terminal)
print(program.wait(timeout=15))
"#;
    let Some(program) = on_a_terminal(&["-c", script]) else { return };
    let ending = program.end();
    assert_eq!(ending.errors, "");
    assert_eq!(ending.output, ["typed", "0"]);
}

fn on_a_terminal(arguments: &[&str]) -> Option<Program> {
    let mut command = Command::new("python3");
    command.args(arguments).env("TEE", built("tee"));
    needs::program("python3").then(|| Program::start(&mut command).expect("a process"))
}

#[test]
fn a_signal_ends_it_while_it_waits() {
    let directory = Directory::new();
    let mut program = started("exec $TEE", &directory).unwrap();
    program.types("kept\n");
    assert_eq!(program.line(), "kept");
    program.signal(Signal::TERM);
    assert_eq!(program.end().code, None);
}
