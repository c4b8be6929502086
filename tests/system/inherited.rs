//! Listeners that a service manager passes on.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};

use wharf::inherited_listeners;

use crate::process::{Guard, PASSED, command, role};
use crate::serving::{Echo, LIMIT, run, until};

const NAME: &str = "inherited::listeners_passed_by_a_service_manager_are_served";

/// Runs this program in the part `role` as a service manager would: with the listener as
/// descriptor 3. `process` is what `LISTEN_PID` is set to.
fn activate(role: &str, listener: &TcpListener, process: &str) -> std::io::Result<Guard> {
    let ours = command(NAME, role);
    let script = format!(
        "LISTEN_PID={process}; LISTEN_FDS=1; export LISTEN_PID LISTEN_FDS; \
         exec \"$0\" \"$@\" 3<&0 </dev/null"
    );
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(script).arg(ours.get_program()).args(ours.get_args());
    for (name, value) in ours.get_envs() {
        shell.env(name, value.expect("a value"));
    }
    let listener: OwnedFd = listener.try_clone()?.into();
    let child = shell.stdin(listener).stdout(Stdio::null()).spawn()?;
    Ok(Guard(child))
}

/// The service: serves what it was given until its first client is gone.
fn serve() {
    let listeners = inherited_listeners().expect("listeners");
    assert_eq!(listeners.len(), 1);
    assert!(inherited_listeners().expect("none").is_empty(), "each has one owner");
    run(async |event_loop| {
        let server = event_loop.create_server_on(|| Echo, listeners).await?;
        let came = || event_loop.metrics().connections_total == 1;
        until(&event_loop, "a client", came).await;
        server.close();
        server.wait_closed().await?;
        Ok(())
    });
    std::process::exit(PASSED);
}

#[test]
fn listeners_passed_by_a_service_manager_are_served() {
    match role().as_deref() {
        Some("service") => return serve(),
        Some("stranger") => {
            assert!(inherited_listeners().expect("none").is_empty(), "they are another's");
            std::process::exit(PASSED);
        }
        _ => {}
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut stranger = activate("stranger", &listener, "1").unwrap();
    assert_eq!(stranger.wait().code(), Some(PASSED));

    let mut service = activate("service", &listener, "$$").unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    drop(listener);
    client.set_read_timeout(Some(LIMIT)).unwrap();
    client.write_all(b"hello").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let mut received = Vec::new();
    client.read_to_end(&mut received).unwrap();
    assert_eq!(received, b"hello");
    assert_eq!(service.wait().code(), Some(PASSED));
}
