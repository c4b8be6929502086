//! NATS servers: child processes on loopback, with ports that the system chooses.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use wharf::{EventLoop, Result};
use wharf_test_support::authority::{Authority, text};

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A server; dropping it kills it.
pub(crate) struct Server {
    child: Child,
    directory: TempDir,
    arguments: Vec<String>,
    pub(crate) name: String,
    pub(crate) address: String,
}

impl Server {
    /// A server by itself; `None`: there is no `nats-server` here, which is an error where everything has to be tested.
    pub(crate) fn start() -> Option<Self> {
        Some(Self::run(&program()?, "alone", "jetstream {}\n"))
    }

    /// A server by itself, with so many bytes for all that has limits.
    pub(crate) fn small(bytes: u64) -> Option<Self> {
        let configuration = format!("jetstream {{ max_file_store: {bytes} }}\n");
        Some(Self::run(&program()?, "small", &configuration))
    }

    /// A server that speaks only TLS, with those who have a certificate of the same authority.
    pub(crate) fn secured(authority: &Authority) -> Option<Self> {
        let (own, trusted) = (authority.issue(&["127.0.0.1"]), authority.file());
        let configuration = format!(
            "jetstream {{}}\ntls {{ cert_file: \"{}\", key_file: \"{}\", ca_file: \"{}\", verify: true }}\n",
            text(&own.chain),
            text(&own.key),
            text(&trusted)
        );
        Some(Self::run(&program()?, "secured", &configuration))
    }

    /// Three servers in a cluster.
    pub(crate) fn cluster() -> Option<Vec<Self>> {
        let program = program()?;
        // They have to know each other's ports before they start: on an address of their own these are free.
        let (process, number) = (std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let host = format!("127.{}.{}.{}", 128 + number % 64, process >> 8 & 255, process & 255);
        let route = |number| format!("nats-route://{host}:622{number}");
        let routes = [route(1), route(2), route(3)].join(", ");
        let member = |number: u32| {
            let configuration = format!(
                "server_name: n{number}\njetstream {{}}\n\
                 cluster {{ name: test, listen: \"{host}:622{number}\", routes: [{routes}] }}\n"
            );
            Self::run(&program, &format!("n{number}"), &configuration)
        };
        Some((1..=3).map(member).collect())
    }

    fn run(program: &PathBuf, name: &str, configuration: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
        std::fs::write(path("nats.conf"), configuration).unwrap();
        let arguments = [
            ["-c".to_owned(), path("nats.conf")],
            ["-a".to_owned(), "127.0.0.1".to_owned()],
            ["-sd".to_owned(), path("data")],
            ["--ports_file_dir".to_owned(), path("")],
        ]
        .concat();
        let child = spawn(program, &arguments, "-1");
        let (name, address) = (name.to_owned(), String::new());
        let mut server = Self { child, directory, arguments, name, address };
        server.address = server.wait_for_ports();
        server
    }

    /// Kills it as `kill -9` does.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again, at the same address and with the same data.
    pub(crate) fn start_again(&mut self) {
        let port = self.address.rsplit(':').next().unwrap();
        self.child = spawn(&program().unwrap(), &self.arguments, port);
        self.wait_for_ports();
    }

    fn wait_for_ports(&self) -> String {
        let name = format!("nats-server_{}.ports", self.child.id());
        let file = self.directory.path().join(name);
        let deadline = Instant::now() + Duration::from_secs(30);
        while Instant::now() < deadline {
            let json = std::fs::read(&file).ok();
            let json = json.and_then(|json| serde_json::from_slice(&json).ok());
            let json: serde_json::Value = json.unwrap_or_default();
            let address = json["nats"][0].as_str().or_else(|| json["tls"][0].as_str());
            if let Some((_, address)) = address.and_then(|address| address.split_once("://")) {
                return address.to_owned();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("the server did not start");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a test on a loop of its own, within some minutes.
pub(crate) fn run(main: impl AsyncFnOnce(EventLoop) -> Result) -> Result {
    wharf::run(async |event_loop| {
        event_loop.timeout(Duration::from_secs(400), main(event_loop.clone())).await?
    })
}

fn spawn(program: &PathBuf, arguments: &[String], port: &str) -> Child {
    let log = std::env::var_os("WHARF_NATS_LOG").is_some();
    let output = || if log { Stdio::inherit() } else { Stdio::null() };
    Command::new(program)
        .args(arguments)
        .args(["-p", port])
        .stdin(Stdio::null())
        .stdout(output())
        .stderr(output())
        .spawn()
        .unwrap()
}

fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Debian has it there, which is not in everybody's path.
    let directories = std::env::split_paths(&path).chain(["/usr/sbin".into()]);
    let found =
        directories.map(|directory| directory.join("nats-server")).find(|file| file.is_file());
    assert!(found.is_some() || std::env::var_os("CI").is_none(), "nats-server is missing");
    if found.is_none() {
        eprintln!("nats-server is missing: not tested");
    }
    found
}
