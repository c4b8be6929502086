//! Each contender, as the program that is measured: it echoes under every kind of load, and ends
//! well on SIGTERM.
#![forbid(unsafe_code)]
#![cfg(target_os = "linux")]

use std::process::Command;
use std::time::Duration;

use wharf_benches::child_process::ChildProcess;
use wharf_benches::contender::{CertificateFiles, Contender, tls_in_python};
use wharf_benches::counters::{cpu, resident};
use wharf_benches::executor::{NOTHING, NOTHING_ON_A_THREAD};
use wharf_benches::load::{
    Churn, Control, Echo, Http, Idle, Latency, Receive, Speech, Storm, WebSocket,
};
use wharf_benches::server_process::ServerProcess;

#[test]
fn raw_mio_serves() {
    let program = env!("CARGO_BIN_EXE_echo-raw-mio");
    serves(Contender::at("raw-mio-until-empty", program.into(), &[]));
    serves(Contender::at("raw-mio", program.into(), &["--short-read-is-drained"]));
    serves(Contender::at("raw-mio-spin", program.into(), &["--spin", "200"]));
}

#[test]
fn tokio_serves() {
    let program = env!("CARGO_BIN_EXE_echo-tokio");
    serves(Contender::at("tokio", program.into(), &["--buffer", "8192"]));
}

#[test]
fn wharf_serves() {
    let program = env!("CARGO_BIN_EXE_echo-wharf");
    serves(Contender::at("wharf", program.into(), &[]));
    serves(Contender::at("wharf-spin", program.into(), &["--spin", "200"]));
}

#[test]
fn wharfs_streams_serve() {
    let program = env!("CARGO_BIN_EXE_echo-streams");
    serves(Contender::at("read", program.into(), &["--by", "read"]));
    serves(Contender::at("read_chunk", program.into(), &["--by", "read_chunk"]));
    serves(Contender::at("fill_buf", program.into(), &["--by", "fill_buf"]));
}

#[test]
fn smol_serves() {
    serves(Contender::at("smol", env!("CARGO_BIN_EXE_echo-smol").into(), &[]));
}

#[test]
fn every_server_of_http_serves() {
    let options: [&'static [&'static str]; 5] = [
        &["--by", "raw-mio"],
        &["--by", "hyper-tokio"],
        &["--by", "hyper-wharf"],
        &["--by", "wharf"],
        &["--by", "wharf-async"],
    ];
    for by in options {
        let contender = Contender::at("http", env!("CARGO_BIN_EXE_http").into(), by);
        let process = ServerProcess::start(&contender, None).unwrap();
        for in_flight in [1, 16] {
            let (server, connections) = (process.address(), 20);
            let http = Http { server, connections, in_flight, requests: 500, warm_up: 100 };
            let told = http.run(&mut Control::uncontrolled()).unwrap();
            assert!(told.starts_with("requests=500 "), "{told}");
        }
        process.stop().unwrap();
    }
}

