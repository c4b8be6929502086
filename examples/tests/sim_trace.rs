//! Traces of simulations, as those read them who they are for: Wireshark, and whoever shows pictures.

use std::cell::Cell;
use std::path::PathBuf;
use std::process::Command;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use std::{fs, str};

use wharf::sim::{Check, Fault, LinkOptions, Simulation};
use wharf::{EventLoop, Result};

use crate::needs;
use crate::program::Program;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

#[test]
fn sim_trace_writes_a_text_packets_and_a_picture() {
    let directory = Directory::new();
    let path = directory.0.to_str().unwrap();
    let ending = Program::example("sim_trace", &[path]).end();
    assert_eq!((ending.code, &*ending.errors), (Some(0), ""), "{ending:?}");
    let text = fs::read_to_string(directory.0.join("trace.txt")).unwrap();
    for line in [" -> server:4000: connect", "! cut alice server", "! restart server"] {
        assert!(text.contains(line), "{line}: {text}");
    }
    assert!(fs::read(directory.0.join("trace.pcapng")).unwrap().len() > 1_000);
    // The picture is well-formed XML, with a mark for what has happened to the server.
    let script = "import sys, xml.etree.ElementTree as tree; root = tree.parse(sys.argv[1]).getroot(); \
                  print(root.tag, sum('crash server' in (text.text or '') for text in root.iter()))";
    let picture = directory.0.join("trace.svg");
    if needs::program("python3") {
        let said = said(Command::new("python3").args(["-c", script]).arg(picture));
        assert_eq!(said.trim(), "{http://www.w3.org/2000/svg}svg 2");
    }
}

#[test]
fn a_failing_check_saves_its_trace() {
    let directory = Directory::new();
    let scenario = |simulation: &Simulation| {
        simulation.host("server").serve(echo);
        simulation.host("client").start(async |event_loop| talk(event_loop, "server:7", 1).await);
        simulation.run()?;
        if simulation.seed() < 3 { Ok(()) } else { Err("on purpose".into()) }
    };
    let failure = Check::new().save_traces(&directory.0).find(scenario).unwrap_err();
    let place = failure.saved.clone().unwrap();
    assert_eq!(
        place,
        directory
            .0
            .join(format!("sim_trace-a_failing_check_saves_its_trace-seed-{}", failure.seed))
    );
    assert!(failure.to_string().ends_with(&format!("\ntrace: {}", place.display())), "{failure}");
    let text = fs::read_to_string(place.join("trace.txt")).unwrap();
    assert!(text.contains("client:32768 -> server:7: 6 bytes"), "{text}");
    assert!(fs::read_to_string(place.join("trace.svg")).unwrap().contains(">6 bytes</text>"));
    let packets = fs::read(place.join("trace.pcapng")).unwrap();
    // With what is in them.
    assert!(packets.windows(6).any(|bytes| bytes == b"hello\n"));
}

#[test]
fn tshark_finds_nothing_wrong_with_the_packets_of_a_simulation() {
    let simulation = Simulation::new(1);
    simulation.record_contents();
    simulation.links(LinkOptions::new().latency(MS..=5 * MS).split(0.2));
    simulation.host("server").serve(echo);
    simulation.host("server").serve(echo_datagrams);
    let client = simulation.host("client");
    client
        .run(async |event_loop| {
            for address in ["10.0.0.1:7", "[fd00::1]:8"] {
                talk(event_loop.clone(), address, 5_000).await?;
            }
            for address in ["10.0.0.1:9", "[fd00::1]:10"] {
                let endpoint = event_loop.open_datagram_endpoint().peer_address(address);
                let mut socket = endpoint.await?;
                socket.send(b"odd").await?;
                socket.next().await.transpose()?;
            }
            Ok(())
        })
        .unwrap();
    let Some(rows) = fields(&simulation, &FIELDS) else { return };
    // Every checksum was looked at, and is right.
    for (row, fields) in rows.iter().enumerate() {
        let checksums = fields[4..9].iter().filter(|status| !status.is_empty());
        let is_ipv4 = fields[0].starts_with("10.");
        assert_eq!(checksums.clone().count(), if is_ipv4 { 2 } else { 1 }, "{row}: {fields:?}");
        assert!(checksums.clone().all(|status| status == "1"), "{row}: {fields:?}");
    }
    let remarks = remarks(&rows);
    assert!(remarks.iter().all(|remark| is_usual(remark)), "{remarks:?}");
    for (family, server) in [("10.0.0.", "10.0.0.1"), ("fd00::", "fd00::1")] {
        let of_family: Vec<_> =
            rows.iter().filter(|fields| source(fields).starts_with(family)).collect();
        let flags: Vec<&str> = of_family.iter().map(|fields| &*fields[2]).collect();
        assert_eq!(flags[..3], ["··········S·", "·······A··S·", "·······A····"], "{flags:?}");
        let ends = flags.iter().filter(|flags| flags.ends_with('F')).count();
        assert_eq!(ends, 2, "{flags:?}");
        // All bytes are there, once each, and in order.
        let sent = |by_server: bool| -> String {
            let side = of_family.iter().filter(|fields| (source(fields) == server) == by_server);
            side.filter(|fields| !fields[2].is_empty()).map(|fields| &*fields[3]).collect()
        };
        let line = "68656c6c6f0a".repeat(5_000);
        assert!(sent(false) == line && sent(true) == line, "{family}");
    }
    assert_eq!(rows.iter().filter(|fields| fields[3] == "6f6464").count(), 4);
}

