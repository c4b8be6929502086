//! Who takes part, and how each is built and started.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::Result;
use crate::servers::http::nginx;

/// The hand-written loop that ratios are taken to.
pub const RAW_MIO: &str = "raw-mio";
/// The other peer that ratios are taken to.
pub const TOKIO: &str = "tokio";
/// The peer that tasks and streams are compared to.
pub const SMOL: &str = "smol";
/// The server of HTTP that most people run. It is another program, which `exec` puts in a contender's place.
pub const NGINX: &str = "nginx";
/// The subject.
pub const WHARF: &str = "wharf";

/// The peer that wharf's client for NATS is compared to.
pub const ASYNC_NATS: &str = "async-nats";

/// A blocking loop of `sendfile`.
pub const BLOCKING_FILE: &str = "blocking-sendfile";
/// A blocking loop of reads and writes.
pub const BLOCKING_READ: &str = "blocking-read";
/// wharf's `send_file`.
pub const WHARF_FILE: &str = "wharf-sendfile";
/// The same where the system does not send files by itself.
pub const WHARF_READ: &str = "wharf-read";

mod python;

pub use python::{CertificateFiles, tls_in_python};

const LIBUV: &str = "libuv";
const LIBUV_PROGRAM: &str = "echo-libuv";
const LIBUV_SOURCE: &str = include_str!("../../libuv/echo.c");

/// An echo server to measure.
#[derive(Debug, Clone)]
pub struct Contender {
    /// What tables and the command line call it.
    pub name: &'static str,
    program: PathBuf,
    options: &'static [&'static str],
    /// An option whose value is only known when it is started.
    more: Vec<String>,
}

impl Contender {
    /// A contender whose program is at `program`.
    pub fn at(name: &'static str, program: PathBuf, options: &'static [&'static str]) -> Self {
        Self { name, program, options, more: Vec::new() }
    }

    /// What to type to have it listen on a free port.
    pub fn command_line(&self) -> impl Iterator<Item = OsString> {
        let listen = ["--listen", "127.0.0.1:0"];
        let options = self.options.iter().copied().chain(listen);
        let options = options.chain(self.more.iter().map(String::as_str)).map(OsString::from);
        std::iter::once(self.program.clone().into_os_string()).chain(options)
    }

    /// The same with an option more.
    #[must_use]
    pub fn with_option(mut self, name: &str, value: impl ToString) -> Self {
        self.more.extend([name.to_owned(), value.to_string()]);
        self
    }

    fn new(
        name: &'static str,
        program_name: &str,
        options: &'static [&'static str],
    ) -> Result<Self> {
        Ok(Self::at(name, program(program_name)?, options))
    }
}

/// The contenders of every table. One whose library is not installed is left out, with a note on
/// stderr.
///
/// # Errors
/// A program is missing.
pub fn standard() -> Result<Vec<Contender>> {
    let mut contenders = vec![
        Contender::new(RAW_MIO, "echo-raw-mio", &["--short-read-is-drained"])?,
        Contender::new("raw-mio-until-empty", "echo-raw-mio", &[])?,
        Contender::new(TOKIO, "echo-tokio", &[])?,
    ];
    match build_libuv() {
        Ok(()) => contenders.push(Contender::new(LIBUV, LIBUV_PROGRAM, &[])?),
        Err(error) => eprintln!("note: libuv is left out: {error}"),
    }
    contenders.push(Contender::new(WHARF, "echo-wharf", &[])?);
    Ok(contenders)
}

/// The yardstick once more under another name: how far its ratio to itself is from 1 is how far any
/// ratio can be trusted.
///
/// # Errors
/// The program is missing.
pub fn control() -> Result<Contender> {
    Contender::new("control", "echo-raw-mio", &["--short-read-is-drained"])
}

/// The contenders that poll some times before they sleep, for the latency table.
///
/// # Errors
/// A program is missing.
pub fn spinning() -> Result<Vec<Contender>> {
    let spin = &["--short-read-is-drained", "--spin", "200"];
    Ok(vec![
        Contender::new("raw-mio-spin-200", "echo-raw-mio", spin)?,
        Contender::new("wharf-spin-200", "echo-wharf", &["--spin", "200"])?,
    ])
}

