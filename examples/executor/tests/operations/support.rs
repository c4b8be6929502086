use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use wharf::EventLoop;
use wharf_executor::client::{Client, ClientOptions, SubmittedTask};
use wharf_test_support::program::Program;

/// A directory with a coordinator's data and its Unix socket.
pub(crate) struct Place(tempfile::TempDir);

impl Place {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a directory"))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).to_str().expect("text").to_owned()
    }

    /// Where its coordinator listens.
    pub(crate) fn address(&self) -> String {
        format!("unix:{}", self.text("socket"))
    }

    /// A coordinator on its Unix socket, and wherever `options` say.
    pub(crate) fn serve(&self, options: &[&str]) -> Program {
        let (address, data) = (self.address(), self.text("data"));
        start(&[&["serve", "--listen", &address, "--data", &data], options].concat())
    }

    pub(crate) fn work(&self, options: &[&str]) -> Program {
        start(&[&["work", "--connect", &self.address()], options].concat())
    }

    pub(crate) fn client(&self, event_loop: &EventLoop) -> Client {
        Client::start(event_loop, [self.address()], ClientOptions::default()).expect("a client")
    }
}

/// The binary, with nothing from around the tests.
pub(crate) fn start(arguments: &[&str]) -> Program {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wharf-executor"));
    command.args(arguments).env("WHARF_EXECUTOR_CONFIG", "");
    for name in ["NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID", "WHARF_EXECUTOR_TOKEN"] {
        command.env_remove(name);
    }
    Program::start(&mut command).expect("the binary")
}

/// The address in what a coordinator says of itself.
pub(crate) fn listening(program: &Program) -> String {
    let line = program.line();
    line.strip_prefix("listening on ").unwrap_or_else(|| panic!("{line}")).to_owned()
}

/// Waits until a worker has the task: each look is a round trip.
pub(crate) async fn until_it_runs(task: &SubmittedTask) {
    let running = async { while task.status().await.expect("a status").attempts == 0 {} };
    wharf::timeout(Duration::from_secs(20), running).await.expect("a worker takes it");
}

pub(crate) fn run(test: impl AsyncFnOnce(EventLoop) -> wharf::Result) {
    EventLoop::new().expect("a loop").run(test).expect("the test");
}

pub(crate) fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}
