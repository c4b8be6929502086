//! Resident memory per idle connection, of servers of protocols.

use super::Bench;
use super::memory::resident_per_connection;
use crate::Result;
use crate::contender;
use crate::report::Table;

const CONNECTIONS: u64 = 10_000;

pub(super) fn measure(bench: &mut Bench) -> Result {
    println!("\n## Protocols: resident bytes per idle connection, {CONNECTIONS} of them\n");
    let mut table = Table::new(["connection, used once", "by", "bytes"]);
    let http = contender::http(&["hyper-tokio", "wharf", "wharf-async"])?;
    let plain = ["tokio-tungstenite", "fastwebsockets", "wharf"];
    let websocket = contender::websocket(&plain, false)?;
    let servers = [("http", http), ("websocket", websocket), ("line", vec![contender::lines()?])];
    for (speech, contenders) in servers {
        for contender in bench.chosen(contenders) {
            if !bench.wants(speech) {
                continue;
            }
            eprintln!("memory of {speech}: {}", contender.name);
            let bytes =
                resident_per_connection(bench, &contender, CONNECTIONS, &["--speech", speech])?;
            table.row([speech.to_owned(), contender.name.to_owned(), format!("{bytes:.0}")]);
        }
    }
    println!("{table}");
    Ok(())
}