#[test]
fn tshark_sees_in_the_packets_what_faults_have_done() {
    let simulation = Simulation::new(1);
    simulation.record_contents();
    let server = simulation.host("server");
    server.serve(echo);
    let client = simulation.host("client");
    client.start(async |event_loop| {
        // Nobody is there.
        let refused = event_loop.open_connection("10.0.0.1:70").await;
        assert!(refused.is_err());
        for address in ["10.0.0.1:71", "[fd00::1]:71"] {
            let endpoint = event_loop.open_datagram_endpoint().peer_address(address);
            let mut socket = endpoint.await?;
            socket.send(b"anybody?").await?;
            assert!(socket.next().await.is_some_and(|datagram| datagram.is_err()));
        }
        let (mut reader, writer) = event_loop.open_connection("10.0.0.1:7").await?;
        event_loop.sleep(SECOND).await;
        // What is lost is sent again.
        writer.write_all(b"hello\n").await?;
        assert_eq!(reader.read_line().await?, Some("hello"));
        // The server has crashed, and is on again: it knows nothing of the connection.
        event_loop.sleep(5 * SECOND).await;
        writer.write_all(b"hello\n").await?;
        assert!(reader.read_line().await.is_err());
        Ok(())
    });
    simulation.script(
        "0.9 cut client server; 1.1 join client server; 3 crash server; 4 restart server"
            .parse()
            .unwrap(),
    );
    simulation.run().unwrap();
    let Some(rows) = fields(&simulation, &FIELDS) else { return };
    let remarks = remarks(&rows);
    let count = |part: &str| remarks.iter().filter(|remark| remark.contains(part)).count();
    assert_eq!(count("(suspected) retransmission"), 1, "{remarks:?}");
    // The refused connect, and the connection that the server does not know any more.
    assert_eq!(count("Connection reset (RST)"), 2, "{remarks:?}");
    let rest = remarks.iter().filter(|remark| !is_usual(remark));
    let rest =
        rest.filter(|remark| !remark.contains("retransmission") && !remark.contains("(RST)"));
    assert_eq!(rest.collect::<Vec<_>>(), Vec::<&&str>::new());
    let unreachable = rows.iter().filter(|fields| !fields[7].is_empty() || !fields[8].is_empty());
    let answers: Vec<_> = unreachable.map(|fields| source(fields)).collect();
    assert_eq!(answers, ["10.0.0.1,10.0.0.2", "fd00::1,fd00::2"], "{rows:?}");
    let comments: Vec<&str> =
        rows.iter().map(|fields| &*fields[10]).filter(|comment| !comment.is_empty()).collect();
    assert_eq!(
        comments,
        [
            "at 900ms: cut client server,lost",
            "at 1.1s: join client server",
            "at 3s: crash server,at 4s: restart server",
        ]
    );
}

#[test]
fn tshark_sees_in_the_packets_that_a_reader_is_slow() {
    let simulation = Simulation::new(1);
    simulation.record_packets();
    let is_read = Rc::new(Cell::new(0));
    let counted = Rc::clone(&is_read);
    simulation.host("server").serve(async move |event_loop| {
        let listener = event_loop.listen("0.0.0.0:7").await?;
        let (mut reader, _writer) = listener.accept().await?;
        event_loop.sleep(SECOND).await;
        while counted.get() < 1_000_000 {
            counted.set(counted.get() + reader.read_chunk().await?.len());
            event_loop.sleep(10 * MS).await;
        }
        Ok(())
    });
    simulation.host("client").start(async move |event_loop| {
        let (_reader, writer) = event_loop.open_connection("server:7").await?;
        writer.write_all(&[7; 1_000_000]).await?;
        while is_read.get() < 1_000_000 {
            event_loop.sleep(SECOND).await;
        }
        Ok(())
    });
    simulation.run().unwrap();
    let Some(rows) = fields(&simulation, &["frame.len", "frame.cap_len", "tcp.len", EXPERT]) else {
        return;
    };
    // Only headers were recorded, and how long the contents were.
    let number = |field: &String| field.parse::<usize>().unwrap();
    for fields in &rows {
        assert_eq!(number(&fields[0]) - number(&fields[1]), number(&fields[2]), "{fields:?}");
    }
    assert_eq!(rows.iter().map(|fields| number(&fields[2])).sum::<usize>(), 1_000_000);
    let remarks = remarks(&rows);
    assert!(remarks.iter().any(|remark| remark.starts_with("TCP Zero Window")), "{remarks:?}");
    assert!(remarks.iter().any(|remark| remark.starts_with("TCP window update")), "{remarks:?}");
    let of_windows = |remark: &str| remark.to_lowercase().contains("window");
    assert!(remarks.iter().all(|remark| is_usual(remark) || of_windows(remark)), "{remarks:?}");
}

