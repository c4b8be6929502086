//! What TLS costs: handshakes, bulk, messages, memory, and a storm of handshakes.

use super::Bench;
use crate::Result;
use crate::contender::{self, Contender};

mod counts;
mod memory;
mod storm;
mod times;

const RAW: &str = "tls-raw";
const RAW_SHARED: &str = "tls-raw-shared";
const TOKIO: &str = "tls-tokio";
const WHARF: &str = "tls-wharf";

/// `--rows` chooses among `time: …`, `counts: …`, `memory: …` and `storm`.
pub(super) fn measure(bench: &mut Bench) -> Result {
    let contenders = bench.chosen(contender::tls([RAW, RAW_SHARED, TOKIO, WHARF])?);
    counts::measure(bench, &contenders)?;
    memory::measure(bench, &contenders)?;
    storm::measure(bench, &contenders)?;
    times::measure(bench, &contenders)
}

fn names(contenders: &[Contender]) -> impl Iterator<Item = &'static str> {
    contenders.iter().map(|contender| contender.name)
}
