//! What a simulation has seen, to read: as text, as packets for Wireshark, and as a picture.
//!
//! Two clients talk to a server over a link that loses some of what passes, is cut for a while, and joined again; the
//! server crashes in between.
//!
//! ```sh
//! cargo run --example sim_trace -- /tmp/trace
//! ```
//!
//! writes `trace.txt`, `trace.pcapng` and `trace.svg` into that directory.
#![forbid(unsafe_code)]

use std::io::{self, Write as _};
use std::time::Duration;

use wharf::sim::{LinkOptions, Simulation};
use wharf::{EventLoop, Result};

fn main() -> Result {
    let Some(directory) = std::env::args_os().nth(1) else {
        return Err("sim_trace DIRECTORY".into());
    };
    let simulation = Simulation::new(2);
    // With what is in the packets: it costs memory, so it is said.
    simulation.record_contents();
    simulation.links(LinkOptions::new().latency(2 * MS..=9 * MS).loss(0.03));
    let server = simulation.host("server");
    server.serve(serve_lines);
    server.serve(serve_clock);
    for name in ["alice", "bob"] {
        simulation.host(name).start(async move |event_loop| talk(event_loop, name).await);
    }
    simulation.script(
        "0.3 cut alice server; 1.1 join alice server; 2 crash server; 2.5 restart server"
            .parse()?,
    );
    simulation.run()?;
    simulation.note("everybody is done");
    let trace = simulation.trace();
    trace.save(&directory)?;
    let mut output = io::stdout().lock();
    writeln!(output, "{} events in {:?}", trace.count(), simulation.elapsed())?;
    Ok(())
}

const MS: Duration = Duration::from_millis(1);

/// Sends back each line, in capitals.
async fn serve_lines(event_loop: EventLoop) -> Result {
    let listener = event_loop.listen("0.0.0.0:4000").await?;
    loop {
        let (mut reader, writer) = listener.accept().await?;
        let task = async move {
            // Whoever breaks off is gone.
            while let Ok(Some(line)) = reader.read_line().await {
                let answer = format!("{}\n", line.to_uppercase());
                if writer.write_all(answer.as_bytes()).await.is_err() {
                    break;
                }
            }
        };
        event_loop.create_task(task).detach();
    }
}

/// Answers each datagram with the time.
async fn serve_clock(event_loop: EventLoop) -> Result {
    let mut socket = event_loop.open_datagram_endpoint().local_address("0.0.0.0:4001").await?;
    let began = event_loop.time();
    while let Some(datagram) = socket.next().await {
        let (_, sender) = datagram?;
        let time = format!("{:?}", event_loop.time() - began);
        socket.send_to(time.as_bytes(), &sender).await?;
    }
    Ok(())
}

/// Says four things and hears the answers, whatever happens to the connection and to the server.
async fn talk(event_loop: EventLoop, name: &'static str) -> Result {
    let clock = event_loop.open_datagram_endpoint().peer_address("server:4001").await?;
    for number in 1..=4 {
        // A lost question for the time is not asked again; while the server is off, it is refused or not heard.
        let _ = clock.send(b"time?").await;
        let line = format!("{name} says {number}");
        while !says(&event_loop, &line).await {
            event_loop.sleep(200 * MS).await;
        }
        event_loop.sleep(500 * MS).await;
    }
    Ok(())
}

/// Whether the answer has come within two seconds.
async fn says(event_loop: &EventLoop, line: &str) -> bool {
    let asked = async {
        let (mut reader, writer) = event_loop.open_connection("server:4000").await?;
        writer.write_all(format!("{line}\n").as_bytes()).await?;
        Result::<bool>::Ok(reader.read_line().await?.is_some())
    };
    matches!(wharf::timeout(2_000 * MS, asked).await, Ok(Ok(true)))
}
