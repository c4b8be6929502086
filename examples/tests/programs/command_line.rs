//! What all examples have in common: their command lines, and the tour of everything.

use std::net::TcpListener;

use super::temporary;
use crate::program::Program;

#[test]
fn tour_runs_every_transport() {
    let ending = Program::example("tour", &["--messages", "500"]).end();
    assert_eq!((ending.code, &*ending.errors), (Some(0), ""), "{ending:?}");
    let rows = &ending.output[3..];
    assert_eq!(rows.len(), 20);
    for (row, transport) in rows.iter().zip(
        [
            "TCP, loopback",
            "TLS 1.3 over TCP",
            "Unix socket",
            "TLS 1.3 over a Unix socket",
            "UDP, loopback",
            "pair of sockets",
            "pipes",
            "subprocess, through cat",
            "memory pair",
            "memory network, virtual time",
        ]
        .iter()
        .flat_map(|transport| [transport; 2]),
    ) {
        assert!(row.starts_with(transport), "{row}");
        let columns: Vec<_> = row.split_whitespace().collect();
        let [messages, rate, megabytes] = columns[columns.len() - 3..] else { panic!("{row}") };
        assert_eq!(messages, "500", "{row}");
        assert!(rate.parse::<f64>().unwrap() > 0.0, "{row}");
        // Of small messages on a busy machine it can be 0.0.
        assert!(megabytes.parse::<f64>().unwrap() >= 0.0, "{row}");
    }
}

#[test]
fn help_is_not_an_error() {
    for name in [
        "chat",
        "client",
        "countdown",
        "crawler",
        "echo",
        "hot_restart",
        "http_get",
        "key_value",
        "multicast_discovery",
        "sni_proxy",
        "starttls",
        "stdio_chat",
        "supervise",
        "tcp_proxy",
        "tee",
        "tour",
        "udp_echo",
    ] {
        for option in ["--help", "-h"] {
            let ending = Program::example(name, &[option]).end();
            assert_eq!((ending.code, &*ending.errors), (Some(0), ""));
            assert!(ending.output.iter().any(|line| line.starts_with("usage: ")), "{ending:?}");
        }
    }
}

