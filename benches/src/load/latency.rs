use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::{Control, STALL_LIMIT, SourceAddresses, pattern};
use crate::Result;
use crate::arguments::Arguments;

/// Ping-pong on one connection, each round trip timed.
#[derive(Debug, Clone, Copy)]
pub struct Latency {
    /// The server.
    pub server: SocketAddr,
    /// How many round trips are measured.
    pub messages: usize,
    /// The size of a message, in bytes.
    pub size: usize,
    /// How many round trips are made before.
    pub warm_up: usize,
}

impl Latency {
    /// Reads the command line.
    ///
    /// # Errors
    /// It is wrong.
    pub fn from_arguments(mut arguments: Arguments) -> Result<Self> {
        let load = Self {
            server: arguments.required("--connect")?,
            messages: arguments.option_or("--messages", 50_000)?,
            size: arguments.option_or("--size", 64)?,
            warm_up: arguments.option_or("--warm-up", 2_000)?,
        };
        arguments.finish()?;
        Ok(load)
    }

    /// Runs the load.
    ///
    /// # Errors
    /// The server closes, stalls, or sends back something else.
    pub fn run(&self, control: &mut Control) -> Result<String> {
        let mut stream = SourceAddresses::new(self.server).connect()?;
        stream.set_read_timeout(Some(STALL_LIMIT))?;
        let message = pattern(self.size);
        let mut echoed = vec![0; self.size];
        for _ in 0..self.warm_up {
            round_trip(&mut stream, &message, &mut echoed)?;
        }
        let mut times = Vec::with_capacity(self.messages);
        control.ready()?;
        for _ in 0..self.messages {
            times.push(round_trip(&mut stream, &message, &mut echoed)?);
        }
        Ok(format!("messages={} {}", self.messages, quantiles(times)))
    }
}

/// The quantiles of round trips, in microseconds, as a load reports them.
pub(super) fn quantiles(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let microseconds = |quantile| at_quantile(&times, quantile).as_secs_f64() * 1e6;
    format!(
        "p50={} p90={} p99={} p999={}",
        microseconds(0.5),
        microseconds(0.9),
        microseconds(0.99),
        microseconds(0.999)
    )
}

fn round_trip(stream: &mut TcpStream, message: &[u8], echoed: &mut [u8]) -> Result<Duration> {
    let start = Instant::now();
    stream.write_all(message)?;
    stream.read_exact(echoed)?;
    let time = start.elapsed();
    if echoed != message {
        return Err("the server changed what it echoed".into());
    }
    Ok(time)
}

/// The smallest time that the given share of all does not exceed; zero when there is none.
pub(super) fn at_quantile(sorted: &[Duration], quantile: f64) -> Duration {
    let rank = (sorted.len() as f64 * quantile).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_of_the_nearest_rank() {
        let times: Vec<_> = (1..=200).map(Duration::from_micros).collect();
        assert_eq!(at_quantile(&times, 0.5), Duration::from_micros(100));
        assert_eq!(at_quantile(&times, 0.99), Duration::from_micros(198));
        assert_eq!(at_quantile(&times, 0.999), Duration::from_micros(200));
        assert_eq!(at_quantile(&[], 0.5), Duration::ZERO);
    }
}
