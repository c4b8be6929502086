//! What a test needs of the machine that not every machine has.
//!
//! A test asks here, and returns when the answer is no. The line that says so goes to standard error;
//! with `CI` set the test fails instead, since `.ci/run` installs everything.

use std::borrow::Cow;
use std::io::{Write, stderr};
use std::net::UdpSocket;
use std::process::{Command, Stdio};
use std::sync::LazyLock;

/// Whether there is IPv6.
pub fn ipv6() -> bool {
    has_ipv6() || absent("skipped", "IPv6")
}

/// Any port of the loopback of each family that there is.
pub fn loopbacks() -> &'static [&'static str] {
    const BOTH: &[&str] = &["127.0.0.1:0", "[::1]:0"];
    match has_ipv6() || absent("skipped in part", "IPv6") {
        true => BOTH,
        false => &BOTH[..1],
    }
}

/// Whether `nc` ends the connection with its input when it is given `-N`: OpenBSD's does, ncat and
/// GNU netcat do not know it.
pub fn netcat_that_ends() -> bool {
    static KNOWS: LazyLock<bool> = LazyLock::new(|| {
        let help = said_by("nc", &["-h"]).unwrap_or_default();
        help.split_whitespace().any(|word| word == "-N")
    });
    *KNOWS || absent("skipped", "an nc with -N (netcat-openbsd)")
}

/// Whether a program of this name is installed, and new enough for the tests.
pub fn program(name: &str) -> bool {
    let (suits, wanted) = match name {
        "openssl" => (*OPENSSL, "openssl 3 or later"),
        "python3" => (*PYTHON, "python3, 3.8 or later, with ssl"),
        _ => (is_installed(name), name),
    };
    suits || absent("skipped", wanted)
}

/// LibreSSL calls itself by another name, and has other options.
static OPENSSL: LazyLock<bool> = LazyLock::new(|| {
    let version = said_by("openssl", &["version"]).unwrap_or_default();
    let mut words = version.split([' ', '.']);
    let (name, major) = (words.next(), words.next().and_then(|major| major.parse::<u32>().ok()));
    name == Some("OpenSSL") && major >= Some(3)
});

static PYTHON: LazyLock<bool> = LazyLock::new(|| {
    let script = "import asyncio, ssl, sys; print(sys.version_info >= (3, 8))";
    said_by("python3", &["-c", script]).is_some_and(|said| said.trim() == "True")
});

fn is_installed(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(name).is_file())
}

/// What a program prints; `None` when it cannot be started.
fn said_by(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output().ok()?;
    Some(String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

/// Says that the running test is skipped, and what it needs.
///
/// # Panics
/// With `CI` set.
pub fn missing(what: &str) {
    absent("skipped", what);
}

fn has_ipv6() -> bool {
    static THERE: LazyLock<bool> = LazyLock::new(|| UdpSocket::bind("[::1]:0").is_ok());
    *THERE
}

/// False, having said so.
fn absent(outcome: &str, what: &str) -> bool {
    assert!(std::env::var_os("CI").is_none(), "this test needs {what}");
    // Not `eprintln!`, whose text libtest keeps to itself when a test passes.
    let _ = writeln!(stderr(), "{}: {outcome}, needs {what}", test_name());
    false
}

/// The test that runs: its thread has its name, except where tests run on the main thread.
fn test_name() -> Cow<'static, str> {
    match std::thread::current().name() {
        Some("main") | None => {
            let named = std::env::args().skip_while(|argument| argument != "--exact").nth(1);
            named.map_or("a test".into(), Cow::Owned)
        }
        Some(name) => Cow::Owned(name.to_owned()),
    }
}
