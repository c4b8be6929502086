//! A coordinator that has no descriptors left.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use wharf::EventLoop;
use wharf_executor::client::{Client, ClientOptions};
use wharf_test_support::program::Program;

use crate::support::{Place, listening, run};

/// So many descriptors the coordinator may have; it has about a dozen by itself.
const MOST: usize = 40;

/// A coordinator on TCP and on its Unix socket that may have so many descriptors. `limit` is an option of `ulimit`.
fn limited(place: &Place, program: &str, limit: &str, environment: &[(&str, &str)]) -> Program {
    let mut command = Command::new("sh");
    let text = format!("ulimit {limit} && exec \"$0\" \"$@\"");
    command.args(["-c", &text, program, "serve", "--listen", &place.address()]);
    command.args(["--listen", "127.0.0.1:0", "--data", &place.text("data")]);
    command.env("WHARF_EXECUTOR_CONFIG", "").envs(environment.iter().copied());
    Program::start(&mut command).expect("a shell")
}

fn run_shell(text: &str, arguments: &[&str]) {
    let status = Command::new("sh").args(["-c", text]).args(arguments).status();
    assert!(status.expect("a shell").success(), "{text}");
}

/// Takes all descriptors that the coordinator has left: more clients than those, each of which comes again when it is sent
/// away.
fn crowd(event_loop: &EventLoop, address: &str) -> Vec<Client> {
    let client = || Client::start(event_loop, [address], ClientOptions::default());
    (0..2 * MOST).map(|_| client().expect("a client")).collect()
}

async fn until_it_is_full(event_loop: &EventLoop, coordinator: &Program) {
    let full = async {
        while coordinator.descriptors() < MOST {
            event_loop.sleep(Duration::from_millis(1)).await;
        }
    };
    assert!(wharf::timeout(Duration::from_secs(20), full).await.is_ok(), "it has some left");
}

#[test]
fn a_coordinator_without_descriptors_goes_on_with_those_who_are_there_and_recovers() {
    let place = Place::new();
    let manager = UnixDatagram::bind(place.path("manager")).unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let socket = place.text("manager");
    let environment = [("NOTIFY_SOCKET", &*socket), ("WATCHDOG_USEC", "20000")];
    let program = env!("CARGO_BIN_EXE_wharf-executor");
    let coordinator = limited(&place, program, &format!("-n {MOST}"), &environment);
    let (_, address) = (listening(&coordinator), listening(&coordinator));
    let _worker = place.work(&["--slots", "1"]);
    run(async |event_loop| {
        let client = place.client(&event_loop);
        client.submit("sleep", &0).await?.ended().await?;
        let others = crowd(&event_loop, &address);
        until_it_is_full(&event_loop, &coordinator).await;
        // What was told before, and two that are told now.
        manager.set_nonblocking(true)?;
        while manager.recv(&mut [0; 64]).is_ok() {}
        manager.set_nonblocking(false)?;
        for _ in 0..2 {
            let mut told = [0; 64];
            let length = manager.recv(&mut told)?;
            assert_eq!(&told[..length], b"WATCHDOG=1\n");
        }
        let failed = client.back_up(&mut Vec::new()).await.expect_err("no descriptor");
        assert!(failed.to_string().contains("Too many open files"), "{failed}");
        coordinator.signal(Signal::USR2);
        for number in 0..20 {
            assert_eq!(client.submit("sleep", &number).await?.result::<u64>().await?, number);
        }
        drop(others);
        // Those who stood in the way are gone.
        let other = Client::start(&event_loop, [&*address], ClientOptions::default())?;
        assert_eq!(other.submit("sleep", &1).await?.result::<u64>().await?, 1);
        assert!(client.back_up(&mut Vec::new()).await? > 0);
        Ok(())
    });
    // It would wait for one that does not read to hear of its end.
    drop(manager);
    coordinator.signal(Signal::TERM);
    let ending = coordinator.end();
    assert_eq!(ending.code, Some(0), "{}", ending.errors);
    for part in ["accepting pauses", "no restart: "] {
        assert!(ending.errors.contains(part), "{}", ending.errors);
    }
    assert!(!ending.errors.contains("cannot be told: Too many"), "{}", ending.errors);
}

#[test]
fn a_restart_needs_no_descriptors_that_connections_may_take_meanwhile() {
    let place = Place::new();
    let (program, of_old, of_new) = (place.text("program"), place.text("old"), place.text("new"));
    // By another process: a file that this one writes might be open in a child of another test when it is to be executed.
    run_shell("cp \"$0\" \"$1\"", &[env!("CARGO_BIN_EXE_wharf-executor"), &of_old]);
    fs::rename(&of_old, &program).unwrap();
    let coordinator = limited(&place, &program, &format!("-n {MOST}"), &[]);
    let (unix, address) = (listening(&coordinator), listening(&coordinator));
    // Its successor takes its time to look at its options.
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in *--check*)\n  : > {begun}\n  while [ ! -e {go} ]; do sleep 0.01; done;;\nesac\nexec {real} \"$@\"\n",
        begun = place.text("begun"),
        go = place.text("go"),
        real = env!("CARGO_BIN_EXE_wharf-executor"),
    );
    run_shell("printf %s \"$0\" > \"$1\" && chmod 700 \"$1\"", &[&script, &of_new]);
    fs::rename(&of_new, &program).unwrap();
    coordinator.signal(Signal::USR2);
    run(async |event_loop| {
        while !place.path("begun").exists() {
            event_loop.sleep(Duration::from_millis(1)).await;
        }
        let others = crowd(&event_loop, &address);
        until_it_is_full(&event_loop, &coordinator).await;
        fs::write(place.path("go"), "")?;
        coordinator.lines_with(&event_loop, &[&unix, &address]).await;
        drop(others);
        place.client(&event_loop).submit("sleep", &1).await?;
        Ok(())
    });
    coordinator.signal(Signal::TERM);
    let ending = coordinator.end();
    assert_eq!(ending.code, Some(0), "{}", ending.errors);
}

#[test]
fn a_coordinator_may_have_as_many_descriptors_as_the_system_lets_it() {
    let place = Place::new();
    let program = env!("CARGO_BIN_EXE_wharf-executor");
    let coordinator = limited(&place, program, &format!("-S -n {MOST}"), &[]);
    listening(&coordinator);
    let limits = fs::read_to_string(format!("/proc/{}/limits", coordinator.id())).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let limits: Vec<_> = line.split_whitespace().skip(3).take(2).collect();
    assert_eq!(limits[0], limits[1]);
    assert_ne!(limits[0], MOST.to_string());
}
