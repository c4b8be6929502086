//! System calls per message and per connection.

use std::fs;

use super::counting::{Unit, counted_run};
use super::{Bench, installed, scratch_file};
use crate::Result;
use crate::contender::{Contender, WHARF};
use crate::counters::strace::{self, Calls};
use crate::report::Table;

const LIMITS: [(Unit, f64); 5] = [
    (Unit::MANY, 2.1),
    (Unit::ONE, 3.0),
    (Unit::MANY_BULK, 2.3),
    (Unit::ONE_BULK, f64::INFINITY),
    (Unit::Connection, 8.5),
];

pub(super) fn measure(bench: &mut Bench) -> Result {
    println!("\n## System calls\n");
    if !installed("strace") {
        println!("Not measured: strace is not installed.");
        return Ok(());
    }
    let mut table = Table::new(["per", "of", "all", "wharf at most", "which"]);
    for (unit, limit) in LIMITS {
        for contender in bench.contenders.clone() {
            eprintln!("system calls per {unit}: {}", contender.name);
            let calls = calls_per_unit(bench, &contender, unit)?;
            let total: f64 = calls.iter().map(|(_, count)| count).sum();
            let which = calls.iter().map(|(name, count)| format!("{name} {count:.3}"));
            table.row([
                unit.to_string(),
                contender.name.to_owned(),
                format!("{total:.3}"),
                if limit.is_finite() { limit.to_string() } else { String::new() },
                which.collect::<Vec<_>>().join(", "),
            ]);
            if contender.name == WHARF {
                // Limits have one digit; what is behind it are the polls that messages share.
                bench.limit(
                    &format!("system calls per {unit}"),
                    (total * 10.0).round() / 10.0,
                    limit,
                );
                if let Unit::Message(_) = unit {
                    let registrations = calls.iter().find(|(name, _)| name == "epoll_ctl");
                    let registrations = registrations.map_or(0.0, |(_, count)| *count);
                    bench.limit(&format!("epoll_ctl per {unit}"), registrations, 0.0);
                }
            }
        }
    }
    println!("{table}");
    Ok(())
}

/// Calls per unit, the most frequent first; those that only start and end make are left out.
fn calls_per_unit(bench: &Bench, contender: &Contender, unit: Unit) -> Result<Vec<(String, f64)>> {
    let count = |length| {
        let output = scratch_file("strace");
        counted_run(bench, &strace::wrapper(&output), contender, unit, length)?;
        let calls = strace::calls(&output)?;
        fs::remove_file(&output)?;
        Ok::<Calls, crate::Failure>(calls)
    };
    let (short, long) = unit.lengths();
    let (few, many) = (count(short)?, count(long)?);
    let per_unit = many.into_iter().map(|(name, calls)| {
        let difference = calls as f64 - few.get(&name).copied().unwrap_or(0) as f64;
        (name, difference / (long - short) as f64)
    });
    let mut per_unit: Vec<_> = per_unit.filter(|(_, count)| count.abs() >= 0.0005).collect();
    per_unit.sort_by(|(_, left), (_, right)| right.total_cmp(left));
    Ok(per_unit)
}
