//! The benchmark of timers: wharf's beside a bare wheel and a heap, in turn, round by round.

mod bare_wheel;
mod event_loop;
mod heap;
mod queue;
mod workload;

use std::hint::black_box;

use crate::Result;
use crate::arguments::Arguments;
use crate::report::{PairedRatio, Table, median};

use bare_wheel::BareWheel;
use event_loop::Wharf;
use heap::Heap;
use workload::{Operation, Parts, PartsWorkload, Times, Workload};

/// Measures and prints what the command line asks for.
///
/// # Errors
/// The command line is wrong, or `--check` is given and a limit is exceeded.
pub fn run(mut arguments: Arguments) -> Result {
    let rounds = arguments.option_or("--rounds", 15)?;
    let timers = arguments.option_or("--timers", 1_000_000)?;
    let live = arguments.option_or("--live", 10_000)?;
    let check = arguments.flag("--check");
    arguments.finish()?;
    if cfg!(debug_assertions) {
        return Err("a debug build has no numbers worth printing: use --release".into());
    }
    if rounds == 0 || live == 0 || live > timers {
        return Err("--rounds must be at least 1, and --live from 1 to --timers".into());
    }
    let samples = Samples::take(rounds, timers, live);
    println!("## Timers: ns per operation, {timers} of each, medians of {rounds} rounds\n");
    println!("{}", samples.medians(live));
    println!("Paired ratios of what is left without closure and clock, median (quartiles):\n");
    println!("{}", samples.ratios(live));
    let exceeded = samples.exceeded(live);
    for line in &exceeded {
        println!("exceeded: {line}");
    }
    match exceeded.len() {
        0 => Ok(()),
        _ if !check => Ok(()),
        count => Err(format!("{count} limits exceeded").into()),
    }
}

/// What was measured, round by round.
#[derive(Default)]
struct Samples {
    parts: Vec<Parts>,
    bare_wheel: Vec<Times>,
    heap: Vec<Times>,
    wharf: Vec<Times>,
}

impl Samples {
    /// Each round begins with another contender, as each leaves memory to the next in its own state.
    fn take(rounds: usize, timers: usize, live: usize) -> Self {
        let mut samples = Self::default();
        let mut parts = PartsWorkload::new(timers);
        let mut bare_wheel = Workload::<BareWheel>::new(timers, live);
        let mut heap = Workload::<Heap>::new(timers, live);
        let mut wharf = Workload::<Wharf>::new(timers, live);
        for turn in (0..rounds).flat_map(|round| (round..round + 4).map(|turn| turn % 4)) {
            settle_allocator();
            match turn {
                0 => samples.parts.push(parts.round()),
                1 => samples.bare_wheel.push(bare_wheel.round()),
                2 => samples.heap.push(heap.round()),
                _ => samples.wharf.push(wharf.round()),
            }
        }
        samples
    }

    fn medians(&self, live: usize) -> Table {
        let headings = ["bare wheel", "heap", "wharf", "clock", "closure of wharf's"];
        let left = ["left: bare wheel", "left: heap", "left: wharf"];
        let mut table = Table::new(["operation"].into_iter().chain(headings).chain(left));
        for operation in Operation::ALL {
            let times = [
                of(operation, &self.bare_wheel),
                of(operation, &self.heap),
                of(operation, &self.wharf),
                self.parts.iter().map(|parts| parts.clock[operation as usize]).collect(),
                self.parts.iter().map(|parts| parts.closure[operation as usize]).collect(),
                self.left(operation, &self.bare_wheel),
                self.left(operation, &self.heap),
                self.left_of_wharf(operation),
            ];
            let medians = times.map(|times| format!("{:.1}", median(&times)));
            table.row([name(operation, live)].into_iter().chain(medians));
        }
        table
    }

    fn ratios(&self, live: usize) -> Table {
        let mut table = Table::new(["operation", "to bare wheel", "limit", "to heap", "limit"]);
        for operation in Operation::ALL {
            let (to_bare_wheel, to_heap) = self.ratio(operation);
            let (bare_wheel, heap) = limits(operation)
                .map_or(NO_LIMITS, |(bare_wheel, heap)| (bare_wheel.to_string(), heap.to_string()));
            let (to_bare_wheel, to_heap) = (to_bare_wheel.to_string(), to_heap.to_string());
            table.row([name(operation, live), to_bare_wheel, bare_wheel, to_heap, heap]);
        }
        table
    }

    fn exceeded(&self, live: usize) -> Vec<String> {
        let mut exceeded = Vec::new();
        for operation in Operation::ALL {
            let Some((bare_wheel, heap)) = limits(operation) else { continue };
            let (to_bare_wheel, to_heap) = self.ratio(operation);
            for (peer, ratio, limit) in
                [("bare wheel", to_bare_wheel, bare_wheel), ("heap", to_heap, heap)]
            {
                if ratio.median > limit {
                    let name = name(operation, live);
                    exceeded.push(format!("{name}: {:.2} times the {peer}", ratio.median));
                }
            }
        }
        exceeded
    }

    fn ratio(&self, operation: Operation) -> (PairedRatio, PairedRatio) {
        let wharf = self.left_of_wharf(operation);
        let to = |peer: &[Times]| PairedRatio::new(&wharf, &self.left(operation, peer));
        (to(&self.bare_wheel), to(&self.heap))
    }

    /// Without the clock.
    fn left(&self, operation: Operation, contender: &[Times]) -> Vec<f64> {
        let clock = self.parts.iter().map(|parts| parts.clock[operation as usize]);
        of(operation, contender).iter().zip(clock).map(|(time, clock)| time - clock).collect()
    }

    /// Without the clock and the closure.
    fn left_of_wharf(&self, operation: Operation) -> Vec<f64> {
        let closure = self.parts.iter().map(|parts| parts.closure[operation as usize]);
        let left = self.left(operation, &self.wharf);
        left.iter().zip(closure).map(|(time, closure)| time - closure).collect()
    }
}

/// Has the allocator join what was freed before, which glibc puts off until a larger request, so that
/// the next contender does not pay for it.
fn settle_allocator() {
    drop(black_box(Vec::<u8>::with_capacity(64 << 10)));
}

/// How many times the bare wheel's time, and the heap's, wharf may take; what has no limit is there to be
/// known.
fn limits(operation: Operation) -> Option<(f64, f64)> {
    match operation {
        Operation::Create | Operation::CreateAgain => Some((2.1, 1.0)),
        Operation::Cancel | Operation::Reset => Some((2.2, 1.0)),
        Operation::CancelInRandomOrder => None,
    }
}

const NO_LIMITS: (String, String) = (String::new(), String::new());

fn of(operation: Operation, rounds: &[Times]) -> Vec<f64> {
    rounds.iter().map(|times| times[operation as usize]).collect()
}

fn name(operation: Operation, live: usize) -> String {
    match operation {
        Operation::Create => "create".to_owned(),
        Operation::Cancel => "cancel".to_owned(),
        Operation::CreateAgain => "create again".to_owned(),
        Operation::CancelInRandomOrder => "cancel in random order".to_owned(),
        Operation::Reset => format!("reset, {live} live"),
    }
}
