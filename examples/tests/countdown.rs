//! The tutorial, in virtual time.

use crate::program::Program;

#[test]
fn countdown_tells_each_step_in_its_order() {
    let ending = Program::example("countdown", &["--virtual-time"]).end();
    assert_eq!((ending.code, &*ending.errors), (Some(0), ""), "{ending:?}");
    assert_eq!(
        ending.output,
        [
            "1. Two coroutines take turns",
            "   first: 3",
            "   second: 2",
            "   first: 2",
            "   second: 1",
            "   first: 1",
            "   second: liftoff",
            "   first: liftoff",
            "2. Generators as a pipeline",
            "   1",
            "   9",
            "   25",
            "   49",
            "3. A future with a done callback",
            "   the callback is told 42",
            "   the coroutine gets 42",
            "4. One after the other",
            "   hello",
            "   world",
            "   took 3.0 s",
            "5. As tasks",
            "   hello",
            "   world",
            "   took 2.0 s",
            "6. Select over pipes",
            "   right is readable: two",
            "   left is readable: one",
            "   left: the end",
            "   right: the end",
        ]
    );
}
