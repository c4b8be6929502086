//! Resident memory per idle connection.

use super::Bench;
use crate::Result;
use crate::contender::{Contender, WHARF};
use crate::counters::resident;
use crate::load_process::LoadProcess;
use crate::report::Table;
use crate::server_process::ServerProcess;

const CONNECTIONS: u64 = 10_000;
/// So many are open when counting begins: what a server allocates once, it has allocated then.
const FIRST: u64 = 100;
const LIMIT: f64 = 400.0;

pub(super) fn measure(bench: &mut Bench) -> Result {
    println!("\n## Memory: resident bytes per idle connection, {CONNECTIONS} of them\n");
    let headings = std::iter::once("").chain(bench.names()).chain(["wharf at most"]);
    let mut table = Table::new(headings);
    let mut row = vec!["bytes per connection, each used once".to_owned()];
    for contender in bench.contenders.clone() {
        eprintln!("memory: {}", contender.name);
        let bytes = bytes_per_connection(bench, &contender)?;
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

fn bytes_per_connection(bench: &Bench, contender: &Contender) -> Result<f64> {
    let server = ServerProcess::start(contender, bench.server_core)?;
    let arguments =
        ["idle", "--connections", &CONNECTIONS.to_string(), "--first", &FIRST.to_string()]
            .map(String::from);
    let mut load = LoadProcess::start(server.address(), &arguments, bench.load_core)?;
    let before = resident::bytes(server.id())?;
    load.go_on()?;
    let after = resident::bytes(server.id())?;
    load.result()?;
    load.finish()?;
    server.stop()?;
    Ok((after as f64 - before as f64) / (CONNECTIONS - FIRST) as f64)
}
