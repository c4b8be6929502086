//! Connections on which nothing is said, and whose other machine may be gone.

use std::time::Duration;

use wharf_executor::client::{Client, ClientOptions};
use wharf_executor::work::{Functions, Worker, WorkerOptions};

use crate::support::{Place, listening, run};

/// How the system's timer of each end of the connections to a port is set, as `/proc/net/tcp` has it: `02` is a probe.
fn timers(port: u16) -> Vec<String> {
    let table = std::fs::read_to_string("/proc/net/tcp").expect("the table");
    let port = format!(":{port:04X}");
    let connections = table.lines().filter_map(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let (local, remote, state) = (fields.next()?, fields.next()?, fields.next()?);
        let is_one = state == "01" && (local.ends_with(&port) || remote.ends_with(&port));
        is_one.then(|| fields.nth(1)?.split(':').next().map(str::to_owned)).flatten()
    });
    connections.collect()
}

#[test]
fn silent_connections_are_probed_from_both_ends() {
    let place = Place::new();
    let coordinator =
        place.serve(&["--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--lease", "1h"]);
    listening(&coordinator);
    let address = listening(&coordinator);
    let dashboard = coordinator.line();
    let port_of = |text: &str| {
        let digits = text.trim_end_matches('/').rsplit(':').next();
        digits.and_then(|port| port.parse::<u16>().ok()).expect("a port")
    };
    run(async |event_loop| {
        let client = Client::start(&event_loop, [&*address], ClientOptions::default())?;
        let functions = Functions::new();
        let options = WorkerOptions { slots: 1, ..WorkerOptions::default() };
        let _worker = Worker::start(&event_loop, [&*address], functions, options)?;
        client.connected(Duration::from_secs(20)).await?;
        // The other end is the test's, which sets nothing.
        let port = port_of(&dashboard);
        let _browser = event_loop.open_connection(("127.0.0.1", port)).await?;
        // What was said last is acknowledged after a moment.
        let probed = async {
            let (mut ends, mut page) = (Vec::new(), Vec::new());
            while ends != ["02"; 4] || !page.contains(&"02".to_owned()) {
                event_loop.sleep(Duration::from_millis(5)).await;
                (ends, page) = (timers(port_of(&address)), timers(port));
            }
        };
        assert!(
            wharf::timeout(Duration::from_secs(20), probed).await.is_ok(),
            "{:?} {:?}",
            timers(port_of(&address)),
            timers(port)
        );
        Ok(())
    });
}