#[test]
fn hosts_have_their_names_in_the_packets() {
    let simulation = Simulation::new(1);
    simulation.record_packets();
    simulation.host("server").serve(echo);
    let client = simulation.host("client");
    client.run(async |event_loop| talk(event_loop, "server:7", 1).await).unwrap();
    simulation.apply(&Fault::Heal);
    let Some(rows) =
        fields(&simulation, &["frame.interface_name", "ip.dst_host", "frame.time_epoch"])
    else {
        return;
    };
    assert_eq!(rows[0], ["client", "server", "1735689600.000000000"]);
    assert_eq!(rows[1], ["server", "client", "1735689600.001000000"]);
}

/// What is looked at of each packet.
const FIELDS: [&str; 12] = [
    "ip.src",
    "ipv6.src",
    "tcp.flags.str",
    "data.data",
    "ip.checksum.status",
    "tcp.checksum.status",
    "udp.checksum.status",
    "icmp.checksum.status",
    "icmpv6.checksum.status",
    "ip.proto",
    "frame.comment",
    EXPERT,
];
const EXPERT: &str = "_ws.expert.message";

/// These fields of each packet, as tshark sees them; `None`: there is no tshark.
fn fields(simulation: &Simulation, names: &[&str]) -> Option<Vec<Vec<String>>> {
    if !needs::program("tshark") {
        return None;
    }
    let directory = Directory::new();
    let file = directory.0.join("packets.pcapng");
    simulation.trace().write_packets(fs::File::create(&file).unwrap()).unwrap();
    let mut tshark = Command::new("tshark");
    tshark.arg("-r").arg(&file).args([
        "-N",
        "n",
        "-T",
        "fields",
        "-E",
        "separator=|",
        "-E",
        "aggregator=,",
    ]);
    for protocol in ["ip", "tcp", "udp"] {
        tshark.args(["-o", &format!("{protocol}.check_checksum:TRUE")]);
    }
    // Ports mean nothing here.
    tshark.args(["--disable-protocol", "echo", "--disable-protocol", "discard"]);
    for name in names {
        tshark.args(["-e", name]);
    }
    let said = said(&mut tshark);
    Some(said.lines().map(|line| line.split('|').map(str::to_owned).collect()).collect())
}

/// From where a packet comes, of either family.
fn source(fields: &[String]) -> &str {
    if fields[0].is_empty() { &fields[1] } else { &fields[0] }
}

/// What tshark has to say of all packets, but for what their comments say.
fn remarks(rows: &[Vec<String>]) -> Vec<&str> {
    let fields = rows.iter().filter_map(|fields| fields.last());
    let remarks = fields.flat_map(|field| field.split(',')).filter(|remark| !remark.is_empty());
    remarks.filter(|remark| *remark != "lost" && !remark.starts_with("at ")).collect()
}

/// What is said of every connection.
fn is_usual(remark: &str) -> bool {
    const USUAL: [&str; 5] = [
        "Connection establish request",
        "Connection establish acknowledge",
        "Connection finish",
        "This frame initiates the connection closing",
        "This frame undergoes the connection closing",
    ];
    USUAL.iter().any(|usual| remark.starts_with(usual))
}

fn said(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Sends back what comes in, of both families.
async fn echo(event_loop: EventLoop) -> Result {
    let listeners = [event_loop.listen("0.0.0.0:7").await?, event_loop.listen("[::]:8").await?];
    for listener in listeners {
        let clients = event_loop.clone();
        let accepts = async move {
            while let Ok((mut reader, writer)) = listener.accept().await {
                let echoes = async move {
                    while let Ok(data) = reader.read_chunk().await {
                        if data.is_empty() || writer.write_all(data).await.is_err() {
                            break;
                        }
                    }
                };
                clients.create_task(echoes).detach();
            }
        };
        event_loop.create_task(accepts).detach();
    }
    Ok(())
}

async fn echo_datagrams(event_loop: EventLoop) -> Result {
    for address in ["0.0.0.0:9", "[::]:10"] {
        let mut socket = event_loop.open_datagram_endpoint().local_address(address).await?;
        let echoes = async move {
            while let Some(Ok((data, sender))) = socket.next().await {
                if socket.send_to(&data, &sender).await.is_err() {
                    break;
                }
            }
        };
        event_loop.create_task(echoes).detach();
    }
    Ok(())
}

/// Says so many lines, and hears them.
async fn talk(event_loop: EventLoop, address: &'static str, lines: usize) -> Result {
    let (mut reader, writer) = event_loop.open_connection(address).await?;
    let mut left = lines * 6;
    let says = event_loop.create_task(async move {
        writer.write_all(&b"hello\n".repeat(lines)).await?;
        writer.write_eof();
        Result::<_>::Ok(writer)
    });
    while left > 0 {
        left -= reader.read_chunk().await?.len();
    }
    says.await??;
    Ok(())
}

/// A directory of a test, which is gone with it.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("wharf-sim-trace-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Self(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
