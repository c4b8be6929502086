//! A coordinator and workers as processes of their own, and commands.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_wharf-executor");
/// No command takes so long unless something is wrong.
const TOO_LONG: Duration = Duration::from_secs(60);

/// A coordinator, and what was started besides. All of it ends with this.
pub(crate) struct World {
    pub(crate) address: String,
    directory: TempDir,
    processes: Vec<Child>,
}

/// What a command printed.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) output: String,
    pub(crate) error: String,
}

impl World {
    /// A coordinator that has these options besides.
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("data");
        let mut serve = program(directory.path());
        serve.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(data);
        let mut coordinator = serve.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(coordinator.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on ").unwrap().to_owned();
        Self { address, directory, processes: vec![coordinator] }
    }

    /// With a worker.
    pub(crate) fn with_worker() -> Self {
        let mut world = Self::new();
        let mut work = world.command(&["work", "--slots", "2", "--name", "w"]);
        world.processes.push(work.spawn().unwrap());
        world
    }

    /// A file of this world.
    pub(crate) fn file(&self, name: &str, content: &str) -> String {
        let path = self.directory.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// A command that knows where the coordinator is.
    pub(crate) fn command(&self, line: &[&str]) -> Command {
        let mut command = program(self.directory.path());
        command.args(line).env("WHARF_EXECUTOR", &self.address);
        command
    }

    pub(crate) fn run(&self, line: &[&str]) -> Ran {
        run(self.command(line), "")
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for process in &mut self.processes {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

impl Ran {
    /// Each line of the output, as JSON.
    pub(crate) fn lines(&self) -> Vec<Value> {
        self.output.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The error, as JSON: its code and what it says.
    pub(crate) fn told(&self) -> (String, String) {
        let told: Value = serde_json::from_str(self.error.trim()).unwrap();
        let text = |name: &str| told["error"][name].as_str().unwrap().to_owned();
        (text("code"), text("message"))
    }
}

/// The program, which finds no configuration of whoever runs the tests.
pub(crate) fn program(home: &Path) -> Command {
    let mut command = Command::new(PROGRAM);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("WHARF_EXECUTOR")) {
        command.env_remove(name);
    }
    command.env("HOME", home).env_remove("XDG_CONFIG_HOME").stdin(Stdio::null());
    command
}

/// Runs a command to its end.
pub(crate) fn run(mut command: Command, input: &str) -> Ran {
    if !input.is_empty() {
        command.stdin(Stdio::piped());
    }
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes()).unwrap();
    }
    ended(child)
}

/// Waits for the end of a command.
pub(crate) fn ended(mut child: Child) -> Ran {
    let began = Instant::now();
    // A thread ends it, since reading its output waits for that.
    let (done, is_done) = std::sync::mpsc::channel::<()>();
    let pid = child.id();
    let watch = std::thread::spawn(move || {
        if is_done.recv_timeout(TOO_LONG) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
            signal(pid, "KILL");
        }
    });
    let (mut output, mut error) = (Vec::new(), Vec::new());
    std::thread::scope(|scope| {
        if let Some(mut stream) = child.stderr.take() {
            let error = &mut error;
            scope.spawn(move || std::io::Read::read_to_end(&mut stream, error).unwrap());
        }
        if let Some(mut stream) = child.stdout.take() {
            std::io::Read::read_to_end(&mut stream, &mut output).unwrap();
        }
    });
    let code = child.wait().unwrap().code();
    drop(done);
    watch.join().unwrap();
    assert!(began.elapsed() < TOO_LONG, "it does not end");
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { code: code.expect("a signal"), output: text(output), error: text(error) }
}

/// Sends a signal to a process.
pub(crate) fn signal(pid: u32, name: &str) {
    let status = Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status();
    assert!(status.unwrap().success());
}
