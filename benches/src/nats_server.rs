//! A real server for NATS while clients are measured.

use std::fs;
use std::io::{BufRead as _, BufReader, ErrorKind, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::Result;
use crate::affinity::spawn_on;
use crate::nats::PAYLOAD;

/// How long it may take to start.
const LIMIT: Duration = Duration::from_secs(20);

/// A `nats-server` on a free port, with JetStream in a directory of its own. Dropping it ends it.
#[derive(Debug)]
pub struct NatsServer {
    child: Child,
    address: String,
    directory: PathBuf,
}

impl NatsServer {
    /// Starts it, pinned to `core`; `None` if it is not installed.
    ///
    /// # Errors
    /// It does not start.
    pub fn start(core: Option<usize>) -> Result<Option<Self>> {
        // Its own choice would be told in a file that it writes at some time.
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port().to_string();
        let directory = std::env::temp_dir().join(format!("wharf-nats-{}", std::process::id()));
        // Debian's is where not every user looks for programs.
        for program in ["nats-server", "/usr/sbin/nats-server"] {
            let mut command = Command::new(program);
            command.args(["--addr", "127.0.0.1", "--port", &port, "--jetstream", "--store_dir"]);
            command.arg(&directory).stdout(Stdio::null()).stderr(Stdio::null());
            match spawn_on(core, || command.spawn())? {
                Ok(child) => {
                    let address = format!("127.0.0.1:{port}");
                    let server = Self { child, address, directory };
                    server.connect()?;
                    return Ok(Some(server));
                }
                Err(error) if error.kind() == ErrorKind::NotFound => (),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(None)
    }

    /// Where it listens.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Publishes so many messages to a subject, and returns when the server has them all.
    ///
    /// # Errors
    /// The connection is lost.
    pub fn publish(&self, subject: &str, count: u64) -> Result {
        let mut stream = self.connect()?;
        let mut message = format!("PUB {subject} {}\r\n", PAYLOAD.len()).into_bytes();
        message.extend_from_slice(PAYLOAD);
        message.extend_from_slice(b"\r\n");
        const TOGETHER: u64 = 100;
        let many = message.repeat(TOGETHER as usize);
        for _ in 0..count / TOGETHER {
            stream.get_mut().write_all(&many)?;
        }
        for _ in 0..count % TOGETHER {
            stream.get_mut().write_all(&message)?;
        }
        stream.get_mut().write_all(b"PING\r\n")?;
        expect(&mut stream, "PONG")
    }

    /// Ends it.
    ///
    /// # Errors
    /// It is gone already.
    pub fn stop(mut self) -> Result {
        Ok(self.child.kill()?)
    }

    /// A connection whose greeting is over.
    fn connect(&self) -> Result<BufReader<TcpStream>> {
        let deadline = Instant::now() + LIMIT;
        let stream = loop {
            match TcpStream::connect(&self.address) {
                Err(_) if Instant::now() < deadline => thread::sleep(Duration::from_millis(10)),
                outcome => break outcome?,
            }
        };
        let mut stream = BufReader::new(stream);
        stream.get_mut().write_all(b"CONNECT {\"verbose\":false}\r\nPING\r\n")?;
        expect(&mut stream, "PONG")?;
        Ok(stream)
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        remove(&self.directory);
    }
}

/// Reads lines up to this one.
fn expect(stream: &mut BufReader<TcpStream>, line: &str) -> Result {
    let mut received = String::new();
    loop {
        received.clear();
        if stream.read_line(&mut received)? == 0 {
            return Err("nats-server ends the connection".into());
        }
        if received.trim_end() == line {
            return Ok(());
        }
        if received.starts_with("-ERR") {
            return Err(format!("nats-server says {received}").into());
        }
    }
}

fn remove(directory: &Path) {
    let _ = fs::remove_dir_all(directory);
}
