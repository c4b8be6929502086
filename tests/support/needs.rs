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
        let help = Command::new("nc").arg("-h").stdin(Stdio::null()).output();
        help.is_ok_and(|help| {
            let text = [help.stdout, help.stderr].concat();
            String::from_utf8_lossy(&text).split_whitespace().any(|word| word == "-N")
        })
    });
    *KNOWS || absent("skipped", "an nc with -N (netcat-openbsd)")
}

/// Whether a program of this name can be started.
pub fn program(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(name).is_file())
        || absent("skipped", name)
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
