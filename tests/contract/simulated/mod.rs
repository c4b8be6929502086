//! The contract in simulations: the tests that need nothing of the operating system run once more, in a process in which
//! each loop, and each network in memory, is one of a simulation ([`crate::loops`]).
//!
//! `WHARF_SIM_SEEDS=100 cargo test --release --all-features --test contract in_simulations` runs all of them with so many
//! seeds; `WHARF_SIM_CONTRACT=7 cargo test --all-features --test contract NAME` runs one with one.

mod exceptions;

use std::fs::File;
use std::process::{Command, Stdio};

use self::exceptions::EXCEPTIONS;
use crate::loops::{SEED, are_simulated};
use crate::process::Guard;
use crate::serving::Directory;

/// Of so many tests one runs without being asked for.
const SHARE: usize = 4;

/// Those that take the longest run only when they are asked for.
const LONG: &[&str] = &["tls::sweep::", "random", "ports_in_memory", "relay::passing::"];

#[test]
fn the_contract_holds_in_simulations() {
    if are_simulated() {
        return;
    }
    let tests: Vec<String> = all().into_iter().filter(|test| exception(test).is_none()).collect();
    let seeds = std::env::var("WHARF_SIM_SEEDS").ok().map(|text| text.parse().expect("a number"));
    let Some(seeds) = seeds else {
        let is_short = |test: &&String| LONG.iter().all(|long| !test.contains(long));
        let share: Vec<&String> = tests.iter().filter(is_short).step_by(SHARE).collect();
        return run(1, &share);
    };
    let tests: Vec<&String> = tests.iter().collect();
    (0..seeds).for_each(|seed| run(seed, &tests));
}

#[test]
fn each_exception_is_of_a_test_and_says_why() {
    let tests = all();
    let mut names: Vec<&str> = EXCEPTIONS.iter().flat_map(|(_, names)| *names).copied().collect();
    for name in &names {
        assert!(tests.iter().any(|test| is_meant(name, test)), "there is no test {name}");
    }
    assert!(EXCEPTIONS.iter().all(|(because, _)| !because.is_empty()));
    names.sort_unstable();
    let twice = names.windows(2).find(|pair| is_meant(pair[0], pair[1]));
    assert_eq!(twice, None, "one is listed by the other");
}

/// Runs these tests with this seed, in a process of their own.
fn run(seed: u64, tests: &[&String]) {
    let folder = Directory::new();
    let path = folder.join("output");
    let output = File::create(&path).expect("a file");
    let mut command = this_program();
    command.arg("--exact").args(tests).env(SEED, seed.to_string());
    let errors = output.try_clone().expect("the same file");
    command.stdin(Stdio::null()).stdout(output).stderr(errors);
    let status = Guard(command.spawn().expect("a process")).wait();
    let text = std::fs::read_to_string(&path).expect("its output");
    assert!(status.success(), "with {SEED}={seed}, {status}:\n{text}");
    assert!(text.contains(&format!("running {} tests", tests.len())), "{text}");
}

/// The names of all tests of this program.
fn all() -> Vec<String> {
    let output = this_program().arg("--list").output().expect("a list");
    let text = String::from_utf8(output.stdout).expect("text");
    text.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect()
}

fn this_program() -> Command {
    Command::new(std::env::current_exe().expect("this program"))
}

/// Why this test does not run in simulations.
fn exception(test: &str) -> Option<&'static str> {
    let found = EXCEPTIONS.iter().find(|(_, names)| names.iter().any(|name| is_meant(name, test)));
    found.map(|(because, _)| *because)
}

/// The name of a module, which ends with `::`, means its tests.
fn is_meant(name: &str, test: &str) -> bool {
    if name.ends_with("::") { test.starts_with(name) } else { test == name }
}
