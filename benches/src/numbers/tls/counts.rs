//! System calls, user-space instructions and allocations.

use super::super::counting::Lengths;
use super::super::{Bench, installed};
use super::WHARF;
use crate::Result;
use crate::contender::Contender;
use crate::report::Table;

/// What is counted.
struct Row {
    name: &'static str,
    /// What to give to `load`, but for the number of messages.
    load: &'static str,
    /// The two numbers of messages.
    lengths: (u64, u64),
    /// How many of what is reported one message is.
    per_message: f64,
    /// At most so many system calls, and allocations.
    limits: (f64, f64),
}

const ROWS: [Row; 2] = [
    Row {
        name: "counts: message, 64 B, 50 connections",
        load: "echo --tls --connections 50 --size 64 --warm-up 500",
        lengths: (1_000, 6_000),
        per_message: 1.0,
        // Two and the polls that messages share; two that rustls does: the plaintext of the record
        // that it opens, and the one that it makes.
        limits: (2.1, 2.0),
    },
    Row {
        name: "counts: bulk, MiB; 64 KiB at a time, 8 connections",
        load: "echo --tls --connections 8 --size 65536 --warm-up 100",
        lengths: (100, 500),
        per_message: 1.0 / 16.0,
        limits: (f64::INFINITY, f64::INFINITY),
    },
];

pub(super) fn measure(bench: &mut Bench, contenders: &[Contender]) -> Result {
    if !ROWS.iter().any(|row| bench.wants(row.name)) {
        return Ok(());
    }
    println!("\n## TLS: user-space instructions, allocations and system calls\n");
    let counting = [installed("valgrind"), installed("strace")];
    for (program, installed) in ["valgrind", "strace"].iter().zip(counting) {
        if !installed {
            println!("Not all is counted: {program} is not installed.\n");
        }
    }
    let headings = ["per", "of", "instructions", "allocations", "system calls", "which"];
    let mut table = Table::new(headings);
    // What was counted before something fails has taken minutes, and is printed.
    let outcome = ROWS.iter().try_for_each(|row| {
        if !bench.wants(row.name) {
            return Ok(());
        }
        contenders.iter().try_for_each(|contender| {
            table.row(row.count(bench, contender, counting)?);
            Ok(())
        })
    });
    println!("{table}");
    outcome
}

impl Row {
    fn count(
        &self,
        bench: &mut Bench,
        contender: &Contender,
        [by_valgrind, by_strace]: [bool; 2],
    ) -> Result<[String; 6]> {
        eprintln!("TLS, {}: {}", self.name, contender.name);
        let limited =
            if contender.name == WHARF { self.limits } else { (f64::INFINITY, f64::INFINITY) };
        let lengths = self.lengths();
        let mut cells = [self.name, contender.name, "", "", "", ""].map(String::from);
        if by_valgrind {
            let executed = lengths.executed(bench, contender)?;
            cells[2] = format!("{:.0}", executed.instructions);
            cells[3] = format!("{:.2}", executed.allocations);
            // Behind the second digit is what tables that grow once make of it.
            let allocations = (executed.allocations * 100.0).round() / 100.0;
            bench.limit(&format!("TLS, {}: allocations", self.name), allocations, limited.1);
        }
        if by_strace {
            let calls = lengths.system_calls(bench, contender)?;
            cells[4] = format!("{:.3}", calls.all());
            cells[5] = calls.to_string();
            bench.limit(&format!("TLS, {}: system calls", self.name), calls.rounded(), limited.0);
        }
        eprintln!("{}", cells[2..].join(", "));
        Ok(cells)
    }

    fn lengths(&self) -> Lengths {
        let arguments = |messages: u64| {
            let words = self.load.split(' ').map(String::from);
            words.chain(["--messages".to_owned(), messages.to_string()]).collect()
        };
        let (short, long) = self.lengths;
        let units = (long - short) as f64 * self.per_message;
        Lengths { short: arguments(short), long: arguments(long), units }
    }
}
