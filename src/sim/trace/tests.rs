//! Pictures and captures of small simulations.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use crate::error::Result;
use crate::event_loop::EventLoop;
use crate::sim::{Fault, Faults, Host, Script, Simulation};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// A server that sends back each line, under this name, and a client.
fn with_server(name: &str) -> (Simulation, Host, Host) {
    let simulation = Simulation::new(1);
    let server = simulation.host(name);
    server.serve(async |event_loop| {
        let listener = event_loop.listen("0.0.0.0:7").await?;
        loop {
            let (mut reader, writer) = listener.accept().await?;
            while let Ok(Some(line)) = reader.read_line().await {
                writer.write_all(format!("{line}\n").as_bytes()).await?;
            }
        }
    });
    let client = simulation.host("client");
    (simulation, server, client)
}

async fn ask(event_loop: EventLoop) -> Result {
    let (mut reader, writer) = event_loop.open_connection("10.0.0.1:7").await?;
    writer.write_all(b"hello\n").await?;
    reader.read_line().await?;
    Ok(())
}

/// How often this is there.
fn count(text: &str, part: &str) -> usize {
    text.matches(part).count()
}

#[test]
fn a_diagram_shows_what_was_sent_and_lost_and_what_has_happened() {
    let (simulation, server, client) = with_server("server");
    simulation.script(Script::new().at(SECOND, Fault::Recover));
    client.run(ask).unwrap();
    simulation.note("a note");
    let whole = simulation.trace().diagram().to_string();
    assert_eq!(count(&whole, ">connect 32768 → 7</text>"), 1, "{whole}");
    assert_eq!(count(&whole, ">6 bytes</text>"), 2, "{whole}");
    assert_eq!(count(&whole, ">a note</text>"), 1, "{whole}");
    assert!(
        whole.contains(
            "<title>0.003 s: server:7 → client:32768: 6 bytes, arrives at 0.004 s</title>"
        )
    );
    // Nothing was lost yet, and nothing has happened to anybody.
    assert_eq!((count(&whole, "class=\"cross\""), count(&whole, "class=\"dot\"")), (0, 0));
    simulation.apply(&Fault::Cut("client".into(), "server".into()));
    client.start(ask);
    simulation.run_for(10 * MS).unwrap();
    server.crash();
    simulation.run_for(2 * SECOND).unwrap();
    assert!(server.is_on());
    client.pause();
    let faulty = simulation.trace().diagram().to_string();
    assert_eq!(count(&faulty, ">connect 32769 → 7</text>"), 1, "{faulty}");
    assert_eq!(count(&faulty, ">connect 32769 → 7 again</text>"), 1, "{faulty}");
    // A cross for what was lost, and a mark for each thing that has happened to a host.
    assert!(count(&faulty, "class=\"cross\"") >= 2, "{faulty}");
    assert_eq!(count(&faulty, "class=\"dot\""), 3, "{faulty}");
    for fault in ["cut client server", "crash server", "recover", "restart server", "pause client"]
    {
        assert_eq!(count(&faulty, &format!(">{fault}</text>")), 1, "{fault}: {faulty}");
    }
    assert_eq!((count(&faulty, "class=\"off\""), count(&faulty, "class=\"paused\"")), (1, 1));
}

#[test]
fn a_diagram_can_be_of_some_hosts_some_times_and_the_latest_events() {
    let (simulation, _, client) = with_server("server");
    let other = simulation.host("other");
    client.run(ask).unwrap();
    other.run(ask).unwrap();
    let trace = simulation.trace();
    let whole = trace.diagram().to_string();
    let labels =
        ["client", "server", "other"].map(|name| whole.contains(&format!(">{name}</text>")));
    assert_eq!(labels, [true; 3]);
    assert_eq!(count(&whole, "connect 327"), 2);
    assert!(!whole.contains("not shown"));
    let of_two = trace.diagram().hosts(&["server", "client", "nobody"]).to_string();
    assert_eq!((count(&of_two, "connect 327"), of_two.contains(">other</text>")), (1, false));
    let later = trace.diagram().between(4 * MS..=Duration::MAX).to_string();
    assert_eq!((count(&later, "connect 327"), later.contains(">client</text>")), (1, true));
    let all = trace.events().len();
    let last = trace.diagram().limit(3).to_string();
    assert!(last.contains(&format!(">{} earlier events are not shown</text>", all - 3)), "{last}");
    // A host that went off before is off.
    simulation.apply(&Fault::Crash("server".into()));
    simulation.note("later");
    let off = trace.diagram().limit(1).to_string();
    assert!(off.contains(">later</text>") && !off.contains(">crash server</text>"), "{off}");
    assert_eq!(count(&off, "class=\"off\""), 1, "{off}");
}

