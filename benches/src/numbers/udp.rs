//! Datagrams: CPU, instructions and system calls of an echo, and bulk with and without offload.

use std::fs;
use std::io::ErrorKind;
use std::net::UdpSocket;

use wharf::{Address, DatagramProtocol, DatagramTransport, Datagrams, EventLoop};

use super::echo::timed_run;
use super::{Bench, installed, median_headings, ratio_headings, scratch_file};
use crate::Result;
use crate::affinity::spawn_on;
use crate::contender::{self, Contender, RAW_MIO, TOKIO, WHARF};
use crate::counters::cpu::own_time;
use crate::counters::{callgrind, strace};
use crate::load_process::LoadProcess;
use crate::report::{PairedRatio, Table, median};
use crate::server_process::ServerProcess;

const ROW: &str = "64 B, 64 in flight";

/// About half a second's worth.
const DATAGRAMS: u64 = 400_000;

const INSTRUCTIONS: f64 = 150.0;

/// A datagram as large as those of QUIC.
const BULK_SIZE: usize = 1200;

/// How many are sent before they are received.
const BULK_RUN: usize = 54;

const BULK_RUNS: usize = 4000;

pub(super) fn measure(bench: &mut Bench) -> Result {
    let standard = std::mem::take(&mut bench.contenders);
    bench.contenders = bench.chosen(contender::udp()?);
    let outcome = times(bench).and_then(|()| counts(bench));
    bench.contenders = standard;
    outcome?;
    bulk(bench)
}

fn arguments(datagrams: u64) -> Vec<String> {
    let datagrams = datagrams.to_string();
    let words = ["udp", "--size", "64", "--in-flight", "64", "--warm-up", "5000", "--messages"];
    words.into_iter().map(String::from).chain([datagrams]).collect()
}

fn times(bench: &mut Bench) -> Result {
    println!("\n## UDP echo: server CPU per datagram, µs, medians of {} rounds\n", bench.rounds);
    let load = arguments(DATAGRAMS);
    let samples = bench.in_turn(ROW, &bench.contenders, |contender| {
        Ok(timed_run(bench, contender, &load)?.server_cpu / DATAGRAMS as f64 * 1e6)
    })?;
    let mut medians = Table::new(median_headings(bench));
    medians.row(std::iter::once(ROW.to_owned()).chain(samples.medians()));
    let mut ratios = Table::new(ratio_headings(bench));
    ratios.row(std::iter::once(ROW.to_owned()).chain(samples.ratios()));
    println!("{medians}\nPaired ratios, median (quartiles):\n\n{ratios}");
    for (baseline, limit) in [(RAW_MIO, 1.05), (TOKIO, 0.9)] {
        if let Some(ratio) = samples.ratio(WHARF, baseline) {
            bench.limit(&format!("UDP echo: CPU / {baseline}"), ratio.quartiles.0, limit);
        }
    }
    Ok(())
}

fn counts(bench: &mut Bench) -> Result {
    println!("\n## UDP echo: per datagram, {ROW}\n");
    let mut table = Table::new(["", "instructions", "system calls", "which"]);
    for contender in bench.contenders.clone() {
        eprintln!("counting {}", contender.name);
        let instructions = match installed("valgrind") {
            true => {
                per_datagram(bench, &contender, "callgrind", |output| {
                    Ok(vec![(String::new(), callgrind::instructions(output)?)])
                })?[0]
                    .1
            }
            false => f64::NAN,
        };
        let calls = match installed("strace") {
            true => per_datagram(bench, &contender, "strace", |output| {
                Ok(strace::calls(output)?.into_iter().collect())
            })?,
            false => Vec::new(),
        };
        let all: f64 = calls.iter().map(|(_, count)| count).sum();
        let which: Vec<_> = calls
            .iter()
            .filter(|(_, count)| *count > 0.001)
            .map(|(name, count)| format!("{name} {count:.3}"))
            .collect();
        table.row([
            contender.name.to_owned(),
            format!("{instructions:.0}"),
            format!("{all:.3}"),
            which.join(", "),
        ]);
        if contender.name == WHARF {
            bench.limit("UDP echo: instructions per datagram", instructions, INSTRUCTIONS);
        }
    }
    println!("{table}");
    Ok(())
}

