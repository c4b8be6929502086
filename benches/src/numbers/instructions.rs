//! User-space instructions per message and per connection.

use super::counting::Unit;
use super::{Bench, installed};
use crate::Result;
use crate::contender::WHARF;
use crate::report::Table;

const LIMITS: [(Unit, f64); 3] =
    [(Unit::MANY, 300.0), (Unit::ONE, 500.0), (Unit::Connection, 1_600.0)];

pub(super) fn measure(bench: &mut Bench) -> Result {
    println!("\n## User-space instructions\n");
    if !installed("valgrind") {
        println!("Not measured: valgrind is not installed.");
        return Ok(());
    }
    let headings = std::iter::once("per").chain(bench.names()).chain(["wharf at most"]);
    let mut table = Table::new(headings);
    for (unit, limit) in LIMITS {
        let mut row = vec![unit.to_string()];
        for contender in bench.contenders.clone() {
            eprintln!("instructions per {unit}: {}", contender.name);
            let count = unit.lengths().executed(bench, &contender)?.instructions;
            row.push(format!("{count:.0}"));
            if contender.name == WHARF {
                bench.limit(&format!("instructions per {unit}"), count, limit);
            }
        }
        row.push(format!("{limit}"));
        table.row(row);
    }
    println!("{table}");
    Ok(())
}
