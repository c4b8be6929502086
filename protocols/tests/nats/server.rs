//! Servers for the tests: child processes on loopback, with ports that the system chooses.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A server; dropping it kills it.
pub(crate) struct Server {
    child: Child,
    directory: PathBuf,
    arguments: Vec<String>,
    pub(crate) address: String,
}

/// `None`: there is no `nats-server` here, which is an error where everything has to be tested.
pub(crate) fn is_missing() -> bool {
    let found = program().is_some();
    assert!(found || std::env::var_os("CI").is_none(), "nats-server is missing");
    if !found {
        eprintln!("nats-server is missing: not tested");
    }
    !found
}

impl Server {
    /// A server by itself, with JetStream.
    pub(crate) fn start() -> Self {
        Self::with_configuration("jetstream {}\n")
    }

    pub(crate) fn with_configuration(configuration: &str) -> Self {
        Self::run(configuration)
    }

    /// Three servers with JetStream in a cluster.
    pub(crate) fn cluster() -> Vec<Self> {
        // They have to know each other's ports before they start: on an address of their own these are free.
        let (process, number) = (std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let host = format!("127.{}.{}.{}", 64 + number % 64, process >> 8 & 255, process & 255);
        let routes =
            format!("nats-route://{host}:6221, nats-route://{host}:6222, nats-route://{host}:6223");
        let member = |number: u32| {
            format!(
                "server_name: n{number}\njetstream {{}}\n\
                 cluster {{ name: test, listen: \"{host}:622{number}\", routes: [{routes}] }}\n"
            )
        };
        (1..=3).map(|number| Self::run(&member(number))).collect()
    }

    fn run(configuration: &str) -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("wharf-nats-{}-{number}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        fs::create_dir_all(&directory).unwrap();
        let file = directory.join("nats.conf");
        fs::write(&file, configuration).unwrap();
        let text = |path: PathBuf| path.to_str().unwrap().to_owned();
        let mut arguments =
            vec!["-c".to_owned(), text(file), "-a".to_owned(), "127.0.0.1".to_owned()];
        arguments.extend(["-sd".to_owned(), text(directory.join("data"))]);
        arguments.extend(["--ports_file_dir".to_owned(), text(directory.clone())]);
        let first = [&arguments[..], &["-p".to_owned(), "-1".to_owned()]].concat();
        let child = spawn(&first);
        let mut server = Self { child, directory, arguments, address: String::new() };
        server.address = server.wait_for_ports();
        server
    }

    fn wait_for_ports(&self) -> String {
        let file = self.directory.join(format!("nats-server_{}.ports", self.child.id()));
        let deadline = Instant::now() + Duration::from_secs(30);
        while Instant::now() < deadline {
            let json = fs::read(&file)
                .ok()
                .and_then(|text| serde_json::from_slice::<serde_json::Value>(&text).ok());
            if let Some(json) = json
                && let Some(address) = json["nats"][0].as_str()
            {
                return address.replace("nats://", "").replace("tls://", "");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("the server did not start");
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Sends it a signal of `nats-server --signal`: `ldm`, `reload`, `quit` …
    pub(crate) fn signal(&self, name: &str) {
        let argument = format!("{name}={}", self.child.id());
        let status = Command::new(program().unwrap()).args(["--signal", &argument]).status();
        assert!(status.unwrap().success());
    }

    /// Another configuration, for the next start or `reload`.
    pub(crate) fn configure(&self, configuration: &str) {
        fs::write(self.directory.join("nats.conf"), configuration).unwrap();
    }

    /// Waits until it has ended by itself.
    pub(crate) fn wait(&mut self) {
        self.child.wait().unwrap();
    }

    /// Starts it again, at the same address and with the same data.
    pub(crate) fn start_again(&mut self) {
        let port = self.address.rsplit(':').next().unwrap().to_owned();
        let again = [&self.arguments[..], &["-p".to_owned(), port]].concat();
        self.child = spawn(&again);
        self.wait_for_ports();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn spawn(arguments: &[String]) -> Child {
    let log = std::env::var_os("WHARF_NATS_LOG").is_some();
    let output = || if log { Stdio::inherit() } else { Stdio::null() };
    Command::new(program().unwrap())
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(output())
        .stderr(output())
        .spawn()
        .unwrap()
}

fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut directories: Vec<_> = std::env::split_paths(&path).collect();
    // Debian has it there, which is not in everybody's path.
    directories.push("/usr/sbin".into());
    directories
        .into_iter()
        .map(|directory| directory.join("nats-server"))
        .find(|file| file.is_file())
}

/// Runs a test on a loop of its own, within a minute.
pub(crate) fn run(main: impl AsyncFnOnce(wharf::EventLoop) -> wharf::Result) -> wharf::Result {
    wharf::run(async |event_loop| {
        let end = Duration::from_secs(90);
        event_loop.timeout(end, main(event_loop.clone())).await?
    })
}