/// What one more datagram costs: the difference of two lengths, as elsewhere.
fn per_datagram(
    bench: &Bench,
    contender: &Contender,
    counter: &str,
    read: impl Fn(&std::path::PathBuf) -> Result<Vec<(String, u64)>>,
) -> Result<Vec<(String, f64)>> {
    let count = |length: u64| {
        let output = scratch_file(counter);
        let wrapper = match counter {
            "strace" => strace::wrapper(&output),
            _ => callgrind::wrapper(&output),
        };
        let server = ServerProcess::start_under(&wrapper, contender, bench.server_core)?;
        let mut load = LoadProcess::start(server.address(), &arguments(length), bench.load_core)?;
        load.result()?;
        load.finish()?;
        server.stop()?;
        let counted = read(&output)?;
        fs::remove_file(&output)?;
        Ok::<_, crate::Failure>(counted)
    };
    let (short, long) = (5_000, 45_000);
    let (few, many) = (count(short)?, count(long)?);
    Ok(many
        .into_iter()
        .map(|(name, many)| {
            let few = few.iter().find(|(few, _)| *few == name).map_or(0, |(_, few)| *few);
            (name, (many as f64 - few as f64) / (long - short) as f64)
        })
        .collect())
}

/// Gives MiB per second of CPU.
type Way = fn() -> Result<f64>;

/// MiB per second of CPU, sender and receiver in one thread.
fn bulk(bench: &mut Bench) -> Result {
    println!("\n## UDP bulk, {BULK_SIZE} B: MiB per CPU second of sender and receiver together\n");
    let ways: [(&str, Way); 3] = [
        ("one datagram per call", one_per_call),
        ("wharf", || wharf_bulk(false)),
        ("wharf, offload", || wharf_bulk(true)),
    ];
    let mut samples = ways.map(|(name, _)| (name, Vec::new()));
    for _ in 0..bench.rounds {
        for (position, (_, way)) in ways.iter().enumerate() {
            let rate = spawn_on(bench.server_core, way)??;
            samples[position].1.push(rate);
        }
    }
    let mut table = Table::new(["", "MiB / CPU s", "ratio"]);
    for (name, rates) in &samples {
        let ratio = PairedRatio::new(rates, &samples[0].1);
        table.row([(*name).to_owned(), format!("{:.0}", median(rates)), ratio.to_string()]);
    }
    println!("{table}");
    let ratio = PairedRatio::new(&samples[2].1, &samples[0].1);
    bench.limit("UDP bulk: one per call / wharf with offload", 1.0 / ratio.quartiles.1, 1.0 / 3.0);
    Ok(())
}

fn rate(datagrams: usize, cpu: std::time::Duration) -> f64 {
    (datagrams * BULK_SIZE) as f64 / f64::from(1 << 20) / cpu.as_secs_f64()
}

fn one_per_call() -> Result<f64> {
    let receiver = UdpSocket::bind("127.0.0.1:0")?;
    receiver.set_nonblocking(true)?;
    let sender = UdpSocket::bind("127.0.0.1:0")?;
    sender.connect(receiver.local_addr()?)?;
    let (data, mut buffer) = ([7; BULK_SIZE], [0; 65_536]);
    let mut received = 0;
    let before = own_time()?;
    for _ in 0..BULK_RUNS {
        for _ in 0..BULK_RUN {
            sender.send(&data)?;
        }
        loop {
            match receiver.recv_from(&mut buffer) {
                Ok(_) => received += 1,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(rate(received, own_time()? - before))
}

/// Counts what comes, and has the next run sent when one is complete.
struct Sink {
    received: usize,
    sender: Option<wharf::DatagramHandle>,
    data: Vec<u8>,
}

impl DatagramProtocol for Sink {
    fn datagram_received(
        &mut self,
        _: &dyn DatagramTransport,
        _: &[u8],
        _: &Address,
    ) -> wharf::Result {
        Ok(())
    }

    fn datagrams_received(
        &mut self,
        transport: &dyn DatagramTransport,
        batch: &mut Datagrams<'_>,
    ) -> wharf::Result {
        let before = self.received / BULK_RUN;
        self.received += batch.count();
        if self.received >= BULK_RUN * BULK_RUNS {
            transport.event_loop().stop();
        } else if self.received / BULK_RUN > before
            && let Some(sender) = &self.sender
        {
            sender.send_segments(&self.data, BULK_SIZE, None)?;
        }
        Ok(())
    }
}

fn wharf_bulk(offload: bool) -> Result<f64> {
    let event_loop = EventLoop::new()?;
    let before = own_time()?;
    event_loop.run(async |event_loop| {
        let sink = Sink { received: 0, sender: None, data: vec![7; BULK_SIZE * BULK_RUN] };
        let receiver = event_loop
            .create_datagram_endpoint(|| sink)
            .local_address("127.0.0.1:0")
            .offload(offload)
            .await?;
        let to = receiver.local_address()?;
        let idle = Sink { received: 0, sender: None, data: Vec::new() };
        let sender = event_loop.create_datagram_endpoint(|| idle).peer_address(to).await?;
        sender.send_segments(&vec![7; BULK_SIZE * BULK_RUN], BULK_SIZE, None)?;
        receiver.with(|sink, _| sink.sender = Some(sender.handle().clone()))?;
        Ok(())
    })?;
    event_loop.run_forever()?;
    Ok(rate(BULK_RUN * BULK_RUNS, own_time()? - before))
}
