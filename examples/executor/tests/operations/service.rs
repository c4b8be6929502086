//! Under a service manager.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use wharf_test_support::needs;
use wharf_test_support::program::Program;

use crate::support::{Place, is_there, listening, run};

#[test]
fn sockets_of_a_service_manager_come_instead_of_the_options() {
    if !needs::program("systemd-socket-activate") {
        return;
    }
    let place = Place::new();
    let (socket, data) = (place.text("socket"), place.text("data"));
    let line =
        ["--listen", &socket, env!("CARGO_BIN_EXE_wharf-executor"), "serve", "--data", &data];
    let mut command = Command::new("systemd-socket-activate");
    let coordinator = Program::start(command.args(line).env("WHARF_EXECUTOR_CONFIG", ""));
    let coordinator = coordinator.expect("a program");
    run(async |event_loop| {
        // It is started by whoever connects first.
        place.client(&event_loop).submit("sleep", &1).await?;
        Ok(())
    });
    listening(&coordinator);
    coordinator.signal(Signal::TERM);
    assert_eq!(coordinator.end().code, Some(0));
    assert!(is_there(&place.path("socket")), "it is the service manager's");
}

#[test]
fn a_service_manager_hears_of_the_beginning_of_a_reload_of_a_restart_and_of_the_end() {
    let place = Place::new();
    let manager = UnixDatagram::bind(place.path("manager")).unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let heard = |wanted: &str| {
        let mut buffer = [0; 256];
        let length = manager.recv(&mut buffer).unwrap_or_else(|error| panic!("{wanted}: {error}"));
        let told = String::from_utf8_lossy(&buffer[..length]);
        assert!(told.starts_with(wanted), "{wanted}: {told}");
    };
    let mut command = Command::new(env!("CARGO_BIN_EXE_wharf-executor"));
    command.args(["serve", "--listen", &place.address(), "--data", &place.text("data")]);
    command.env("WHARF_EXECUTOR_CONFIG", "").env("NOTIFY_SOCKET", place.path("manager"));
    let coordinator = Program::start(&mut command).expect("the binary");
    heard("READY=1");
    coordinator.signal(Signal::HUP);
    heard("RELOADING=1\nMONOTONIC_USEC=");
    heard("READY=1");
    coordinator.signal(Signal::USR2);
    heard("RELOADING=1\nMONOTONIC_USEC=");
    heard("READY=1");
    coordinator.signal(Signal::TERM);
    heard("STOPPING=1");
    assert_eq!(coordinator.end().code, Some(0));
}

#[test]
fn the_units_are_what_systemd_takes() {
    if !needs::program("systemd-analyze") {
        return;
    }
    let place = Place::new();
    let mut command = Command::new("systemd-analyze");
    command.arg("verify");
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd")).unwrap() {
        let entry = entry.unwrap();
        let unit = fs::read_to_string(entry.path()).unwrap();
        // It looks whether the program is there.
        let unit =
            unit.replace("/usr/local/bin/wharf-executor", env!("CARGO_BIN_EXE_wharf-executor"));
        let path = place.path(entry.file_name().to_str().unwrap());
        fs::write(&path, unit).unwrap();
        command.arg(path);
    }
    let output = command.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.is_empty(), "{errors}");
}
