//! Connecting to Unix sockets.

use std::io::ErrorKind;
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

use wharf::TimeoutKind;
#[cfg(linux_kernel)]
use wharf::Transport;

use crate::serving::{Directory, Echo, run};

// Beyond asyncio.
#[test]
fn a_unix_socket_that_cannot_be_connected_to_is_named() {
    run(async |event_loop| {
        let directory = Directory::new();
        let path = directory.join("socket");
        let error = event_loop.create_unix_connection(|| Echo, &path).await.unwrap_err();
        assert_eq!(error.io_kind(), Some(ErrorKind::NotFound));
        assert!(format!("{error:#}").contains(&path.display().to_string()), "{error}");
        drop(UnixListener::bind(&path)?);
        let error = event_loop.create_unix_connection(|| Echo, &path).await.unwrap_err();
        assert_eq!(error.io_kind(), Some(ErrorKind::ConnectionRefused));
        Ok(())
    });
}

// Beyond asyncio.
#[test]
fn a_unix_server_whose_backlog_is_full_is_waited_for() {
    run(async |event_loop| {
        let directory = Directory::new();
        let path = directory.join("socket");
        let listener = UnixListener::bind(&path)?;
        rustix::net::listen(&listener, 0)?;
        let _waiting = UnixStream::connect(&path)?;
        let impatient = event_loop
            .create_unix_connection(|| Echo, &path)
            .timeout(Some(Duration::from_millis(50)));
        let error = impatient.await.unwrap_err();
        assert_eq!(error.timeout_kind(), Some(TimeoutKind::Connect));

        let patient = event_loop.create_unix_connection(|| Echo, &path).start();
        event_loop.sleep(Duration::from_millis(20)).await;
        assert!(!patient.is_done());
        listener.accept()?;
        patient.await?;
        assert_eq!(event_loop.statistics().sources, 1);
        Ok(())
    });
}

// Beyond asyncio.
#[test]
fn connects_that_wait_for_a_full_backlog_ask_less_and_less_often() {
    run(async |event_loop| {
        let directory = Directory::new();
        let path = directory.join("socket");
        let listener = UnixListener::bind(&path)?;
        rustix::net::listen(&listener, 0)?;
        let _waiting = UnixStream::connect(&path)?;
        let before = event_loop.statistics().callbacks;
        let connects: Vec<_> =
            (0..50).map(|_| event_loop.create_unix_connection(|| Echo, &path).start()).collect();
        event_loop.sleep(Duration::from_millis(1500)).await;
        let callbacks = event_loop.statistics().callbacks - before;
        // Every 10 ms it would be 150 each; here the delays double, from 5 ms up to 640 ms.
        assert!(callbacks < 50 * 20, "{callbacks} callbacks");
        assert!(connects.iter().all(|connect| !connect.is_done()));
        // They are served all the same.
        for connect in connects {
            while !connect.is_done() {
                listener.set_nonblocking(true)?;
                drop(listener.accept());
                event_loop.sleep(Duration::from_millis(1)).await;
            }
            connect.take_result().expect("a result")?;
        }
        Ok(())
    });
}

// Beyond asyncio.
#[cfg(linux_kernel)]
#[test]
fn a_unix_connection_knows_who_is_at_the_other_end() {
    run(async |event_loop| {
        let directory = Directory::new();
        let path = directory.join("socket");
        let _server = event_loop.create_unix_server(|| Echo, &path).await?;
        let client = event_loop.create_unix_connection(|| Echo, &path).await?;
        let info = client.handle().info();
        let credentials = info.peer_credentials().expect("credentials");
        assert_eq!(credentials.pid, Some(std::process::id()));
        assert_eq!(credentials.uid, rustix::process::getuid().as_raw());
        assert_eq!(
            info.peer_address().and_then(wharf::Address::as_unix_path),
            Some(path.as_path())
        );
        Ok(())
    });
}
