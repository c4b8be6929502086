//! One connection that asks for much and reads it.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::time::Instant;

use super::{Control, STALL_LIMIT, SourceAddresses};
use crate::Result;
use crate::arguments::Arguments;
use crate::counters::cpu;

/// What is asked for before the measured part.
const WARM_UP: u64 = 64 << 20;

/// The load `receive`.
#[derive(Debug, Clone, Copy)]
pub struct Receive {
    /// The server to connect to.
    pub server: SocketAddr,
    /// How many MiB to ask for.
    pub mib: u64,
}

impl Receive {
    /// Reads the command line.
    ///
    /// # Errors
    /// It is wrong.
    pub fn from_arguments(mut arguments: Arguments) -> Result<Self> {
        let receive = Self {
            server: arguments.required("--connect")?,
            mib: arguments.option_or("--mib", 1024)?,
        };
        arguments.finish()?;
        Ok(receive)
    }

    /// Runs it; the result is a line of `key=value` pairs.
    ///
    /// # Errors
    /// The server does not send what it is asked for.
    pub fn run(self, control: &mut Control) -> Result<String> {
        let mut client = SourceAddresses::new(self.server).connect()?;
        client.set_read_timeout(Some(STALL_LIMIT))?;
        let mut buffer = vec![0; 256 * 1024];
        let mut receive = |bytes: u64| -> Result {
            client.write_all(&bytes.to_be_bytes())?;
            let mut left = bytes;
            while left > 0 {
                let most = usize::try_from(left)?.min(buffer.len());
                match client.read(&mut buffer[..most])? {
                    0 => return Err(format!("{left} bytes are missing").into()),
                    count => left -= count as u64,
                }
            }
            Ok(())
        };
        receive(WARM_UP)?;
        control.ready()?;
        let (began, cpu) = (Instant::now(), cpu::own_time()?);
        receive(self.mib << 20)?;
        let seconds = began.elapsed().as_secs_f64();
        let load = (cpu::own_time()? - cpu).as_secs_f64();
        Ok(format!("mib={} seconds={seconds:.6} load_cpu_seconds={load:.6}", self.mib))
    }
}
