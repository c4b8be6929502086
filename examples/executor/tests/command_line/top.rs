use std::process::Command;

use crate::support::{World, run};

#[test]
fn top_prints_once_where_there_is_no_terminal() {
    let world = World::with_worker();
    world.run(&["submit", "fail", "no", "--retries", "0", "--id", "bad", "--wait"]);
    let ran = world.run(&["top"]);
    assert_eq!((ran.code, &*ran.error), (0, ""));
    assert!(ran.output.contains("0 succeeded, 1 failed, 0 cancelled\n"), "{}", ran.output);
    assert!(ran.output.contains("\nw                        0/2       0"), "{}", ran.output);
    assert!(ran.output.contains("fail             no\n"), "{}", ran.output);
    let seen = world.run(&["top", "--json"]).lines().remove(0);
    assert_eq!(seen["overview"]["tasks"]["failed"], 1);
    assert_eq!(seen["failed"][0]["id"], "bad");
}

/// Runs `top` on a terminal of its own: waits for its picture, resizes it, presses a key, and looks at what is left.
const ON_A_TERMINAL: &str = r#"
import fcntl, os, pty, select, signal, struct, subprocess, sys, termios
main, other = pty.openpty()
size = lambda rows, columns: fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
size(24, 80)
before = termios.tcgetattr(other)
top = subprocess.Popen(sys.argv[1:], stdin=other, stdout=other, stderr=other)
seen = b""
def until(text):
    global seen
    while text not in seen:
        if not select.select([main], [], [], 30)[0]:
            sys.exit(f"no {text!r} in {seen!r}")
        seen += os.read(main, 65536)
until(b"tasks/s")
until(b"WORKER")
assert not termios.tcgetattr(other)[3] & (termios.ICANON | termios.ECHO)
seen = b""
size(2, 40)
top.send_signal(signal.SIGWINCH)
until(b"0 blocked\x1b[K\x1b[J")
os.write(main, b"xq")
until(b"\x1b[?1049l")
assert top.wait(30) == 0
assert termios.tcgetattr(other) == before, "the settings differ"
"#;

#[test]
fn top_shows_itself_on_a_terminal_until_q() {
    let world = World::new();
    let mut python = Command::new("python3");
    // Once in a minute: what follows comes of the keys and the size.
    let top = world.command(&["top", "--interval", "1m"]);
    python.args(["-c", ON_A_TERMINAL]).arg(top.get_program()).args(top.get_args());
    for (name, value) in top.get_envs() {
        match value {
            Some(value) => python.env(name, value),
            None => python.env_remove(name),
        };
    }
    if let Err(error) = Command::new("python3").arg("--version").output() {
        assert!(std::env::var_os("CI").is_none(), "there is no python3: {error}");
        eprintln!("there is no python3: {error}");
        return;
    }
    let ran = run(python, "");
    assert_eq!((ran.code, &*ran.error), (0, ""));
}
