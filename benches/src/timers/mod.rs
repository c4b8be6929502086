//! The benchmark of timers: wharf's beside a bare wheel and a heap, in turn, round by round.

mod bare_wheel;
mod heap;
mod queue;
mod workload;

use crate::Result;
use crate::arguments::Arguments;
use crate::report::{PairedRatio, Table, median};

use bare_wheel::BareWheel;
use heap::Heap;
use workload::{Operation, Parts, Workload};

/// Measures and prints what the command line asks for.
///
/// # Errors
/// The command line is wrong.
pub fn run(mut arguments: Arguments) -> Result {
    let rounds = arguments.option_or("--rounds", 15)?;
    let timers = arguments.option_or("--timers", 1_000_000)?;
    let live = arguments.option_or("--live", 10_000)?;
    arguments.finish()?;
    if cfg!(debug_assertions) {
        return Err("a debug build has no numbers worth printing: use --release".into());
    }
    if timers == 0 || live == 0 || live > timers {
        return Err("--live must be at least 1 and at most --timers".into());
    }
    let samples = Samples::take(rounds, timers, live);
    println!("## Timers: ns per operation, {timers} of them, medians of {rounds} rounds\n");
    println!("{}", samples.medians(live));
    println!("{}", samples.parts());
    println!("Paired ratios, median (quartiles):\n\n{}", samples.ratios(live));
    Ok(())
}

/// What was measured, round by round.
#[derive(Default)]
struct Samples {
    parts: Vec<Parts>,
    bare_wheel: Vec<[f64; 4]>,
    heap: Vec<[f64; 4]>,
}

impl Samples {
    fn take(rounds: usize, timers: usize, live: usize) -> Self {
        let mut samples = Self::default();
        let mut closures = Vec::with_capacity(timers);
        let mut bare_wheel = Workload::<BareWheel>::new(timers, live);
        let mut heap = Workload::<Heap>::new(timers, live);
        for _ in 0..rounds {
            samples.parts.push(Parts::measure(timers, &mut closures));
            samples.bare_wheel.push(bare_wheel.round());
            samples.heap.push(heap.round());
        }
        samples
    }

    fn medians(&self, live: usize) -> Table {
        let mut table = Table::new(["operation", "bare wheel", "heap"]);
        for operation in Operation::ALL {
            let times = [&self.bare_wheel, &self.heap]
                .map(|rounds| format!("{:.1}", median(&of(operation, rounds))));
            table.row([name(operation, live)].into_iter().chain(times));
        }
        table
    }

    fn parts(&self) -> Table {
        let of = |part: fn(&Parts) -> f64| {
            format!("{:.1}", median(&self.parts.iter().map(part).collect::<Vec<_>>()))
        };
        let mut table = Table::new(["counted apart", "ns"]);
        table.row(["reading the clock".to_owned(), of(|parts| parts.read_clock)]);
        table.row(["boxed closure, making".to_owned(), of(|parts| parts.make_closure)]);
        table.row(["boxed closure, dropping".to_owned(), of(|parts| parts.drop_closure)]);
        table
    }

    fn ratios(&self, live: usize) -> Table {
        let mut table = Table::new(["operation", "heap to bare wheel"]);
        for operation in Operation::ALL {
            let ratio =
                PairedRatio::new(&of(operation, &self.heap), &of(operation, &self.bare_wheel));
            table.row([name(operation, live), ratio.to_string()]);
        }
        table
    }
}

fn of(operation: Operation, rounds: &[[f64; 4]]) -> Vec<f64> {
    rounds.iter().map(|times| times[operation as usize]).collect()
}

fn name(operation: Operation, live: usize) -> String {
    match operation {
        Operation::Create => "create".to_owned(),
        Operation::Cancel => "cancel".to_owned(),
        Operation::CancelInRandomOrder => "cancel in random order".to_owned(),
        Operation::Reset => format!("reset, {live} live"),
    }
}
