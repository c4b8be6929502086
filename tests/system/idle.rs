//! Many connections that do nothing.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::Stdio;
use std::time::Duration;

use crate::needs::missing;
use crate::process::{
    Guard, alone, command, cpu_time, open_descriptors, raise_descriptor_limit, role,
};
use crate::serving::{Seen, address, run, until};

/// Where the clients find their server.
const SERVER: &str = "WHARF_SYSTEM_TEST_SERVER";

/// The other process: opens connections, sends a byte on each, and keeps them until it is told.
fn be_clients(count: usize) {
    raise_descriptor_limit();
    let to = std::env::var(SERVER).expect("an address");
    let clients: Vec<TcpStream> = (0..count)
        .map(|_| {
            let mut client = TcpStream::connect(&to).expect("a connection");
            client.write_all(b"x").expect("room for a byte");
            client
        })
        .collect();
    eprintln!("connected");
    let mut ignored = Vec::new();
    std::io::stdin().read_to_end(&mut ignored).expect("the end of the standard input");
    drop(clients);
}

/// A server with `count` connections from another process: counts them, sees that they cost
/// nothing, and that nothing is left of them.
fn hold(name: &str, count: usize) {
    if role().as_deref() == Some("clients") {
        return be_clients(count);
    }
    alone(name, || {
        if raise_descriptor_limit() < count as u64 + 100 {
            return missing("more descriptors (ulimit -Hn)");
        }
        run(async |event_loop| {
            let seen = Seen::new();
            let server = event_loop.create_server(seen.watcher(), "127.0.0.1:0").await?;
            event_loop.sleep(Duration::from_millis(1)).await;
            let before = (open_descriptors(), event_loop.statistics().timers);

            let mut clients = Guard(
                command(name, "clients")
                    .env(SERVER, address(&server).to_string())
                    .stdin(Stdio::piped())
                    .stdout(Stdio::null())
                    .stderr(Stdio::piped())
                    .spawn()?,
            );
            let done = || seen.received.borrow().len() == count;
            until(&event_loop, "a byte from each", done).await;
            let stderr = clients.0.stderr.take().expect("a pipe");
            let mut line = String::new();
            BufReader::new(stderr).read_line(&mut line)?;
            assert_eq!(line, "connected\n");
            // The pipes to the other process: its standard input is left.
            assert_eq!(open_descriptors(), before.0 + count + 1);
            assert_eq!(server.connections(), count);
            assert_eq!(event_loop.statistics().connections_open, count as u64);

            let idle = (event_loop.statistics(), cpu_time());
            event_loop.sleep(Duration::from_secs(1)).await;
            let ticks = event_loop.statistics().ticks - idle.0.ticks;
            let cpu = cpu_time() - idle.1;
            assert!(ticks <= 3, "{ticks} ticks while nothing happened");
            assert!(cpu < Duration::from_millis(20), "{cpu:?} of CPU time while nothing happened");

            drop(clients.0.stdin.take());
            until(&event_loop, "their ends", || seen.lost() == count).await;
            assert!(seen.lost_cleanly());
            assert_eq!(server.connections(), 0);
            assert_eq!(event_loop.statistics().sources, 1, "the server");
            until(&event_loop, "the other process's end", || {
                (open_descriptors(), event_loop.statistics().timers) == before
            })
            .await;
            assert!(clients.wait().success());
            Ok(())
        });
    });
}

#[test]
fn ten_thousand_idle_connections_cost_nothing_and_leave_nothing() {
    hold("idle::ten_thousand_idle_connections_cost_nothing_and_leave_nothing", 10_000);
}

#[test]
fn with_a_thousand_idle_connections_no_cpu_is_used() {
    hold("idle::with_a_thousand_idle_connections_no_cpu_is_used", 1_000);
}
