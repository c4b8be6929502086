//! The example that keeps programs running.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::observer::is_running;
use crate::program::{Ending, PATIENCE, Program};

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
    let line = "shell: trap 'echo bye; exit 1' TERM; sleep 100 & echo $!; wait";
    let program = Program::example("supervise", &[line, "other: echo $$; exec sleep 100"]);
    let pid = |line: String| line.split(" | ").nth(1).expect(&line).parse::<u32>().unwrap();
    let pids = [pid(program.line()), pid(program.line())];
    assert!(pids.iter().all(|pid| is_running(*pid)));
    program.signal(Signal::TERM);
    let ending = program.end();
    assert_eq!(ending.code, Some(0), "{}", ending.errors);
    assert_eq!(ending.output, ["shell | bye"]);
    // What is no child of the program's may die a little later than it ends.
    let began = Instant::now();
    while pids.iter().any(|pid| is_running(*pid)) {
        assert!(began.elapsed() < PATIENCE, "one of {pids:?} was left");
        std::thread::yield_now();
    }
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
    let program = Program::example("supervise", &["--grace", "0", deaf]);
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
