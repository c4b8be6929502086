//! Servers of a protocol, side by side under the same loads: their CPU, instructions and allocations.

use super::counting::Lengths;
use super::echo::timed_run;
use super::{Bench, installed};
use crate::Result;
use crate::contender::{Contender, NGINX, WHARF};
use crate::report::Table;

/// Whose CPU is at most so much of whose.
pub(super) type Limit = (&'static str, &'static str, f64);

/// One kind of load.
pub(super) struct Row {
    pub(super) name: &'static str,
    /// What to give to `load`, but for how much.
    pub(super) load: &'static str,
    /// How much makes up one measurement of time.
    pub(super) timed: u64,
    /// How much a load has where instructions are counted, and one that is longer.
    pub(super) counted: (u64, u64),
}

/// What is measured together.
pub(super) struct Comparison {
    pub(super) title: &'static str,
    /// What is counted, and the option of `load` that says how many.
    pub(super) unit: &'static str,
    pub(super) option: &'static str,
    pub(super) contenders: Vec<Contender>,
    pub(super) limits: &'static [Limit],
}

impl Comparison {
    pub(super) fn measure(&self, bench: &mut Bench, rows: &[Row]) -> Result {
        let Self { title, unit, contenders, limits, .. } = self;
        let names = || contenders.iter().map(|contender| contender.name);
        println!("\n## {title}: server CPU per {unit}, µs, medians of {} rounds\n", bench.rounds);
        let headings = ["load"].into_iter().chain(names()).map(str::to_owned);
        let ratios = limits
            .iter()
            .map(|(ours, theirs, limit)| format!("{ours} / {theirs}, at most {limit}"));
        let mut times = Table::new(headings.chain(ratios));
        let columns = ["instructions", "allocations"];
        let headings = columns
            .iter()
            .flat_map(|what| self.counted().map(move |one| format!("{}, {what}", one.name)));
        let mut counts = Table::new(["load".to_owned()].into_iter().chain(headings));
        let rows: Vec<_> = rows.iter().filter(|row| bench.wants(row.name)).collect();
        // What was measured before something fails has taken minutes, and is printed.
        let outcome = rows.into_iter().try_for_each(|row| {
            self.time(bench, row, &mut times)?;
            self.count(bench, row, &mut counts)
        });
        println!("{times}\nUser-space instructions and allocations:\n\n{counts}");
        outcome
    }

    fn time(&self, bench: &mut Bench, row: &Row, table: &mut Table) -> Result {
        let load = self.load(row, row.timed);
        let what = format!("{}, {}", self.title, row.name);
        let samples = bench.in_turn(&what, &self.contenders, |contender| {
            Ok(timed_run(bench, contender, &load)?.server_cpu / row.timed as f64 * 1e6)
        })?;
        let mut cells = Vec::new();
        for &(ours, theirs, limit) in self.limits {
            let ratio = samples.ratio(ours, theirs);
            if let Some(ratio) = ratio {
                bench.limit_ratio(&format!("{what}: CPU of {ours} / {theirs}"), ratio, limit);
            }
            cells.push(ratio.map_or_else(String::new, |ratio| ratio.to_string()));
        }
        table.row([row.name.to_owned()].into_iter().chain(samples.medians()).chain(cells));
        Ok(())
    }

    fn count(&self, bench: &mut Bench, row: &Row, table: &mut Table) -> Result {
        if !installed("valgrind") {
            return Ok(());
        }
        let (short, long) = row.counted;
        let (less, more) = (self.load(row, short), self.load(row, long));
        let lengths = Lengths { short: less, long: more, units: (long - short) as f64 };
        let mut executed = Vec::new();
        for contender in self.counted() {
            eprintln!(
                "{}, instructions per {}, {}: {}",
                self.title, self.unit, row.name, contender.name
            );
            let counted = lengths.executed(bench, contender)?;
            if contender.name == WHARF {
                // Lists that grow now and then are no allocation of the message's.
                let rounded = (counted.allocations * 10.0).round() / 10.0;
                bench.limit(&format!("{}, {}: allocations", self.title, row.name), rounded, 0.0);
            }
            executed.push(counted);
        }
        let instructions = executed.iter().map(|executed| format!("{:.0}", executed.instructions));
        let allocations = executed.iter().map(|executed| format!("{:.2}", executed.allocations));
        table.row([row.name.to_owned()].into_iter().chain(instructions).chain(allocations));
        Ok(())
    }

    /// Valgrind does not follow into a program that takes another's place.
    fn counted(&self) -> impl Iterator<Item = &Contender> {
        self.contenders.iter().filter(|contender| contender.name != NGINX)
    }

    fn load(&self, row: &Row, count: u64) -> Vec<String> {
        let line = format!("{} {} {count}", row.load, self.option);
        line.split(' ').map(String::from).collect()
    }
}
