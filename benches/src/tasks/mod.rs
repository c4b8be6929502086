//! Tasks: one operation, by one library, many times in one process. `numbers tasks` runs them side
//! by side and counts.

mod contender;
mod on_smol;
mod on_tokio;
mod on_wharf;
mod operation;
mod sleeping;
mod spawning;
mod threads;
mod turns;

use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};

use crate::Result;
use crate::arguments::Arguments;
use crate::contender::{SMOL, TOKIO, WHARF};

use contender::{Contender, Oneshot, Own};
use on_smol::Smol;
use on_tokio::Tokio;
use on_wharf::Wharf;

pub use operation::Operation;

/// Who takes part.
pub const CONTENDERS: [&str; 3] = [TOKIO, SMOL, WHARF];

/// Performs an operation as the command line asks, and prints what it took.
///
/// # Errors
/// The command line is wrong, or a loop cannot be made.
pub fn run(mut arguments: Arguments) -> Result {
    let by = arguments.required::<String>("--by")?;
    let name = arguments.required::<String>("--what")?;
    let operation = Operation::ALL.into_iter().find(|operation| operation.name() == name);
    let operation = operation.ok_or_else(|| format!("there is no operation {name}"))?;
    let work = Work {
        operation,
        count: arguments.option_or("--count", operation.timed_count())?,
        warm_up: arguments.option_or("--warm-up", operation.warm_up())?,
        shortest: arguments.option_or("--shortest", 100)?,
        longest: arguments.option_or("--longest", 600)?,
    };
    arguments.finish()?;
    if work.shortest >= work.longest {
        return Err("--longest must be above --shortest".into());
    }
    let taken = match by.as_str() {
        WHARF => work.measure::<Wharf>(),
        TOKIO => work.measure::<Tokio>(),
        SMOL => work.measure::<Smol>(),
        other => Err(format!("there is no contender {other}").into()),
    }?;
    let (cpu, wall) = (taken.cpu.as_secs_f64(), taken.wall.as_secs_f64());
    println!("count={} cpu_seconds={cpu:.9} seconds={wall:.9}", work.count);
    Ok(())
}

/// An operation, how often, and for how long where it is about time.
#[derive(Debug, Clone, Copy)]
struct Work {
    operation: Operation,
    count: u64,
    /// How often before it is measured.
    warm_up: u64,
    /// Milliseconds.
    shortest: u64,
    longest: u64,
}

impl Work {
    fn measure<C: Contender>(self) -> Result<Taken>
    where
        Own: Oneshot<C>,
    {
        C::run(move |contender| async move {
            self.perform(contender.clone(), self.warm_up).await;
            let start = Taken::until_now(Instant::now())?;
            let began = Instant::now();
            self.perform(contender, self.count).await;
            let end = Taken::until_now(began)?;
            Ok(Taken { cpu: end.cpu - start.cpu, wall: end.wall })
        })?
    }
}

/// What something took.
#[derive(Debug, Clone, Copy)]
struct Taken {
    /// Of all threads.
    cpu: Duration,
    wall: Duration,
}

impl Taken {
    fn until_now(began: Instant) -> Result<Self> {
        let wall = began.elapsed();
        // The C library's: valgrind does not bear rustix's.
        let cpu = clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID)?;
        Ok(Self { cpu: cpu.into(), wall })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every_operation<C: Contender>()
    where
        Own: Oneshot<C>,
    {
        for operation in Operation::ALL {
            let work = Work { operation, count: 2_500, warm_up: 100, shortest: 1, longest: 10 };
            let taken = work.measure::<C>().unwrap();
            assert!(taken.cpu > Duration::ZERO && taken.wall > Duration::ZERO);
        }
    }

    #[test]
    fn wharf_performs_every_operation() {
        every_operation::<Wharf>();
    }

    #[test]
    fn tokio_performs_every_operation() {
        every_operation::<Tokio>();
    }

    #[test]
    fn smol_performs_every_operation() {
        every_operation::<Smol>();
    }
}