#[test]
fn the_executor_runs_tasks_that_do_nothing() {
    let directory = std::env::temp_dir().join(format!("wharf-contenders-{}", std::process::id()));
    let program = env!("CARGO_BIN_EXE_executor");
    let contender = Contender::at("wharf", program.into(), &["serve"]);
    let contender = contender.with_option("--data", directory.display());
    let coordinator = ServerProcess::start(&contender, None).unwrap();
    let address = coordinator.address().to_string();
    let mut worker = Command::new(program);
    worker.args(["work", "--slots", "2", "--connect", &address]);
    let worker = ChildProcess::spawn(worker, None).unwrap();
    for kind in [NOTHING, NOTHING_ON_A_THREAD] {
        let mut load = Command::new(env!("CARGO_BIN_EXE_executor-load"));
        load.args(["--connect", &address, "--kind", kind, "--tasks", "500", "--warm-up", "10"]);
        let load = ChildProcess::spawn(load, None).unwrap();
        let told = load.line(Duration::from_secs(60)).unwrap();
        assert!(told.starts_with("tasks=500 "), "{told}");
        load.wait(Duration::from_secs(20)).unwrap();
    }
    drop(worker);
    coordinator.stop().unwrap();
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn every_server_of_messages_serves() {
    for (by, deflate) in [("websocket", false), ("websocket-deflate", true)] {
        let contender = Contender::at("messages", env!("CARGO_BIN_EXE_messages").into(), &[]);
        let process = ServerProcess::start(&contender.with_option("--by", by), None).unwrap();
        let (server, connections, in_flight) = (process.address(), 5, 4);
        for size in [64, 65536] {
            let (messages, warm_up) = (100, 40);
            let load =
                WebSocket { server, connections, size, in_flight, messages, warm_up, deflate };
            let told = load.run(&mut Control::uncontrolled()).unwrap();
            assert!(told.starts_with("messages=100 "), "{told}");
        }
        process.stop().unwrap();
    }
}

#[test]
fn every_server_of_a_protocol_holds_idle_connections() {
    let (messages, http) = (env!("CARGO_BIN_EXE_messages"), env!("CARGO_BIN_EXE_http"));
    for (program, by, speech) in [
        (messages, "lines", Speech::Line),
        (messages, "websocket", Speech::WebSocket),
        (http, "wharf", Speech::Http),
    ] {
        let contender = Contender::at("idle", program.into(), &[]).with_option("--by", by);
        let process = ServerProcess::start(&contender, None).unwrap();
        let (server, tls) = (process.address(), false);
        let idle = Idle { server, connections: 20, first: 1, size: 64, tls, speech };
        idle.run(&mut Control::uncontrolled()).unwrap();
        process.stop().unwrap();
    }
}

#[test]
fn a_contender_that_cannot_start_is_an_error() {
    let program = env!("CARGO_BIN_EXE_echo-tokio");
    let contender = Contender::at("tokio", program.into(), &["--nonsense"]);
    let error = ServerProcess::start(&contender, None).unwrap_err().to_string();
    assert!(error.ends_with("echo-tokio ended too early"), "{error}");
}

#[test]
fn everybody_serves_under_tls() {
    let options: [(&'static str, &'static [&'static str]); 4] = [
        ("tls-raw", &["--by", "raw"]),
        ("tls-raw-shared", &["--by", "raw-shared"]),
        ("tls-tokio", &["--by", "tokio"]),
        ("tls-wharf", &["--by", "wharf"]),
    ];
    for (name, options) in options {
        let contender = Contender::at(name, env!("CARGO_BIN_EXE_echo-tls").into(), options);
        let process = ServerProcess::start(&contender, None).unwrap();
        let (server, tls) = (process.address(), true);
        let control = &mut Control::uncontrolled();
        let churn = Churn {
            server,
            concurrent: 5,
            connections: 50,
            size: 64,
            warm_up: 5,
            tls,
            resume: true,
        };
        assert!(churn.run(control).unwrap().contains("resumed=50 "));
        let churn = Churn { resume: false, ..churn };
        assert!(churn.run(control).unwrap().contains("resumed=0 "));
        let echo = Echo {
            server,
            connections: 3,
            size: 64,
            in_flight: 4,
            messages: 99,
            warm_up: 9,
            tls,
            timed: false,
        };
        echo.run(control).unwrap();
        Echo { size: 64 * 1024, messages: 24, warm_up: 12, ..echo }.run(control).unwrap();
        Idle { server, connections: 20, first: 1, size: 64, tls, speech: Speech::Bytes }
            .run(control)
            .unwrap();
        Storm { server, connections: 5, handshakes: 50, size: 64 }.run(control).unwrap();
        process.stop().unwrap();
    }
}

fn serves(contender: Contender) {
    let tls = false;
    let process = ServerProcess::start(&contender, None).unwrap();
    let server = process.address();
    let control = &mut Control::uncontrolled();
    let echo = Echo {
        server,
        connections: 20,
        size: 64,
        in_flight: 4,
        messages: 500,
        warm_up: 500,
        tls,
        timed: false,
    };
    echo.run(control).unwrap();
    Echo { connections: 2, size: 3_000_000, messages: 4, warm_up: 8, ..echo }.run(control).unwrap();
    Churn { server, concurrent: 5, connections: 50, size: 64, warm_up: 5, tls, resume: false }
        .run(control)
        .unwrap();
    Idle { server, connections: 20, first: 1, size: 64, tls, speech: Speech::Bytes }
        .run(control)
        .unwrap();
    Latency { server, messages: 50, size: 64, warm_up: 5 }.run(control).unwrap();
    assert!(cpu::time(process.id()).unwrap().as_nanos() > 0);
    assert!(resident::bytes(process.id()).unwrap() > 100_000);
    process.stop().unwrap();
}

#[test]
fn what_rustls_keeps_is_kept_of_each_connection() {
    let program = env!("CARGO_BIN_EXE_echo-tls");
    let contender = Contender::at("tls-state", program.into(), &["--by", "state"]);
    let process = ServerProcess::start(&contender, None).unwrap();
    let idle = Idle {
        server: process.address(),
        connections: 20,
        first: 1,
        size: 64,
        tls: true,
        speech: Speech::Bytes,
    };
    idle.run(&mut Control::uncontrolled()).unwrap();
    process.stop().unwrap();
}

#[test]
fn asyncio_and_uvloop_serve_under_tls_where_they_are_installed() {
    let certified = CertificateFiles::new().unwrap();
    for contender in tls_in_python(["tls-asyncio", "tls-uvloop"], "python3", &certified) {
        let process = ServerProcess::start(&contender, None).unwrap();
        let (server, tls) = (process.address(), true);
        let control = &mut Control::uncontrolled();
        Idle { server, connections: 20, first: 1, size: 64, tls, speech: Speech::Bytes }
            .run(control)
            .unwrap();
        process.stop().unwrap();
    }
    let nobody = tls_in_python(["tls-asyncio", "tls-uvloop"], "no-such-interpreter", &certified);
    assert!(nobody.is_empty());
}

#[test]
fn file_servers_serve() {
    for program in [env!("CARGO_BIN_EXE_file-blocking"), env!("CARGO_BIN_EXE_file-wharf")] {
        let options: [&'static [&'static str]; 2] =
            [&["--file-mib", "3"], &["--file-mib", "3", "--read"]];
        for options in options {
            let contender = Contender::at("files", program.into(), options);
            let process = ServerProcess::start(&contender, None).unwrap();
            let control = &mut Control::uncontrolled();
            Receive { server: process.address(), mib: 10 }.run(control).unwrap();
            process.stop().unwrap();
        }
    }
}
