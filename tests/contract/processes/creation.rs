//! Starting children: either there is one, or nothing is left.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;

use wharf::{EventLoop, Process, ProcessTransport};

use crate::children::{Event, Log, code, is_running};
use crate::serving::{Directory, run, run_in_memory, until};

// 183.
#[test]
fn a_program_that_cannot_be_run_is_an_error_that_names_it() {
    run(async |event_loop| {
        let directory = Directory::new();
        let plain = directory.join("plain");
        fs::write(&plain, "no program")?;
        fs::set_permissions(&plain, fs::Permissions::from_mode(0o644))?;
        let garbage = directory.join("garbage");
        fs::write(&garbage, [0x7f, 0, 0, 1])?;
        fs::set_permissions(&garbage, fs::Permissions::from_mode(0o755))?;
        let missing = directory.join("missing");
        let programs = [
            (&missing, Some(ErrorKind::NotFound)),
            (&plain, Some(ErrorKind::PermissionDenied)),
            // What kind it is depends on Rust's version.
            (&garbage, None),
        ];
        let sources = event_loop.statistics().sources;
        for (program, kind) in programs {
            let log = Log::new();
            let failed = event_loop.subprocess_exec(log.factory(), program).await;
            let error = failed.expect_err("it cannot be run");
            if kind.is_some() {
                assert_eq!(error.io_kind(), kind, "{error}");
            }
            assert!(format!("{error:#}").contains(&*program.to_string_lossy()), "{error}");
            assert_eq!((log.events().len(), log.drops()), (0, 1));
        }
        let log = Log::new();
        let failed = event_loop.subprocess_exec(log.factory(), "true").current_dir(&missing).await;
        let error = failed.expect_err("no such directory");
        assert_eq!(error.io_kind(), Some(ErrorKind::NotFound));
        assert!(format!("{error:#}").contains(&*missing.to_string_lossy()), "{error}");
        let log = Log::new();
        let failed = event_loop.subprocess_exec(log.factory(), "true").arg("a\0b").await;
        assert_eq!(failed.expect_err("a zero byte").io_kind(), Some(ErrorKind::InvalidInput));
        assert_eq!(event_loop.statistics().sources, sources);
        Ok(())
    });
}

// 183.
#[test]
fn a_factory_that_panics_starts_nothing() {
    run(async |event_loop| {
        let directory = Directory::new();
        let mark = directory.join("mark");
        let factory = || -> crate::children::Observer { panic!("no protocol") };
        let failed = event_loop.subprocess_exec(factory, "touch").arg(&mark).await;
        assert!(failed.is_err_and(|error| error.is_panic()));
        assert!(!mark.exists());
        Ok(())
    });
}

// 187.
#[test]
fn a_start_that_is_cancelled_in_time_starts_nothing() {
    run(async |event_loop| {
        let directory = Directory::new();
        let mark = directory.join("mark");
        let log = Log::new();
        let command = || event_loop.subprocess_exec(log.factory(), "touch").arg(&mark);
        drop(command().start());
        let cancelled = command().start();
        assert!(cancelled.cancel());
        drop(command());
        // Its turn comes after theirs.
        event_loop.run_process("true").await?;
        assert!(!mark.exists());
        assert_eq!(log.events(), []);
        Ok(())
    });
}

// 187.
#[test]
fn a_start_whose_result_nobody_takes_kills_the_child() {
    run(async |event_loop| {
        let log = Log::new();
        let started = event_loop.subprocess_exec(log.factory(), "sleep").arg("100").start();
        until(&event_loop, "the start", || started.is_done()).await;
        drop(started);
        until(&event_loop, "the end", || log.is_lost()).await;
        Ok(())
    });
}

// 187.
#[test]
fn a_start_on_a_loop_that_closes_starts_nothing() {
    let event_loop = EventLoop::new().expect("a loop");
    let log = Log::new();
    let started = event_loop.subprocess_exec(log.factory(), "sleep").arg("100").start();
    event_loop.close().expect("closed");
    assert!(started.take_result().is_some_and(|outcome| outcome.is_err()));
    let late = event_loop.subprocess_exec(log.factory(), "sleep").arg("100").start();
    let outcome: Result<Process<_>, _> = late.take_result().expect("a result");
    assert!(outcome.is_err_and(|error| error.is_closed()));
    assert_eq!(log.events(), []);
}

// XS.
#[test]
fn arguments_environment_and_directory_reach_the_child() {
    run(async |event_loop| {
        let directory = Directory::new();
        let path = fs::canonicalize(directory.join("."))?;
        let output = event_loop
            .run_shell("pwd; echo $ONE $TWO $HOME; echo $0 $1")
            .env_clear()
            .env("ONE", "1")
            .envs([("TWO", "2"), ("HOME", "x")])
            .env_remove("HOME")
            .current_dir(&path)
            .args(["name", "a b"])
            .await?;
        let expected = format!("{}\n1 2\nname a b\n", path.display());
        assert_eq!(String::from_utf8(output.stdout)?, expected);

        let output =
            event_loop.run_process("/bin/sh").arg0("other").args(["-c", "echo $0"]).await?;
        assert_eq!(output.stdout, b"other\n");
        Ok(())
    });
}

// XS.
#[test]
fn a_loop_in_memory_starts_no_processes() {
    run_in_memory(async |event_loop| {
        let log = Log::new();
        let failed = event_loop.subprocess_exec(log.factory(), "true").await;
        assert!(failed.is_err_and(|error| error.is_unsupported()));
        let failed = event_loop.run_shell("true").await;
        assert!(failed.is_err_and(|error| error.is_unsupported()));
        Ok(())
    });
}

// XS.
#[test]
fn a_process_is_found_by_its_id_until_it_is_gone() {
    run(async |event_loop| {
        let log = Log::new();
        let process = event_loop.subprocess_shell(log.factory(), "read line").await?;
        let id = process.handle().id();
        let found = event_loop.process(id).ok_or("a process")?;
        assert_eq!(&found, process.handle());
        assert!(is_running(found.pid()));
        found.write_eof();
        until(&event_loop, "the end", || log.is_lost()).await;
        assert!(event_loop.process(id).is_none());
        assert!(log.has(&Event::Exited(code(1))));
        Ok(())
    });
}
