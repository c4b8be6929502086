//! Resident memory per idle connection.

use super::Bench;
use super::echo::settled_cpu;
use crate::Result;
use crate::contender::{Contender, WHARF};
use crate::counters::resident;
use crate::load_process::LoadProcess;
use crate::report::Table;
use crate::server_process::ServerProcess;

const CONNECTIONS: u64 = 10_000;
/// So many are open when counting begins: what a server allocates once, it has allocated then.
pub(super) const FIRST: u64 = 100;
const LIMIT: f64 = 400.0;

pub(super) fn measure(bench: &mut Bench) -> Result {
    println!("\n## Memory: resident bytes per idle connection, {CONNECTIONS} of them\n");
    let headings = std::iter::once("").chain(bench.names()).chain(["wharf at most"]);
    let mut table = Table::new(headings);
    let mut row = vec!["bytes per connection, each used once".to_owned()];
    for contender in bench.contenders.clone() {
        eprintln!("memory: {}", contender.name);
        let bytes = resident_per_connection(bench, &contender, CONNECTIONS, &[])?;
        row.push(format!("{bytes:.0}"));
        if contender.name == WHARF {
            bench.limit("memory: bytes per idle connection", bytes, LIMIT);
        }
    }
    row.push(LIMIT.to_string());
    table.row(row);
    println!("{table}");
    Ok(())
}

/// The growth of the resident set from the first connections to all of them. `more` are options of
/// the load.
pub(super) fn resident_per_connection(
    bench: &Bench,
    contender: &Contender,
    connections: u64,
    more: &[&str],
) -> Result<f64> {
    let server = ServerProcess::start(contender, bench.server_core)?;
    let arguments = idle_arguments(connections, FIRST, more);
    let mut load = LoadProcess::start(server.address(), &arguments, bench.load_core)?;
    settled_cpu(&server)?;
    let before = resident::bytes(server.id())?;
    load.go_on()?;
    settled_cpu(&server)?;
    let after = resident::bytes(server.id())?;
    load.result()?;
    load.finish()?;
    server.stop()?;
    Ok((after as f64 - before as f64) / (connections - FIRST) as f64)
}

/// What to give to `load` to have it open connections, use each once, and hold them.
pub(super) fn idle_arguments(connections: u64, first: u64, more: &[&str]) -> Vec<String> {
    let (connections, first) = (connections.to_string(), first.to_string());
    let words = ["idle", "--connections", &connections, "--first", &first];
    words.iter().chain(more).map(|word| (*word).to_owned()).collect()
}
