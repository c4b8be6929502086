//! The chat under simulation, and what looks at its evenings.

#[path = "../sim_chat/evening.rs"]
mod evening;

use std::process::Command;

use self::evening::Evening;
use crate::program::{Program, built};

#[test]
fn who_stays_in_the_chat_hears_the_same_in_the_same_order() {
    let mut command = Command::new(built("sim_chat"));
    let program = Program::start(command.env("WHARF_SIM_SEEDS", "25")).unwrap();
    let ending = program.end();
    assert_eq!(ending.code, Some(0), "{ending:?}");
    // Two of them were run twice.
    assert!(ending.output[0].starts_with("27 evenings of 60s in "), "{ending:?}");
}

/// What is wrong with an evening in which three lines are said, and these are heard, by number, of two others.
fn outcome(first: &[usize], second: &[usize]) -> Result<(), String> {
    let evening = Evening::default();
    let speaker = evening.begin("speaker");
    let lines: Vec<_> = (0..3).map(|length| evening.says(speaker, length)).collect();
    for (name, heard) in [("first", first), ("second", second)] {
        let visit = evening.begin(name);
        evening.hears(visit, b"* welcome\n");
        for number in heard {
            evening.hears(visit, format!("<speaker> {}\n", lines[*number]).as_bytes());
        }
    }
    evening.check(&[]).map_err(|error| error.to_string())
}

#[test]
fn lines_heard_out_of_turn_twice_or_not_at_all_are_found() {
    for good in [[&[0, 1, 2][..], &[0, 1, 2]], [&[0, 1], &[1, 2]], [&[0], &[2]], [&[], &[1]]] {
        assert_eq!(outcome(good[0], good[1]), Ok(()), "{good:?}");
    }
    for bad in [[0, 2, 1], [0, 0, 1], [0, 1, 1], [1, 2, 0]] {
        assert!(outcome(&bad, &[]).unwrap_err().contains("out of turn"), "{bad:?}");
    }
}

#[test]
fn lines_of_several_that_two_hear_in_another_order_or_with_a_gap_are_found() {
    let check = |heard: [&[usize]; 2]| {
        let evening = Evening::default();
        // Each says one line.
        let lines: Vec<_> = (0..4).map(|_| evening.says(evening.begin("speaker"), 1)).collect();
        for lines_heard in heard {
            let visit = evening.begin("listener");
            for number in lines_heard {
                evening.hears(visit, format!("<speaker> {}\n", lines[*number]).as_bytes());
            }
        }
        evening.check(&[]).is_ok()
    };
    assert!(check([&[0, 1, 2], &[1, 2, 3]]));
    assert!(check([&[1, 2, 3], &[0, 1]]));
    assert!(!check([&[0, 1, 2], &[1, 0, 2]]));
    assert!(!check([&[0, 2], &[0, 1, 2]]));
    assert!(!check([&[0, 1, 2, 3], &[1, 3]]));
    assert!(!check([&[3, 0, 1], &[2, 0, 3]]));
}

#[test]
fn what_nobody_said_and_who_does_not_hear_is_found() {
    let evening = Evening::default();
    let visits = ["ann", "bob"].map(|name| evening.begin(name));
    let cut_off = evening.says(visits[0], 5).replace("xx", "x");
    evening.hears(visits[1], format!("<ann> {cut_off}\n").as_bytes());
    let error = evening.check(&[]).unwrap_err().to_string();
    assert!(error.starts_with("bob heard what nobody said"), "{error}");

    let says_both = |settled_first: bool| {
        let evening = Evening::default();
        let visits = ["ann", "bob"].map(|name| evening.begin(name));
        if settled_first {
            evening.settle();
        }
        for (from, to) in [(0, 1), (1, 0)] {
            let line = evening.says(visits[from], 1);
            evening.hears(visits[to], format!("<x> {line}\n").as_bytes());
        }
        if !settled_first {
            evening.settle();
        }
        evening.check(&["ann", "bob"]).map_err(|error| error.to_string())
    };
    assert_eq!(says_both(true), Ok(()));
    assert_eq!(says_both(false), Err("in the end ann does not hear bob".to_owned()));
}

#[test]
fn who_loses_the_server_though_all_is_well_or_leaves_unasked_is_found() {
    let evening = Evening::default();
    let visit = evening.begin("ann");
    evening.end(visit, Ok(()));
    assert_eq!(evening.check(&[]).unwrap_err().to_string(), "ann left without a wish to");

    let evening = Evening::default();
    let visit = evening.begin("ann");
    assert!(evening.quits(visit));
    evening.end(visit, Ok(()));
    evening.check(&[]).unwrap();
    evening.grow_late();
    assert!(!evening.quits(evening.begin("ann")));
    evening.settle();
    evening.begin("ann");
    let error = evening.check(&[]).unwrap_err().to_string();
    assert_eq!(error, "ann lost the server when all was well");
}
