use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use super::{Control, STALL_LIMIT, SourceAddresses, Wire, pattern, tls};
use crate::Result;
use crate::arguments::Arguments;

/// Opens connections, uses each once, and holds them.
///
/// It is ready twice: with the first connections open, when the server has touched whatever it
/// allocates once, and with all of them.
#[derive(Debug, Clone, Copy)]
pub struct Idle {
    /// The server.
    pub server: SocketAddr,
    /// How many connections in the end.
    pub connections: usize,
    /// How many of them are opened before it is ready for the first time.
    pub first: usize,
    /// The size of the message that each connection sends, in bytes.
    pub size: usize,
    /// Whether it is under TLS.
    pub tls: bool,
}

impl Idle {
    /// Reads the command line.
    ///
    /// # Errors
    /// It is wrong.
    pub fn from_arguments(mut arguments: Arguments) -> Result<Self> {
        let load = Self {
            server: arguments.required("--connect")?,
            connections: arguments.option_or("--connections", 10_000)?,
            first: arguments.option_or("--first", 100)?,
            size: arguments.option_or("--size", 64)?,
            tls: arguments.flag("--tls"),
        };
        arguments.finish()?;
        Ok(load)
    }

    /// Runs the load.
    ///
    /// # Errors
    /// The server refuses, closes, stalls, or sends back something else.
    pub fn run(&self, control: &mut Control) -> Result<String> {
        let mut sources = SourceAddresses::new(self.server);
        let config = self.tls.then(|| tls::client_config(false)).transpose()?;
        let mut held = Vec::with_capacity(self.connections);
        while held.len() < self.connections {
            if held.len() == self.first {
                control.ready()?;
            }
            let stream = sources.connect()?;
            stream.set_read_timeout(Some(STALL_LIMIT))?;
            let mut stream = Wire::new(stream, config.as_ref(), 0)?;
            use_once(&mut stream, self.size)?;
            held.push(stream);
        }
        control.ready()?;
        Ok(format!("connections={}", held.len()))
    }
}

fn use_once(stream: &mut Wire<TcpStream>, size: usize) -> Result {
    let message = pattern(size);
    stream.write_all(&message)?;
    let mut echoed = vec![0; size];
    stream.read_exact(&mut echoed)?;
    if echoed != message {
        return Err("the server changed what it echoed".into());
    }
    Ok(())
}
