//! System calls per message and per connection.

use super::counting::Unit;
use super::{Bench, installed};
use crate::Result;
use crate::contender::WHARF;
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
            let calls = unit.lengths().system_calls(bench, &contender)?;
            table.row([
                unit.to_string(),
                contender.name.to_owned(),
                format!("{:.3}", calls.all()),
                if limit.is_finite() { limit.to_string() } else { String::new() },
                calls.to_string(),
            ]);
            if contender.name == WHARF {
                bench.limit(&format!("system calls per {unit}"), calls.rounded(), limit);
                if let Unit::Message(_) = unit {
                    bench.limit(&format!("epoll_ctl per {unit}"), calls.of("epoll_ctl"), 0.0);
                }
            }
        }
    }
    println!("{table}");
    Ok(())
}
