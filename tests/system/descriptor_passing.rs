//! Passing descriptors to and from another process, which is Python's.

use std::cell::RefCell;
use std::fs::File;
use std::io::{Read, pipe};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::rc::Rc;

use wharf::{Protocol, Result, Transport};

use crate::needs;
use crate::process::{
    Guard, alone, limit_descriptors_to, open_descriptors, raise_descriptor_limit,
};
use crate::serving::{Directory, run, until};

/// Answers descriptors by writing into the first, and passes them back.
const PEER: &str = r#"
import os, socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
data, fds, flags, _ = socket.recv_fds(s, 1024, 10)
assert data == b"two", data
assert len(fds) == 2, fds
os.write(fds[1], b"from python")
os.close(fds[1])
r, w = os.pipe()
sent = socket.send_fds(s, [b"back"], [fds[0], r])
assert sent == 4, sent
os.close(r)
os.write(w, b"through a pipe of python's")
os.close(w)
assert s.recv(10) == b""
"#;

/// Passes two descriptors, and keeps what comes back.
struct Passer {
    pass: Vec<OwnedFd>,
    came: Rc<RefCell<Vec<OwnedFd>>>,
    text: Rc<RefCell<Vec<u8>>>,
}

impl Protocol for Passer {
    fn connection_made(&mut self, transport: &dyn Transport) -> Result {
        transport.write_with_descriptors(b"two", std::mem::take(&mut self.pass))?;
        Ok(())
    }

    fn descriptors_received(&mut self, _: &dyn Transport, descriptors: Vec<OwnedFd>) -> Result {
        self.came.borrow_mut().extend(descriptors);
        Ok(())
    }

    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
        self.text.borrow_mut().extend_from_slice(data);
        if self.text.borrow().len() == 4 {
            transport.close();
        }
        Ok(())
    }
}

#[test]
fn descriptors_are_passed_to_python_and_back() {
    let directory = Directory::new();
    let path = directory.join("socket");
    run(async |event_loop| {
        let (mut reader, writer) = pipe()?;
        let file = File::open("/proc/self/cmdline")?;
        let mut pass = Some(vec![file.into(), writer.into()]);
        let (came, text) = (Rc::default(), Rc::default());
        let (own_came, own_text) = (Rc::clone(&came), Rc::clone(&text));
        let factory = move || Passer {
            pass: pass.take().expect("one connection"),
            came: Rc::clone(&own_came),
            text: Rc::clone(&own_text),
        };
        let server = event_loop.create_unix_server(factory, &path).receive_descriptors(8).await?;
        if !needs::program("python3") {
            return Ok(());
        }
        let started = Command::new("python3")
            .arg("-c")
            .arg(PEER)
            .arg(&path)
            .stdin(Stdio::null())
            .stdout(Stdio::inherit())
            .spawn();
        let mut python = Guard(started?);
        let over = || event_loop.statistics().connections_total == 1 && server.connections() == 0;
        until(&event_loop, "the end", over).await;
        assert!(python.wait().success());
        assert_eq!(*text.borrow(), b"back");
        let mut said = String::new();
        reader.read_to_string(&mut said)?;
        assert_eq!(said, "from python");
        let mut came: Vec<OwnedFd> = came.take();
        assert_eq!(came.len(), 2);
        let mut said = String::new();
        File::from(came.pop().unwrap()).read_to_string(&mut said)?;
        assert_eq!(said, "through a pipe of python's");
        let mut own = Vec::new();
        File::from(came.pop().unwrap()).read_to_end(&mut own)?;
        assert_eq!(own, std::fs::read("/proc/self/cmdline")?, "the same open file");
        Ok(())
    });
}

/// Receives, and closes by dropping.
struct Drops;

impl Protocol for Drops {
    fn data_received(&mut self, _: &dyn Transport, _: &[u8]) -> Result {
        Ok(())
    }
}

/// Whether they arrive, are too many, wait, are refused or are cut off: none is left open.
#[test]
fn no_descriptor_is_left_open() {
    alone("descriptor_passing::no_descriptor_is_left_open", || {
        run(async |event_loop| {
            event_loop.set_exception_handler(|_, _| {});
            let before = open_descriptors();
            for round in 0..50 {
                let (near, far) = UnixStream::pair()?;
                let near = event_loop.create_connection_on(|| Drops, near).await?;
                let most = 1 + round % 3;
                let far = event_loop.create_connection_on(|| Drops, far);
                let far = far.receive_descriptors(most).await?;
                if round % 4 == 0 {
                    far.handle().pause_reading();
                }
                for count in 0..40 {
                    let descriptors = (0..count % 4)
                        .map(|_| File::open("/dev/null").map(OwnedFd::from))
                        .collect::<std::io::Result<_>>()?;
                    let size = if count % 10 == 9 { 100_000 } else { 1 };
                    let data = vec![0; size * usize::from(count != 5)];
                    let _ = near.handle().write_with_descriptors(&data, descriptors);
                }
                event_loop.sleep(std::time::Duration::from_millis(1)).await;
                near.handle().abort();
                far.handle().abort();
            }
            let open = || event_loop.statistics().connections_open == 0;
            until(&event_loop, "the ends", open).await;
            event_loop.sleep(std::time::Duration::from_millis(1)).await;
            assert_eq!(open_descriptors(), before);
            Ok(())
        });
    });
}

/// Notes how it ended.
struct Ends(Rc<RefCell<Option<Option<std::io::ErrorKind>>>>);

impl Protocol for Ends {
    fn data_received(&mut self, _: &dyn Transport, _: &[u8]) -> Result {
        Ok(())
    }

    fn connection_lost(&mut self, _: &dyn Transport, error: Option<&wharf::Error>) -> Result {
        *self.0.borrow_mut() = Some(error.and_then(wharf::Error::io_kind));
        Ok(())
    }
}

#[test]
fn descriptors_without_room_end_the_connection() {
    alone("descriptor_passing::descriptors_without_room_end_the_connection", || {
        run(async |event_loop| {
            let (near, far) = UnixStream::pair()?;
            let near = event_loop.create_connection_on(|| Drops, near).await?;
            let ended = Rc::default();
            let own = Rc::clone(&ended);
            let far = event_loop.create_connection_on(|| Ends(own), far);
            let far = far.receive_descriptors(4).await?;
            far.handle().pause_reading();
            let passed = (0..4)
                .map(|_| File::open("/dev/null").map(OwnedFd::from))
                .collect::<std::io::Result<_>>()?;
            near.handle().write_with_descriptors(b"x", passed)?;
            until(&event_loop, "them to be under way", || {
                event_loop.statistics().bytes_sent == 1 && near.handle().write_buffer_size() == 0
            })
            .await;
            limit_descriptors_to(2);
            far.handle().resume_reading();
            until(&event_loop, "the end", || ended.borrow().is_some()).await;
            assert_eq!(*ended.borrow(), Some(Some(std::io::ErrorKind::InvalidData)));
            raise_descriptor_limit();
            Ok(())
        });
    });
}