#[test]
fn misuse_gets_one_clear_line() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = listener.local_addr().unwrap().to_string();
    let nobody = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().to_string()
    };
    let file = temporary("a-file");
    std::fs::write(&file, "").unwrap();
    let file_path = file.to_str().unwrap();

    for name in ["echo", "chat"] {
        let text = format!("could not listen on {taken}: Address already in use");
        expect_failure(name, &["--listen", &taken], 1, &text);
        expect_failure(name, &["--listen", "nonsense"], 2, "missing port in `nonsense`");
        expect_failure(name, &["--listen", "127.0.0.1:70000"], 2, "invalid port `70000`");
        expect_failure(name, &["--listen", ""], 2, "missing port");
        expect_failure(name, &["--unix", ""], 2, "an empty path");
        expect_failure(name, &["--listen", ":0", "--unix", "x"], 2, "can be said once");
        expect_failure(name, &["--unix", "/no/such/folder/s"], 1, "No such file or directory");
        expect_failure(name, &["--unix", file_path], 1, "Address already in use");
        expect_failure(name, &["--unix", &"x".repeat(200)], 1, "xxx");
        expect_failure(name, &["--listen"], 2, "missing argument for option '--listen'");
        expect_failure(name, &["--nonsense"], 2, "invalid option '--nonsense'");
        expect_failure(name, &["nonsense"], 2, "unexpected argument \"nonsense\"");
        expect_failure(name, &[], 2, "--listen");
    }
    expect_failure("chat", &["--connect", &nobody], 1, "Connection refused");
    expect_failure("chat", &["--connect", "nonsense"], 2, "missing port in `nonsense`");
    expect_failure("chat", &["--connect", ":1"], 2, "missing host in `:1`");
    expect_failure("stdio_chat", &["--connect", &nobody], 1, "Connection refused");
    expect_failure("stdio_chat", &[], 2, "--connect ADDRESS is missing");
    expect_failure("tee", &["/no/such/folder/file"], 1, "No such file or directory");
    expect_failure("tee", &["--nonsense"], 2, "invalid option '--nonsense'");
    expect_failure("chat", &["--listen", ":0", "--connect", "a:1"], 2, "one of --listen");
    expect_failure("chat", &["--listen", ":0", "--idle-timeout", "soon"], 2, "soon");
    expect_failure("tour", &["--messages", "many"], 2, "many");
    for (name, arguments) in [
        ("chat", &["--listen", ":0", "--idle-timeout", "0"][..]),
        ("hot_restart", &["--listen", ":0", "--control", "x", "--drain", "0"]),
        ("multicast_discovery", &["--for", "0"]),
        ("supervise", &["--grace", "0", "a: b"]),
        ("supervise", &["--restarts", "0", "a: b"]),
        ("supervise", &["--delay", "0", "a: b"]),
        ("tcp_proxy", &["--listen", ":0", "--connect", "a:1", "--idle", "0"]),
        ("tcp_proxy", &["--listen", ":0", "--connect", "a:1", "--read-limit", "0"]),
        ("tcp_proxy", &["--listen", ":0", "--connect", "a:1", "--connections", "0"]),
        ("crawler", &["--pages", "0", "http://a/"]),
        ("http_get", &["--limit", "0", "http://a/"]),
        ("tour", &["--messages", "0"]),
    ] {
        expect_failure(name, arguments, 2, "zero is refused");
    }
    for (name, arguments, text) in [
        ("tcp_proxy", &["--listen", ":0", "--connect", "banana"][..], "missing port in `banana`"),
        ("tcp_proxy", &["--listen", ":0", "--connect", "a:1", "--read-limit", "1X"], "no unit"),
        ("chat", &["--listen", ":0", "--ca", "x"], "for clients"),
        ("chat", &["--connect", "a:1", "--idle-timeout", "3"], "for servers"),
        ("starttls", &["--connect", "a:1", "--cert", "x"], "for servers"),
        ("starttls", &["--listen", ":0", "--ca", "x"], "for clients"),
        ("supervise", &["a: b", "a: c"], "two programs are called a"),
        ("supervise", &["--no-restart", "--restarts", "2", "a: b"], "contradict"),
        ("multicast_discovery", &["--group", "127.0.0.1:5"], "a group has"),
        ("sni_proxy", &["--listen", ":0", "--route", "x"], "a route is NAME=ADDRESS"),
        ("client", &["--connect", "a:1"], "a REQUEST is missing"),
        ("crawler", &["ftp://a/"], "neither http nor https"),
        ("http_get", &[], "a URL is missing"),
        ("http_get", &["a:1"], "`a:1` is no URL"),
    ] {
        expect_failure(name, arguments, 2, text);
    }
    let interface = ["--interface", "192.0.2.1"];
    expect_failure("multicast_discovery", &interface, 1, "could not join 239.255.43.21:4321 on");
    expect_failure("countdown", &["nonsense"], 2, "unexpected argument \"nonsense\"");
    expect_failure("tour", &["nonsense"], 2, "unexpected argument \"nonsense\"");
    assert!(file.exists());
    std::fs::remove_file(file).unwrap();
}

fn expect_failure(name: &str, arguments: &[&str], code: i32, text: &str) {
    let mut program = Program::example(name, arguments);
    program.types_no_more();
    let ending = program.end();
    assert_eq!(ending.code, Some(code), "{name} {arguments:?}: {ending:?}");
    assert_eq!(ending.output, [""; 0]);
    let errors = &ending.errors;
    assert!(errors.starts_with(&format!("{name}: ")), "{errors}");
    assert!(errors.ends_with('\n') && errors.lines().count() == 1, "{errors}");
    assert!(errors.contains(text), "{errors}");
    assert!(!errors.contains("panicked"), "{errors}");
}
