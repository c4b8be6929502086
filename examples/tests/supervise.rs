//! The example that keeps programs running.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::observer::is_running;
use crate::process::Guard;
use crate::program::{Ending, PATIENCE, Program, built};

fn supervise(arguments: &[&str]) -> Ending {
    Program::example("supervise", arguments).end()
}

#[test]
fn supervise_shows_every_line_with_its_name_and_ends_with_its_programs() {
    let ending = supervise(&["a: echo one; echo two >&2; printf three", "long: seq 1 3"]);
    assert_eq!(ending.code, Some(0), "{}", ending.errors);
    let mut lines = ending.output;
    lines.sort();
    assert_eq!(lines, ["a    | one", "a    | three", "long | 1", "long | 2", "long | 3"]);
    assert!(ending.errors.contains("a    | two\n"), "{}", ending.errors);
    assert!(ending.errors.contains("supervise: long has ended\n"), "{}", ending.errors);
}

#[test]
fn supervise_starts_again_what_fails_ever_later_and_gives_up() {
    let began = Instant::now();
    let ending = supervise(&["--restarts", "3", "--delay", "20", "x: echo tried; exit 7"]);
    assert_eq!(ending.code, Some(1));
    assert_eq!(ending.output, ["x | tried"; 4]);
    assert!(began.elapsed() >= Duration::from_millis(20 + 40 + 80));
    for part in ["again in 20ms", "again in 40ms", "again in 80ms", "given up"] {
        assert!(ending.errors.contains(&format!("exit status: 7; {part}")), "{}", ending.errors);
    }
}

#[test]
fn supervise_passes_a_signal_on_to_all_that_its_programs_have_started() {
    // Who tells its number is no shell's copy any more, which could lose a signal.
    let line = "shell: trap 'echo bye; exit 1' TERM; sh -c 'echo $$; exec sleep 100' & wait";
    let program = Program::example("supervise", &[line, "other: echo $$; exec sleep 100"]);
    let pid = |line: String| line.split(" | ").nth(1).expect(&line).parse::<u32>().unwrap();
    let pids = [pid(program.line()), pid(program.line())];
    assert!(pids.iter().all(|pid| is_running(*pid)));
    program.signal(Signal::TERM);
    let ending = program.end();
    assert_eq!(ending.code, Some(0), "{}", ending.errors);
    assert_eq!(ending.output, ["shell | bye"]);
    assert_gone(&pids);
}

/// What is no child of the program's may die a little later than it ends.
#[track_caller]
fn assert_gone(pids: &[u32]) {
    let began = Instant::now();
    while pids.iter().any(|pid| is_running(*pid)) {
        assert!(began.elapsed() < PATIENCE, "one of {pids:?} was left");
        std::thread::yield_now();
    }
}

fn pid_in(line: &str) -> u32 {
    line.split(" | ").nth(1).expect(line).parse().expect(line)
}

#[test]
fn supervise_leaves_nothing_behind_when_it_is_stopped() {
    let line = "a: (trap '' INT TERM; exec sh -c 'echo $$; exec sleep 100') & wait";
    let program = Program::example("supervise", &["--grace", "0.3", line]);
    let pid = pid_in(&program.line());
    program.signal(Signal::TERM);
    let ending = program.end();
    assert_eq!(ending.code, Some(1));
    let told = "SIGTERM is passed on to a; after 300ms, or at another signal, they are killed\n";
    assert!(ending.errors.starts_with(&format!("supervise: {told}")), "{}", ending.errors);
    assert!(ending.errors.contains("it is killed"), "{}", ending.errors);
    assert_gone(&[pid]);
}

#[test]
fn supervise_ends_what_a_program_has_left_behind() {
    // One that still could write, and one that could not.
    for (rest, is_told) in [("", true), (">/dev/null 2>&1", false)] {
        let ending = supervise(&[&format!("a: sleep 100 {rest} & echo $!")]);
        assert_eq!(ending.code, Some(0), "{}", ending.errors);
        assert_eq!(ending.errors.contains("has left something running"), is_told);
        assert!(ending.errors.ends_with("supervise: a has ended\n"), "{}", ending.errors);
        assert_gone(&[pid_in(&ending.output[0])]);
    }
}

#[test]
fn supervise_passes_a_hang_up_on() {
    let program = Program::example("supervise", &["a: echo $$; exec sleep 100"]);
    let pid = pid_in(&program.line());
    program.signal(Signal::HUP);
    let ending = program.end();
    assert_eq!(ending.code, Some(0));
    assert!(ending.errors.starts_with("supervise: SIGHUP is passed on to a;"), "{}", ending.errors);
    assert_gone(&[pid]);
}

