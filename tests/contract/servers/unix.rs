//! The paths and names of Unix servers.

use std::io::ErrorKind;
use std::os::unix::net::{UnixListener, UnixStream};
#[cfg(linux_kernel)]
use std::path::Path;

use crate::serving::{Directory, Echo, run};

use super::check_echo;

// 205.
#[test]
fn a_stale_unix_socket_is_replaced() {
    run(async |event_loop| {
        let directory = Directory::new();
        let path = directory.join("socket");
        drop(UnixListener::bind(&path)?);
        assert!(path.exists());
        let server = event_loop.create_unix_server(|| Echo, &path).await?;
        assert_eq!(server.addresses()[0].as_unix_path(), Some(path.as_path()));
        check_echo(&event_loop, &path).await
    });
}

// 205.
#[test]
fn the_unix_socket_of_a_live_server_is_not_stolen() {
    run(async |event_loop| {
        let directory = Directory::new();
        let path = directory.join("socket");
        let live = UnixListener::bind(&path)?;
        let error = event_loop.create_unix_server(|| Echo, &path).await.unwrap_err();
        assert_eq!(error.io_kind(), Some(ErrorKind::AddrInUse));
        assert!(format!("{error:#}").contains(&path.display().to_string()), "{error}");
        let (probe, _) = live.accept()?;
        drop(probe);
        let client = UnixStream::connect(&path)?;
        let (_, peer) = live.accept()?;
        assert!(peer.is_unnamed());
        drop(client);
        Ok(())
    });
}

// 205.
#[test]
fn a_live_server_is_not_stolen_from_though_its_backlog_is_full() {
    run(async |event_loop| {
        let directory = Directory::new();
        let path = directory.join("socket");
        let live = UnixListener::bind(&path)?;
        rustix::net::listen(&live, 0)?;
        let _waiting = UnixStream::connect(&path)?;
        let error = event_loop.create_unix_server(|| Echo, &path).await.unwrap_err();
        assert_eq!(error.io_kind(), Some(ErrorKind::AddrInUse));
        assert!(path.exists());
        Ok(())
    });
}

// 205.
#[test]
fn what_is_no_socket_is_left_alone_where_a_unix_server_should_be() {
    run(async |event_loop| {
        let directory = Directory::new();
        let path = directory.join("file");
        std::fs::write(&path, b"precious")?;
        let error = event_loop.create_unix_server(|| Echo, &path).await.unwrap_err();
        assert_eq!(error.io_kind(), Some(ErrorKind::AddrInUse));
        assert_eq!(std::fs::read(&path)?, b"precious");

        let (stale, link) = (directory.join("stale"), directory.join("link"));
        drop(UnixListener::bind(&stale)?);
        std::os::unix::fs::symlink(&stale, &link)?;
        assert!(event_loop.create_unix_server(|| Echo, &link).await.is_err());
        assert!(stale.exists() && link.exists());
        Ok(())
    });
}

// 206.
#[test]
fn a_unix_server_removes_its_path_when_it_closes() {
    let directory = Directory::new();
    let path = directory.join("socket");
    run(async |event_loop| {
        let server = event_loop.create_unix_server(|| Echo, &path).await?;
        server.close();
        assert!(!path.exists());
        // Closing the loop closes the server.
        event_loop.create_unix_server(|| Echo, &path).await?;
        assert!(path.exists());
        Ok(())
    });
    assert!(!path.exists());
}

// 206.
#[test]
fn a_path_that_is_another_servers_by_now_is_left() {
    run(async |event_loop| {
        let directory = Directory::new();
        let path = directory.join("socket");
        let server = event_loop.create_unix_server(|| Echo, &path).await?;
        // Held open, so that its inode is not given to the new file.
        let _former = std::fs::File::create(directory.join("spacer"))?;
        std::fs::rename(&path, directory.join("former"))?;
        let live = UnixListener::bind(&path)?;
        server.close();
        assert!(path.exists());
        let _client = UnixStream::connect(&path)?;
        live.accept()?;
        Ok(())
    });
    // The same for a loop that closes.
    let directory = Directory::new();
    let path = directory.join("socket");
    let live = run(async |event_loop| {
        event_loop.create_unix_server(|| Echo, &path).await?;
        std::fs::rename(&path, directory.join("former"))?;
        Ok(UnixListener::bind(&path)?)
    });
    let _client = UnixStream::connect(&path).expect("the other server's path is there");
    live.accept().expect("its client");
}

// 206.
#[test]
fn the_path_stays_when_it_is_asked_to() {
    run(async |event_loop| {
        let directory = Directory::new();
        let path = directory.join("socket");
        let server = event_loop.create_unix_server(|| Echo, &path).cleanup_socket(false).await?;
        server.close();
        assert!(path.exists());
        Ok(())
    });
    let directory = Directory::new();
    let path = directory.join("socket");
    run(async |event_loop| {
        event_loop.create_unix_server(|| Echo, &path).cleanup_socket(false).await?;
        Ok(())
    });
    assert!(path.exists(), "closing the loop leaves it, too");
}

// 206.
#[cfg(linux_kernel)]
#[test]
fn an_abstract_unix_name_is_no_file() {
    run(async |event_loop| {
        let name = format!("\0wharf-contract-{}", std::process::id());
        let server = event_loop.create_unix_server(|| Echo, &name).await?;
        let shown = server.addresses()[0]
            .as_unix()
            .and_then(|name| name.as_abstract_name().map(<[u8]>::to_vec));
        assert_eq!(shown.as_deref(), Some(&name.as_bytes()[1..]));
        check_echo(&event_loop, Path::new(&name)).await?;
        let taken = event_loop.create_unix_server(|| Echo, &name).await.unwrap_err();
        assert_eq!(taken.io_kind(), Some(ErrorKind::AddrInUse));
        assert!(taken.to_string().contains("unix:@wharf-contract-"), "{taken}");
        // The address that the server tells is one to connect to, and to listen on.
        let address = server.addresses()[0].as_unix().expect("a Unix address").clone();
        let client = event_loop.create_unix_connection(|| Echo, &address).await?;
        let info = wharf::Transport::info(client.handle());
        assert_eq!(info.peer_address(), Some(&address.clone().into()));
        let taken = event_loop.create_unix_server(|| Echo, address).await.unwrap_err();
        assert_eq!(taken.io_kind(), Some(ErrorKind::AddrInUse));
        server.close();
        event_loop.create_unix_server(|| Echo, &name).await?;
        Ok(())
    });
}
