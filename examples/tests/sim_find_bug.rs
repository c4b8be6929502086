//! A bug that a simulation finds, and that is not there any more once it is mended.

use crate::program::Program;

#[test]
fn sim_find_bug_finds_its_bug_and_nothing_once_that_is_mended() {
    let ending = Program::example("sim_find_bug", &[]).end();
    assert_eq!(ending.code, Some(1), "{ending:?}");
    let last = ending.output.last().unwrap();
    assert!(last.starts_with("again: WHARF_SIM_SEED="), "{last}");
    let ending = Program::example("sim_find_bug", &["--mended"]).end();
    assert_eq!(
        (ending.code, &*ending.output),
        (Some(0), &["nothing was found in 200 seeds".to_owned()][..])
    );
}
