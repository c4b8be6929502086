//! The chat, under simulation: its server and four members on five hosts, a minute of virtual time for each seed.
//!
//! For twenty seconds links lose, cut and clog, hosts are killed, crash, stand still and begin anew, and their kernels are
//! short of all sorts of things; then all is whole.
//! Whoever is connected to the server hears what the others do, in the same order and without a gap, and when all is
//! whole everybody hears everybody again. The functions are those that run for real: the server of `chat/server.rs`, and
//! the client of `chat/client.rs`, with two Unix sockets for a terminal.
//!
//! ```sh
//! cargo run --release --example sim_chat
//! ```
//!
//! tries 1,000 seeds. `WHARF_SIM_SEEDS=10000` tries more; `WHARF_SIM_SEED=7` runs that one again, and shows all that was
//! sent.
#![forbid(unsafe_code)]

#[path = "../chat/client.rs"]
mod client;
#[path = "../chat/command.rs"]
mod command;
mod evening;
#[path = "../chat/hall.rs"]
mod hall;
#[path = "../chat/member.rs"]
mod member;
#[path = "../chat/server.rs"]
mod server;
#[path = "../chat/visit.rs"]
mod visit;
mod visitor;

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use wharf::Result;
use wharf::sim::{Check, Faults, LinkOptions, Simulation};
use wharf_examples::serving::Listen;

use self::evening::Evening;

use self::server::chat_server;
use self::visitor::Visitor;

const MEMBERS: [&str; 4] = ["ann", "bob", "cid", "dan"];

/// When the last fault is over.
const CALM: Duration = Duration::from_secs(20);

/// From when on everybody hears everybody. What was lost at 20 s is sent again at 40 s at the latest: the time between
/// two attempts is twice the one before, and so is the longest that a connection can be without any.
const SETTLED: Duration = Duration::from_secs(45);

const END: Duration = Duration::from_secs(60);

fn main() -> Result<ExitCode> {
    let count = AtomicU64::new(0);
    let scenario = |simulation: &Simulation| {
        count.fetch_add(1, Ordering::Relaxed);
        scenario(simulation)
    };
    let faults = Faults::all().every(Duration::from_secs(1)).until(CALM);
    let begin = Instant::now();
    let outcome = Check::new().seeds(1_000).faults(faults).find(scenario);
    let (count, took) = (count.into_inner(), begin.elapsed().as_secs_f64());
    let mut output = io::stdout().lock();
    if let Err(failure) = outcome {
        writeln!(output, "{failure}")?;
        return Ok(ExitCode::FAILURE);
    }
    let rate = count as f64 / took;
    writeln!(output, "{count} evenings of {END:?} in {took:.1} s: {rate:.0} in a second")?;
    Ok(ExitCode::SUCCESS)
}

fn scenario(simulation: &Simulation) -> Result {
    let ms = Duration::from_millis;
    simulation.links(LinkOptions::new().latency(ms(1)..=ms(40)).split(0.1));
    simulation.host("server").serve(async |event_loop| {
        let listen = Listen::Address("0.0.0.0:7000".to_owned());
        let server = chat_server(&event_loop, listen, None).await?;
        Ok(server.wait_closed().await?)
    });
    let evening = Rc::new(Evening::default());
    for name in MEMBERS {
        let (host, evening) = (simulation.host(name), Rc::clone(&evening));
        let random = host.random();
        host.serve(async move |event_loop| {
            let (evening, random) = (Rc::clone(&evening), random.clone());
            Visitor { event_loop, name, evening, random }.stay("server:7000").await
        });
    }
    simulation.run_for(CALM)?;
    evening.grow_late();
    simulation.run_for(SETTLED - CALM)?;
    evening.settle();
    simulation.run_for(END - SETTLED)?;
    evening.check(&MEMBERS)
}
