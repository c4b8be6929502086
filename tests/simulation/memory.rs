//! Memory of what is over: none.
//!
//! Counted are the bytes that the simulation's thread has allocated and not freed.

use std::time::Duration;

use allocation_counter::measure;
use wharf::EventLoop;
use wharf::sim::{Fault, Simulation};

/// Beside this nothing is left of what is over.
const LEFT_OVER: i64 = 16 * 1024;

/// Connections and datagrams that wait for links that are cut or clogged, on either side, when all ends.
#[test]
fn a_simulation_that_is_dropped_in_the_middle_of_faults_leaves_nothing() {
    let faults = [
        Fault::Cut("client".into(), "server".into()),
        Fault::Clog("client".into(), "server".into()),
        Fault::Clog("server".into(), "client".into()),
        Fault::Crash("server".into()),
        Fault::Kill("client".into()),
    ];
    for fault in faults {
        let leave = || {
            let simulation = Simulation::new(1);
            simulation.host("server").serve(async |event_loop| {
                let listener = event_loop.listen("0.0.0.0:7").await?;
                let mut accepted = Vec::new();
                loop {
                    let (reader, writer) = listener.accept().await?;
                    writer.write_all(b"hello").await?;
                    accepted.push((reader, writer));
                }
            });
            simulation.host("client").serve(async |event_loop| {
                let address = "server:7";
                let (_reader, writer) = event_loop.open_connection(address).await?;
                let endpoint = event_loop.open_datagram_endpoint().peer_address("server:9").await?;
                event_loop.sleep(Duration::from_secs(1)).await;
                writer.write_all(&[7; 50_000]).await?;
                endpoint.send(b"hello").await?;
                event_loop.open_connection(address).await?;
                std::future::pending().await
            });
            let again = fault.clone();
            simulation
                .after(Duration::from_millis(900), move |simulation| simulation.apply(&again));
            // It may have failed by then.
            let _ = simulation.run_for(Duration::from_secs(2));
        };
        // What is made once.
        leave();
        let left = measure(leave).bytes_current;
        assert!(left < LEFT_OVER, "{fault}: {left} bytes are left");
    }
}

/// `WHARF_SIM_ROUNDS` of them: as many as a long simulation has.
#[test]
fn what_is_over_in_a_simulation_takes_no_memory() {
    let rounds = std::env::var("WHARF_SIM_ROUNDS");
    let rounds: u32 =
        rounds.map_or(100, |text| text.parse().expect("WHARF_SIM_ROUNDS is a number"));
    let simulation = Simulation::new(1);
    let (server, client) = (simulation.host("server"), simulation.host("client"));
    server.serve(async |event_loop| {
        let listener = event_loop.listen("0.0.0.0:7").await?;
        loop {
            let (mut reader, writer) = listener.accept().await?;
            let line = reader.read_line().await?.unwrap_or_default().to_owned();
            writer.write_all(line.as_bytes()).await?;
        }
    });
    let ask = || {
        let asked = client.run(async |event_loop| {
            let (mut reader, writer) = event_loop.open_connection("server:7").await?;
            writer.write_all(b"hello\n").await?;
            writer.write_eof();
            while !reader.read_chunk().await?.is_empty() {}
            Ok(())
        });
        // Until then the client's kernel has the addresses of the connection (TIME_WAIT).
        simulation.run_for(Duration::from_secs(61)).and(asked)
    };
    let kinds: [(&str, &dyn Fn()); 5] = [
        ("a connection", &|| ask().unwrap()),
        ("a restart", &|| {
            client.restart();
            ask().unwrap();
        }),
        ("a crash", &|| {
            client.start(async |event_loop| {
                let (_reader, _writer) = event_loop.open_connection("server:7").await?;
                event_loop.sleep(Duration::from_secs(3)).await;
                Ok(())
            });
            simulation.run_for(Duration::from_secs(1)).unwrap();
            server.crash();
            simulation.run_for(Duration::from_secs(1)).unwrap();
            server.restart();
            simulation.run().unwrap();
        }),
        ("a datagram to nobody", &|| {
            let send = async |event_loop: EventLoop| {
                let endpoint = event_loop.open_datagram_endpoint().peer_address("server:9").await?;
                endpoint.send(b"hello").await?;
                event_loop.sleep(Duration::from_secs(1)).await;
                Ok(())
            };
            client.run(send).unwrap();
        }),
        ("an hour", &|| simulation.run_for(Duration::from_secs(3600)).unwrap()),
    ];
    simulation.limit(Duration::MAX);
    // So many are kept, and no more.
    for _ in 0..20_000 {
        simulation.note("");
    }
    for (what, happens) in kinds {
        for _ in 0..rounds {
            happens();
        }
        let left = measure(|| {
            for _ in 0..rounds {
                happens();
            }
        });
        let left = left.bytes_current;
        assert!(left < LEFT_OVER, "{rounds} times {what}: {left} bytes are left");
    }
}