/// The contenders of the relay table, under these names: tokio with its default buffers, tokio with
/// large ones, and wharf that never, always, and by default splices.
///
/// # Errors
/// A program is missing.
pub fn relays(names: [&'static str; 5]) -> Result<Vec<Contender>> {
    let [tokio, large, never, always, automatic] = names;
    Ok(vec![
        Contender::new(tokio, "relay-tokio", &[])?,
        Contender::new(large, "relay-tokio", &["--buffer", "65536"])?,
        Contender::new(never, "relay-wharf", &["--splicing", "never"])?,
        Contender::new(always, "relay-wharf", &["--splicing", "always"])?,
        Contender::new(automatic, "relay-wharf", &[])?,
    ])
}

/// The contenders that send files.
///
/// # Errors
/// A program is missing.
pub fn file_servers() -> Result<Vec<Contender>> {
    Ok(vec![
        Contender::new(BLOCKING_FILE, "file-blocking", &[])?,
        Contender::new(WHARF_FILE, "file-wharf", &[])?,
        Contender::new(BLOCKING_READ, "file-blocking", &["--read"])?,
        Contender::new(WHARF_READ, "file-wharf", &["--read"])?,
    ])
}

/// The contenders that echo datagrams.
///
/// # Errors
/// A program is missing.
pub fn udp() -> Result<Vec<Contender>> {
    Ok(vec![
        Contender::new(RAW_MIO, "udp-raw-mio", &[])?,
        Contender::new("raw-mio-gso", "udp-raw-mio", &["--segments"])?,
        Contender::new(TOKIO, "udp-tokio", &[])?,
        Contender::new(WHARF, "udp-wharf", &[])?,
        Contender::new("wharf-batches", "udp-wharf", &["--batches"])?,
        Contender::new("wharf-offload", "udp-wharf", &["--offload"])?,
        Contender::new("wharf-offload-batches", "udp-wharf", &["--offload", "--batches"])?,
    ])
}

/// The contenders whose echo is an async function, under these names: tokio, smol, and wharf's streams,
/// which read into a buffer, lend what they hold, and lend it through `fill_buf`.
///
/// # Errors
/// A program is missing.
pub fn streams(names: [&'static str; 5]) -> Result<Vec<Contender>> {
    let [tokio, smol, read, read_chunk, fill_buf] = names;
    Ok(vec![
        Contender::new(tokio, "echo-tokio", &[])?,
        Contender::new(smol, "echo-smol", &[])?,
        Contender::new(read, "echo-streams", &["--by", "read"])?,
        Contender::new(read_chunk, "echo-streams", &["--by", "read_chunk"])?,
        Contender::new(fill_buf, "echo-streams", &["--by", "fill_buf"])?,
    ])
}

/// Servers of HTTP, which are named as the program knows them. nginx is left out where there is none, with a note on stderr.
///
/// # Errors
/// The program is missing.
pub fn http(names: &[&'static str]) -> Result<Vec<Contender>> {
    let options: &[(&str, &'static [&'static str])] = &[
        ("raw-mio", &["--by", "raw-mio"]),
        (NGINX, &["--by", "nginx"]),
        ("hyper-tokio", &["--by", "hyper-tokio"]),
        ("hyper-wharf", &["--by", "hyper-wharf"]),
        ("wharf", &["--by", "wharf"]),
        ("wharf-async", &["--by", "wharf-async"]),
    ];
    let chosen = names.iter().filter_map(|name| options.iter().find(|(known, _)| known == name));
    let is_here = |name: &str| {
        let is_here = name != NGINX || nginx::is_installed();
        if !is_here {
            eprintln!("note: nginx is left out: there is none (Debian: nginx-light)");
        }
        is_here
    };
    let chosen = chosen.filter(|(name, _)| is_here(name));
    chosen.map(|(name, options)| Contender::new(name, "http", options)).collect()
}

/// WebSocket servers by these, with messages compressed or not.
///
/// # Errors
/// A program is missing.
pub fn websocket(names: &[&'static str], deflate: bool) -> Result<Vec<Contender>> {
    let new = |&name: &&'static str| match (name, deflate) {
        ("tokio-tungstenite", false) => {
            Contender::new(name, OTHERS, &["--by", "tokio-tungstenite"])
        }
        ("fastwebsockets", false) => Contender::new(name, OTHERS, &["--by", "fastwebsockets"]),
        ("yawc", true) => Contender::new(name, OTHERS, &["--by", "yawc-deflate"]),
        (WHARF, false) => Contender::new(WHARF, "messages", &["--by", "websocket"]),
        (WHARF, true) => Contender::new(WHARF, "messages", &["--by", "websocket-deflate"]),
        (other, _) => Err(format!("there is no WebSocket by {other}").into()),
    };
    names.iter().map(new).collect()
}

const OTHERS: &str = "websocket-others";

/// The server of `wharf-protocols` that echoes lines.
///
/// # Errors
/// The program is missing.
pub fn lines() -> Result<Contender> {
    Contender::new(WHARF, "messages", &["--by", "lines"])
}

/// The contenders under TLS, under these names: rustls on mio by hand, reading as rustls does and
/// into a large buffer, tokio-rustls, and wharf.
///
/// # Errors
/// The program is missing.
pub fn tls(names: [&'static str; 4]) -> Result<Vec<Contender>> {
    let options: [&'static [&'static str]; 4] =
        [&["--by", "raw"], &["--by", "raw-shared"], &["--by", "tokio"], &["--by", "wharf"]];
    let named = names.into_iter().zip(options);
    named.map(|(name, options)| Contender::new(name, "echo-tls", options)).collect()
}

/// The contender of the TLS memory table that keeps rustls's own state and nothing else.
///
/// # Errors
/// The program is missing.
pub fn tls_state(name: &'static str) -> Result<Contender> {
    Contender::new(name, "echo-tls", &["--by", "state"])
}

/// The path of one of this package's programs: all are built into one directory.
///
/// # Errors
/// It is not there.
pub fn program(name: &str) -> Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name(name);
    if path.exists() {
        Ok(path)
    } else {
        Err(format!("{name} is missing: run `cargo build --release -p wharf-benches`").into())
    }
}

/// Builds this package's programs, when cargo runs this one: `cargo run --bin` builds only the one
/// it runs, and would measure old contenders. And those of `others/`, if the table has any of them.
///
/// # Errors
/// The build fails.
pub fn build_programs(with_others: bool) -> Result {
    let Some(cargo) = std::env::var_os("CARGO") else {
        return Ok(());
    };
    let program = std::env::current_exe()?;
    let mut directories = program.ancestors().skip(1);
    let (Some(profile), Some(target)) = (directories.next(), directories.next()) else {
        return Err("this program is in no build directory".into());
    };
    let mut manifests = vec![concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")];
    if with_others {
        manifests.push(concat!(env!("CARGO_MANIFEST_DIR"), "/others/Cargo.toml"));
    }
    for manifest in manifests {
        let status = Command::new(&cargo)
            .args(["build", "--locked", "--quiet", "--bins", "--manifest-path", manifest])
            .arg("--profile")
            .arg(profile.file_name().unwrap_or_default())
            .arg("--target-dir")
            .arg(target)
            .status()?;
        if !status.success() {
            return Err("the contenders do not build".into());
        }
    }
    Ok(())
}

/// Compiles the C contender beside the others.
fn build_libuv() -> Result {
    let mut compiler = Command::new("cc")
        .args(["-x", "c", "-O2", "-o"])
        .arg(std::env::current_exe()?.with_file_name(LIBUV_PROGRAM))
        .args(["-", "-luv"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("there is no C compiler `cc`: {error}"))?;
    if let Some(mut input) = compiler.stdin.take() {
        input.write_all(LIBUV_SOURCE.as_bytes())?;
    }
    let output = compiler.wait_with_output()?;
    if output.status.success() {
        return Ok(());
    }
    let messages = String::from_utf8_lossy(&output.stderr);
    let first = messages.lines().find(|line| line.contains("error")).unwrap_or("cc fails");
    Err(format!("{first} (Debian: libuv1-dev)").into())
}
