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
use workload::{Operation, Parts, Times, Workload};

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
    println!("Paired ratios of wharf without closure and clock, median (quartiles):\n");
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
    parts: Vec<Times>,
    bare_wheel: Vec<Times>,
    heap: Vec<Times>,
    wharf: Vec<Times>,
}

impl Samples {
    /// Each round begins with another contender, as each leaves memory to the next in its own state.
    fn take(rounds: usize, timers: usize, live: usize) -> Self {
        let mut samples = Self::default();
        let mut parts = Parts::new(timers);
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
        let headings = ["bare wheel", "heap", "wharf", "closure and clock", "wharf without"];
        let mut table = Table::new(["operation"].into_iter().chain(headings));
        for operation in Operation::ALL {
            let times = [
                of(operation, &self.bare_wheel),
                of(operation, &self.heap),
                of(operation, &self.wharf),
                of(operation, &self.parts),
                self.wharf_without_parts(operation),
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
            table.row([
                name(operation, live),
                to_bare_wheel.to_string(),
                limit(operation).to_string(),
                to_heap.to_string(),
                "1".to_owned(),
            ]);
        }
        table
    }

    fn exceeded(&self, live: usize) -> Vec<String> {
        let mut exceeded = Vec::new();
        for operation in Operation::ALL {
            let (to_bare_wheel, to_heap) = self.ratio(operation);
            for (peer, ratio, limit) in
                [("bare wheel", to_bare_wheel, limit(operation)), ("heap", to_heap, 1.0)]
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
        let wharf = self.wharf_without_parts(operation);
        let to = |peer: &[Times]| PairedRatio::new(&wharf, &of(operation, peer));
        (to(&self.bare_wheel), to(&self.heap))
    }

    fn wharf_without_parts(&self, operation: Operation) -> Vec<f64> {
        let (wharf, parts) = (of(operation, &self.wharf), of(operation, &self.parts));
        wharf.iter().zip(parts).map(|(time, parts)| time - parts).collect()
    }
}

/// Has the allocator join what was freed before, which glibc puts off until a larger request, so that
/// the next contender does not pay for it.
fn settle_allocator() {
    drop(black_box(Vec::<u8>::with_capacity(64 << 10)));
}

/// How many times the bare wheel's time wharf may take.
fn limit(operation: Operation) -> f64 {
    match operation {
        Operation::Create | Operation::CreateAgain => 2.1,
        Operation::Cancel | Operation::CancelInRandomOrder | Operation::Reset => 2.2,
    }
}

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
