//! What an idle connection holds, beside what rustls alone holds for it.

use rustix::process::{Resource, getrlimit};

use super::super::counting::Lengths;
use super::super::memory::{FIRST, idle_arguments, resident_per_connection};
use super::super::{Bench, installed};
use super::{WHARF, names};
use crate::Result;
use crate::contender::{self, Contender};
use crate::report::Table;

/// rustls's own state of a connection, and its socket.
const STATE: &str = "tls-state";
const IN_PYTHON: [&str; 2] = ["tls-asyncio", "tls-uvloop"];

/// So much more than rustls's own state, in bytes.
const LIMIT: f64 = 1_536.0;

const HEAP: &str = "memory: heap, 1,000 connections";
const RESIDENT: [(&str, u64); 2] = [
    ("memory: resident, 1,000 connections", 1_000),
    ("memory: resident, 10,000 connections", 10_000),
];

pub(super) fn measure(bench: &mut Bench, contenders: &[Contender]) -> Result {
    if !RESIDENT.iter().map(|row| row.0).chain([HEAP]).any(|name| bench.wants(name)) {
        return Ok(());
    }
    println!("\n## TLS: bytes per idle connection, each used once\n");
    let certified = contender::CertificateFiles::new()?;
    let mut all = bench.chosen(vec![contender::tls_state(STATE)?]);
    all.extend(contenders.iter().cloned());
    all.extend(bench.chosen(contender::tls_in_python(IN_PYTHON, &bench.python, &certified)));
    let mut table = Table::new(std::iter::once("").chain(names(&all)));
    // What was measured before something fails has taken minutes, and is printed.
    let mut measure = || {
        if bench.wants(HEAP) && !installed("valgrind") {
            eprintln!("note: the heap is left out: valgrind is not installed");
        } else if bench.wants(HEAP) {
            let row = row(bench, HEAP, &all, heap)?;
            table.row(row);
        }
        for (name, connections) in RESIDENT {
            if bench.wants(name) && may_open(connections) {
                let resident = |bench: &Bench, contender: &Contender| {
                    resident_per_connection(bench, contender, connections, &["--tls"]).map(Some)
                };
                let row = row(bench, name, &all, resident)?;
                table.row(row);
            }
        }
        Ok(())
    };
    let outcome = measure();
    println!("{table}");
    outcome
}

fn row(
    bench: &mut Bench,
    name: &str,
    contenders: &[Contender],
    measure: impl Fn(&Bench, &Contender) -> Result<Option<f64>>,
) -> Result<Vec<String>> {
    let mut cells = vec![name.to_owned()];
    let mut state = None;
    for contender in contenders {
        eprintln!("TLS, {name}: {}", contender.name);
        let bytes = measure(bench, contender)?;
        if contender.name == STATE {
            state = bytes;
        }
        if contender.name == WHARF
            && let (Some(bytes), Some(state)) = (bytes, state)
        {
            bench.limit(&format!("TLS, {name}: more than rustls's own"), bytes - state, LIMIT);
        }
        cells.push(bytes.map_or_else(String::new, |bytes| format!("{bytes:.0}")));
    }
    Ok(cells)
}

/// What they have asked the allocator for, as a difference of two numbers of connections. Python has
/// an allocator of its own, which is not seen.
fn heap(bench: &Bench, contender: &Contender) -> Result<Option<f64>> {
    if IN_PYTHON.contains(&contender.name) {
        return Ok(None);
    }
    let held = |connections| idle_arguments(connections, connections, &["--tls"]);
    let (short, long) = (FIRST, 1_000);
    let lengths = Lengths { short: held(short), long: held(long), units: (long - short) as f64 };
    lengths.heap(bench, contender).map(Some)
}

/// Whether the system allows a process so many connections.
fn may_open(connections: u64) -> bool {
    let most = getrlimit(Resource::Nofile).maximum;
    let may = most.is_none_or(|most| most >= connections + 100);
    if !may {
        eprintln!("note: {connections} connections are left out: see `ulimit -Hn`");
    }
    may
}
