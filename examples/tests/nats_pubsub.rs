//! Messages over a real NATS server.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use rustix::process::Signal;

use crate::program::{PATIENCE, Program};

/// A server on a port that the system chooses.
struct Server {
    child: Child,
    directory: PathBuf,
    address: String,
}

impl Server {
    /// `None`: there is no such program here.
    fn start() -> Option<Self> {
        let path = env::var_os("PATH").unwrap_or_default();
        let mut directories: Vec<_> = env::split_paths(&path).collect();
        directories.push("/usr/sbin".into());
        let program = directories.into_iter().map(|each| each.join("nats-server"));
        let Some(program) = program.into_iter().find(|file| file.is_file()) else {
            assert!(env::var_os("CI").is_none(), "nats-server is missing");
            eprintln!("nats-server is missing: not tested");
            return None;
        };
        let name = format!("wharf-nats-pubsub-{}", std::process::id());
        let directory = env::temp_dir().join(name);
        fs::create_dir_all(&directory).unwrap();
        let child = Command::new(program)
            .args(["-a", "127.0.0.1", "-p", "-1", "--ports_file_dir"])
            .arg(&directory)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let file = directory.join(format!("nats-server_{}.ports", child.id()));
        let deadline = Instant::now() + PATIENCE;
        let address = loop {
            let ports = fs::read_to_string(&file).unwrap_or_default();
            let address = ports.split("nats://").nth(1).and_then(|rest| rest.split('"').next());
            if let Some(address) = address {
                break address.to_owned();
            }
            assert!(Instant::now() < deadline, "the server did not start");
            thread::sleep(Duration::from_millis(10));
        };
        Some(Self { child, directory, address })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

#[test]
fn messages_requests_and_answers() {
    let Some(server) = Server::start() else { return };
    let with = |more: &[&str]| {
        let arguments = [&["--server", &server.address][..], more].concat();
        Program::example("nats_pubsub", &arguments)
    };
    let subscriber = with(&["--count", "2", "subscribe", "orders.>"]);
    assert_eq!(subscriber.line(), "subscribed to orders.>");
    assert_eq!(with(&["publish", "orders.7", "paid", "sent\u{7}"]).end().code, Some(0));
    let ending = subscriber.end();
    assert_eq!(ending.output, ["orders.7: paid", "orders.7: sent\u{fffd}"]);
    assert_eq!(ending.code, Some(0));

    let answering = with(&["--group", "g", "answer", "time", "half past"]);
    assert_eq!(answering.line(), "subscribed to time");
    assert_eq!(with(&["request", "time", "which?"]).end().output, ["half past"]);
    answering.signal(Signal::TERM);
    let ending = answering.end();
    assert_eq!((ending.code, &ending.output[..]), (Some(0), &["time: which?".to_owned()][..]));

    let ending = with(&["request", "time"]).end();
    assert_eq!(ending.code, Some(1));
    assert!(ending.errors.contains("nobody is there who could answer"), "{}", ending.errors);
    assert_eq!(with(&["publish", "a b", "text"]).end().code, Some(1));
    assert_eq!(with(&["publish", "a"]).end().code, Some(2));
}