/// Nobody reads standard output: the loop goes on all the same.
#[test]
fn supervise_obeys_signals_while_nobody_reads_its_output() {
    let mut command = Command::new(built("supervise"));
    command.args(["--grace", "1000", "a: yes", "b: trap '' TERM; echo up >&2; exec sleep 100"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut child = Guard(child);
    let mut errors = BufReader::new(child.0.stderr.take().unwrap()).lines().map_while(Result::ok);
    assert_eq!(errors.next().unwrap(), "b | up");
    // Full, as what is read would be more.
    let output = child.0.stdout.take().unwrap();
    let began = Instant::now();
    while rustix::io::ioctl_fionread(&output).unwrap() < 60_000 {
        assert!(began.elapsed() < PATIENCE, "the pipe does not fill up");
        std::thread::sleep(Duration::from_millis(5));
    }
    let signal = |signal| kill_process(Pid::from_child(&child.0), signal).unwrap();
    signal(Signal::TERM);
    assert!(errors.next().unwrap().starts_with("supervise: SIGTERM is passed on to a, b;"));
    signal(Signal::INT);
    let told: Vec<_> = errors.collect();
    assert!(told.iter().any(|line| line == "supervise: b is killed"), "{told:?}");
    let last = "supervise: standard output: the reader took too long; the rest was dropped";
    assert_eq!(told.last().map(String::as_str), Some(last), "{told:?}");
    assert_eq!(child.wait().code(), Some(1));
}

#[test]
fn supervise_loses_nothing_to_a_reader_that_is_slow() {
    let script = "$SUPERVISE 'a: seq 100000' 'b: seq 100000' 2>/dev/null | { sleep 0.5; wc -l; }";
    let ending = shell(script);
    assert_eq!((ending.code, &ending.output[..]), (Some(0), &["200000".to_owned()][..]));
}

#[test]
fn supervise_ends_its_programs_when_its_output_is_lost() {
    let script = "{ $SUPERVISE 'a: echo $$; exec sleep 100'; echo $? >&2; } | head -1";
    let ending = shell(script);
    assert_gone(&[pid_in(&ending.output[0])]);
    let told = "supervise: standard output: nobody reads it any more; all programs are ended\n";
    assert!(ending.errors.starts_with(told), "{}", ending.errors);
    assert!(ending.errors.ends_with("\n1\n"), "{}", ending.errors);
}

#[cfg(target_os = "linux")]
#[test]
fn supervise_tells_a_full_disk() {
    let ending = shell("$SUPERVISE 'a: echo 1; exec sleep 100' > /dev/full; echo $?");
    assert_eq!(ending.output, ["1"]);
    assert!(ending.errors.starts_with("supervise: standard output: "), "{}", ending.errors);
    assert!(ending.errors.contains("No space left"), "{}", ending.errors);
}

/// Runs a shell's script in which `$SUPERVISE` is the example.
fn shell(script: &str) -> Ending {
    let mut command = Command::new("sh");
    command.args(["-c", script]).env("SUPERVISE", built("supervise"));
    Program::start(&mut command).expect("every system has a shell").end()
}

#[test]
fn supervise_keeps_names_in_front_of_lines_that_begin_again() {
    let ending = supervise(&[r"a: printf '\r10%%\r20%%\r\r\nend\r\n\nlast'"]);
    assert_eq!(ending.output, ["a | 10%", "a | 20%", "a | end", "a | ", "a | last"]);
}

#[test]
fn supervise_does_not_wait_for_a_restart_that_is_due_when_it_is_stopped() {
    let program = Program::example("supervise", &["--delay", "30000", "x: echo tried; false"]);
    assert_eq!(program.line(), "x | tried");
    // It may be told while the program still runs.
    program.signal(Signal::INT);
    assert_eq!(program.end().code, Some(0));
}

#[test]
fn supervise_kills_who_does_not_end_within_the_grace_or_at_the_second_signal() {
    let deaf = "deaf: trap '' TERM; echo deaf; while :; do sleep 0.05; done";
    let program = Program::example("supervise", &["--grace", "0.1", deaf]);
    program.line();
    program.signal(Signal::TERM);
    let ending = program.end();
    assert_eq!(ending.code, Some(1));
    assert!(ending.errors.contains("deaf is killed"), "{}", ending.errors);

    let program = Program::example("supervise", &["--grace", "1000", deaf]);
    program.line();
    program.signal(Signal::TERM);
    // Two signals of one number can become one; these are two.
    program.signal(Signal::INT);
    assert_eq!(program.end().code, Some(1));
}

#[test]
fn supervise_reads_a_procfile_and_says_what_is_wrong() {
    let path = std::env::temp_dir().join(format!("wharf-supervise-{}", std::process::id()));
    std::fs::write(&path, "# programs\n\none: echo 1\ntwo: echo 2:3\n").unwrap();
    let ending = supervise(&["--color", "--file", path.to_str().unwrap()]);
    std::fs::remove_file(&path).unwrap();
    let mut lines = ending.output;
    lines.sort();
    assert_eq!(lines, ["\u{1b}[33mtwo |\u{1b}[0m 2:3", "\u{1b}[36mone |\u{1b}[0m 1"]);
    for wrong in [&["no command"][..], &["a:"], &[], &["--file", "/nonexistent/file"]] {
        let ending = supervise(wrong);
        assert!(matches!(ending.code, Some(1 | 2)) && !ending.errors.is_empty(), "{wrong:?}");
    }
}