#[test]
fn texts_in_a_diagram_are_escaped() {
    let (simulation, _, client) = with_server("a<b>&\"c\"");
    client.run(ask).unwrap();
    simulation.note("1 < 2 && \u{1}\n]]>");
    let picture = simulation.trace().diagram().to_string();
    assert!(picture.contains(">a&lt;b&gt;&amp;&quot;c&quot;</text>"), "{picture}");
    assert!(picture.contains(">1 &lt; 2 &amp;&amp; \u{fffd} ]]&gt;</text>"), "{picture}");
    assert!(!picture.contains("a<b") && !picture.contains('\u{1}'));
}

#[test]
fn datagrams_wait_for_a_clogged_link_too_and_are_packets_when_they_pass() {
    let (simulation, server, client) = with_server("server");
    simulation.record_contents();
    simulation.script("0.5 clog client server; 2 join client server".parse().unwrap());
    let received = Rc::new(RefCell::new(Vec::new()));
    let kept = Rc::clone(&received);
    server.serve(async move |event_loop| {
        let mut socket = event_loop.open_datagram_endpoint().local_address("0.0.0.0:9").await?;
        while let Some(datagram) = socket.next().await {
            kept.borrow_mut().push((event_loop.time(), datagram?.0));
        }
        Ok(())
    });
    let began = client
        .run(async |event_loop| {
            let socket = event_loop.open_datagram_endpoint().peer_address("10.0.0.1:9").await?;
            let began = event_loop.time();
            event_loop.sleep(SECOND).await;
            socket.send(b"one").await?;
            socket.send(b"another").await?;
            event_loop.sleep(2 * SECOND).await;
            Ok(began)
        })
        .unwrap();
    let arrival = began + 2 * SECOND + MS;
    let expected = [(arrival, b"one".to_vec()), (arrival, b"another".to_vec())];
    assert_eq!(*received.borrow(), expected);
    let mut packets = Vec::new();
    simulation.trace().write_packets(&mut packets).unwrap();
    let place = |text: &[u8]| packets.windows(text.len()).position(|bytes| bytes == text).unwrap();
    assert!(place(b"one") < place(b"another"));
    assert_eq!(count(&simulation.trace().to_string(), "bytes, held"), 2);
}

#[test]
fn packets_that_were_not_recorded_cannot_be_written() {
    let (simulation, _, client) = with_server("server");
    let kind = |simulation: &Simulation| {
        simulation.trace().write_packets(&mut Vec::new()).map_err(|error| error.kind())
    };
    assert_eq!(kind(&simulation), Err(std::io::ErrorKind::InvalidInput));
    let directory = std::env::temp_dir().join(format!("wharf-trace-{}", std::process::id()));
    simulation.trace().save(&directory).unwrap();
    let written = |name: &str| directory.join(name).exists();
    assert_eq!(["trace.txt", "trace.svg", "trace.pcapng"].map(written), [true, true, false]);
    simulation.record_packets();
    client.run(ask).unwrap();
    assert_eq!(kind(&simulation), Ok(()));
    simulation.trace().save(&directory).unwrap();
    assert!(written("trace.pcapng"));
    std::fs::remove_dir_all(directory).unwrap();
    // To record is no event: the run is the same.
    let (other, _, client) = with_server("server");
    client.run(ask).unwrap();
    assert_eq!(other.trace().fingerprint(), simulation.trace().fingerprint());
}

#[test]
fn a_script_in_place_of_the_same_faults_at_random_changes_nothing_else() {
    let run = |script: Option<Script>| {
        let simulation = Simulation::new(5);
        match script {
            Some(script) => simulation.script(script),
            None => simulation.faults(Faults::of_links()),
        };
        simulation.host("one").start(async |event_loop| {
            event_loop.sleep(SECOND).await;
            Ok(())
        });
        simulation.host("other");
        simulation.run().unwrap();
        (simulation.trace().script(), simulation.random().next_u64())
    };
    let (script, number) = run(None);
    assert!(script.events().len() > 1, "{script}");
    assert_eq!(run(Some(script.clone())), (script, number));
}

#[test]
fn what_comes_to_a_host_that_is_off_is_lost_there_and_sent_again() {
    let (simulation, server, client) = with_server("server");
    // The line is on its way from 2 ms to 3 ms.
    simulation.script("0.0025 crash server; 0.1 restart server".parse().unwrap());
    let outcome = client.run(ask).unwrap_err();
    assert!(server.is_on());
    assert!(format!("{outcome:#}").contains("reset"), "{outcome:#}");
    let text = simulation.trace().to_string();
    assert_eq!(count(&text, "6 bytes, lost on arrival"), 1, "{text}");
    assert_eq!(count(&text, ": 6 bytes\n"), 2, "{text}");
    let picture = simulation.trace().diagram().to_string();
    assert_eq!(count(&picture, ">6 bytes lost</text>"), 1, "{picture}");
    assert_eq!(count(&picture, ">6 bytes again</text>"), 1, "{picture}");
}
