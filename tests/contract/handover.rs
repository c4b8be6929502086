//! Section X: hot restart. Predecessor and successor share one loop here; as processes they are in
//! the system tests.

use std::cell::{Cell, RefCell};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::mpsc::channel;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use wharf::testing::Record;
use wharf::{
    Error, EventLoop, Handover, PausedProtocol, Protocol, Remote, Result, Server, Transport,
};

use crate::loops::memory_loop;
use crate::serving::{Directory, Echo, address, run, until, within};

/// Answers with its generation, and counts who it lost.
struct Generation(u8, Rc<Cell<usize>>);

impl Protocol for Generation {
    fn data_received(&mut self, transport: &dyn Transport, _: &[u8]) -> Result {
        transport.write(&[self.0]);
        Ok(())
    }

    fn shutting_down(&mut self, _: &dyn Transport) -> Result {
        Ok(())
    }

    fn connection_lost(&mut self, _: &dyn Transport, _: Option<&Error>) -> Result {
        self.1.set(self.1.get() + 1);
        Ok(())
    }
}

fn generation(number: u8) -> impl FnMut() -> Generation + 'static {
    move || Generation(number, Rc::default())
}

/// Who answers a client, on a thread of its own.
async fn who_answers(event_loop: &EventLoop, mut client: TcpStream) -> Result<u8> {
    let asked = event_loop.run_in_executor(move || {
        client.set_read_timeout(Some(Duration::from_secs(10)))?;
        client.write_all(b"?")?;
        let mut answer = [0];
        client.read_exact(&mut answer).map(|()| answer[0])
    });
    Ok(within(event_loop, asked).await??)
}

/// Runs `main` with a path for a control socket.
fn with_control(main: impl AsyncFnOnce(EventLoop, &Path) -> Result) {
    let directory = Directory::new();
    let control = directory.join("control");
    run(async |event_loop| main(event_loop, &control).await);
}

/// A second generation in the place of the first.
async fn succeed(event_loop: &EventLoop, control: &Path) -> Result<(Server, Handover)> {
    succeed_as(2, event_loop, control).await
}

async fn succeed_as(
    number: u8,
    event_loop: &EventLoop,
    control: &Path,
) -> Result<(Server, Handover)> {
    let mut inherited = event_loop.take_over(control).await?.ok_or("a predecessor")?;
    let listeners = inherited.take_listeners("echo");
    let server = event_loop.create_server_on(generation(number), listeners).await?;
    let handover = inherited.serving([("echo", &server)]).await?;
    Ok((server, handover))
}

#[test]
fn nobody_to_take_over_from_is_none() {
    let directory = Directory::new();
    run(async |event_loop| {
        assert!(event_loop.take_over(directory.join("control")).await?.is_none());
        // One that is left over from a process that died.
        drop(std::os::unix::net::UnixListener::bind(directory.join("control"))?);
        assert!(event_loop.take_over(directory.join("control")).await?.is_none());
        Ok(())
    });
}

#[test]
fn successor_gets_the_listeners_and_what_waits_and_the_predecessor_its_end() {
    with_control(async |event_loop, control| {
        let server = event_loop.create_server(generation(1), "127.0.0.1:0").await?;
        let to = address(&server);
        let handover = event_loop.offer_handover(control, [("echo", &server)]).await?;
        assert_eq!(handover.local_address().unwrap().as_unix_path(), Some(control));
        let taken = handover.taken();

        let established = TcpStream::connect(to)?;
        assert_eq!(who_answers(&event_loop, established.try_clone()?).await?, 1);
        let silent = TcpStream::connect(to)?;
        until(&event_loop, "both", || server.connections() == 2).await;

        let mut inherited = event_loop.take_over(control).await?.ok_or("a predecessor")?;
        assert_eq!(inherited.names(), ["echo"]);
        let listeners = inherited.take_listeners("echo");
        assert!(inherited.take_listeners("echo").is_empty(), "once");
        let successor = event_loop.create_server_on(generation(2), listeners).await?;
        assert_eq!(address(&successor), to);
        assert!(server.is_serving() && !taken.is_done(), "not before it is told");
        let next = inherited.serving([("echo", &successor)]).await?;

        assert_eq!(within(&event_loop, taken).await?, 1);
        assert_eq!(handover.taken().await?, 1, "also when asked late");
        assert!(server.is_closed() && successor.is_serving());
        assert_eq!((server.connections(), successor.connections()), (1, 1));
        // Who had said something stays, who had not is the successor's, and so is who is new.
        assert_eq!(who_answers(&event_loop, established).await?, 1);
        assert_eq!(who_answers(&event_loop, silent).await?, 2);
        assert_eq!(who_answers(&event_loop, TcpStream::connect(to)?).await?, 2);
        assert_eq!(next.local_address().unwrap().as_unix_path(), Some(control));
        next.close();
        assert!(!control.exists(), "its own now");
        Ok(())
    });
}

#[test]
fn input_that_waits_unread_goes_with_its_connection() {
    with_control(async |event_loop, control| {
        let record = Record::new();
        let own = record.clone();
        let factory = move || own.around(PausedProtocol::new());
        let server = event_loop.create_server(factory, "127.0.0.1:0").await?;
        let client = TcpStream::connect(address(&server))?;
        (&client).write_all(b"!")?;
        until(&event_loop, "it", || server.connections() == 1).await;
        event_loop.offer_handover(control, [("echo", &server)]).await?;
        let (successor, _) = succeed(&event_loop, control).await?;
        assert_eq!((server.connections(), successor.connections()), (0, 1));
        assert!(record.is_lost() && record.error().is_none());
        assert_eq!(record.received(), b"");
        let mut answer = [0];
        client.set_nonblocking(true)?;
        until(&event_loop, "an answer", || (&client).read(&mut [0]).is_ok()).await;
        client.set_nonblocking(false)?;
        (&client).write_all(b"?")?;
        event_loop.sleep(Duration::from_millis(10)).await;
        (&client).read_exact(&mut answer)?;
        assert_eq!(answer, [2]);
        Ok(())
    });
}

#[test]
fn many_silent_connections_are_passed() {
    const CLIENTS: usize = 300;
    with_control(async |event_loop, control| {
        let server = event_loop.create_server(generation(1), "127.0.0.1:0").await?;
        let to = address(&server);
        let clients: Vec<TcpStream> =
            (0..CLIENTS).map(|_| TcpStream::connect(to)).collect::<Result<_, _>>()?;
        until(&event_loop, "all", || server.connections() == CLIENTS).await;
        let handover = event_loop.offer_handover(control, [("echo", &server)]).await?;
        let (successor, _) = succeed(&event_loop, control).await?;
        assert_eq!(within(&event_loop, handover.taken()).await?, CLIENTS);
        assert_eq!((server.connections(), successor.connections()), (0, CLIENTS));
        for client in clients {
            assert_eq!(who_answers(&event_loop, client).await?, 2);
        }
        Ok(())
    });
}

/// A greeting was sent: only this process knows.
struct Greets(Rc<RefCell<Vec<wharf::TransportHandle>>>, bool);

impl Protocol for Greets {
    fn connection_made(&mut self, transport: &dyn Transport) -> Result {
        if self.1 {
            transport.write(b"hello");
        }
        self.0.borrow_mut().push(transport.handle());
        Ok(())
    }

    fn data_received(&mut self, _: &dyn Transport, _: &[u8]) -> Result {
        Ok(())
    }
}

#[test]
fn connections_that_were_written_to_stay() {
    let directory = Directory::new();
    for greets in [true, false] {
        let control = directory.join("control");
        run(async |event_loop| {
            let handles = Rc::new(RefCell::new(Vec::new()));
            let own = Rc::clone(&handles);
            let server = event_loop
                .create_server(move || Greets(Rc::clone(&own), greets), "127.0.0.1:0")
                .await?;
            let _client = TcpStream::connect(address(&server))?;
            until(&event_loop, "it", || server.connections() == 1).await;
            if !greets {
                handles.borrow()[0].write(b"from elsewhere");
                event_loop.sleep(Duration::from_millis(1)).await;
            }
            event_loop.offer_handover(&control, [("echo", &server)]).await?;
            let (successor, handover) = succeed(&event_loop, &control).await?;
            assert_eq!((server.connections(), successor.connections()), (1, 0));
            handover.close();
            Ok(())
        });
    }
}

#[test]
fn predecessor_goes_on_when_the_successor_goes_away() {
    with_control(async |event_loop, control| {
        let server = event_loop.create_server(generation(1), "127.0.0.1:0").await?;
        let to = address(&server);
        let handover = event_loop.offer_handover(control, [("echo", &server)]).await?;
        for takes in [false, true, true] {
            let mut inherited = event_loop.take_over(control).await?.ok_or("a predecessor")?;
            if takes {
                drop(inherited.take_listeners("echo"));
            }
            let refused = event_loop.take_over(control).await.unwrap_err();
            assert!(refused.is_closed(), "one at a time: {refused}");
            drop(inherited);
            event_loop.sleep(Duration::from_millis(20)).await;
            assert!(server.is_serving() && !handover.taken().is_done());
            assert_eq!(who_answers(&event_loop, TcpStream::connect(to)?).await?, 1);
        }
        let (successor, _) = succeed(&event_loop, control).await?;
        assert!(successor.is_serving() && server.is_closed());
        Ok(())
    });
}

/// A first generation on a thread of its own. When `end` is dropped its loop closes, as a process
/// that dies does: it says nothing.
fn predecessor(control: PathBuf) -> (SocketAddr, impl Drop) {
    struct End(Option<JoinHandle<()>>, Remote);
    impl Drop for End {
        fn drop(&mut self) {
            let _ = self.1.call_soon_threadsafe(EventLoop::stop);
            self.0.take().unwrap().join().unwrap();
        }
    }
    let (tell, told) = channel();
    let thread = thread::spawn(move || {
        let event_loop = EventLoop::new().unwrap();
        let server = event_loop.create_server(generation(1), "127.0.0.1:0").start();
        let server = event_loop.run_until_complete(server).unwrap().unwrap();
        let offer = event_loop.offer_handover(control, [("echo", &server)]);
        event_loop.run_until_complete(offer).unwrap().unwrap();
        tell.send((address(&server), event_loop.remote())).unwrap();
        event_loop.run_forever().unwrap();
    });
    let (address, remote) = told.recv().unwrap();
    (address, End(Some(thread), remote))
}

#[test]
fn successor_goes_on_when_the_predecessor_is_gone() {
    let directory = Directory::new();
    let control = directory.join("control");
    let (to, end) = predecessor(control.clone());
    run(async |event_loop| {
        let mut inherited = event_loop.take_over(&control).await?.ok_or("a predecessor")?;
        drop(end);
        let server =
            event_loop.create_server_on(generation(2), inherited.take_listeners("echo")).await?;
        let handover = inherited.serving([("echo", &server)]).await?;
        assert_eq!(who_answers(&event_loop, TcpStream::connect(to)?).await?, 2);
        handover.close();
        Ok(())
    });
}

#[test]
fn offer_that_is_taken_back_is_told_to_the_successor() {
    with_control(async |event_loop, control| {
        let server = event_loop.create_server(generation(1), "127.0.0.1:0").await?;
        let handover = event_loop.offer_handover(control, [("echo", &server)]).await?;
        let taken = handover.taken();
        let inherited = event_loop.take_over(control).await?.ok_or("a predecessor")?;
        handover.close();
        assert!(taken.await.unwrap_err().is_closed());
        assert!(handover.taken().await.unwrap_err().is_closed());
        let error = inherited.serving([]).await.unwrap_err();
        assert!(error.is_closed(), "{error}");
        assert!(server.is_serving());
        assert!(event_loop.take_over(control).await?.is_none());
        assert!(!control.exists());
        Ok(())
    });
}

#[test]
fn paths_of_unix_servers_change_their_owner() {
    let directory = Directory::new();
    let (control, path) = (directory.join("control"), directory.join("echo"));
    run(async |event_loop| {
        let server = event_loop.create_unix_server(generation(1), &path).await?;
        event_loop.offer_handover(&control, [("echo", &server)]).await?;
        let (successor, handover) = succeed(&event_loop, &control).await?;
        assert!(server.is_closed() && path.exists() && control.exists());
        drop(UnixStream::connect(&path)?);
        let (third, _) = succeed_as(3, &event_loop, &control).await?;
        assert!(successor.is_closed() && within(&event_loop, handover.taken()).await.is_ok());
        assert!(path.exists() && control.exists());
        third.close();
        assert!(!path.exists(), "removed by its last owner");
        Ok(())
    });
}

#[test]
fn what_cannot_be_offered_is_refused() {
    with_control(async |event_loop, control| {
        let server = event_loop.create_server(|| Echo, "127.0.0.1:0").await?;
        let long = "x".repeat(256);
        let wrong: [&[(&str, &Server)]; 3] =
            [&[("", &server)], &[(&long, &server)], &[("a", &server), ("a", &server)]];
        for servers in wrong {
            let error =
                event_loop.offer_handover(control, servers.iter().copied()).await.unwrap_err();
            assert!(error.is_invalid(), "{error}");
        }
        assert!(!control.exists());
        Ok(())
    });
    let (own, other) = (EventLoop::new().unwrap(), EventLoop::new().unwrap());
    let server = own.create_server(|| Echo, "127.0.0.1:0").start();
    let server = own.run_until_complete(server).unwrap().unwrap();
    let offer = other.offer_handover("name", [("echo", &server)]);
    assert!(other.run_until_complete(offer).unwrap().unwrap_err().is_invalid());
    let memory = memory_loop();
    let offer = memory.offer_handover("name", []);
    assert!(memory.run_until_complete(offer).unwrap().unwrap_err().is_unsupported());
    let asking = memory.take_over("name");
    assert!(memory.run_until_complete(asking).unwrap().unwrap_err().is_unsupported());
}

#[test]
fn strangers_on_the_control_socket_are_sent_away() {
    with_control(async |event_loop, control| {
        let server = event_loop.create_server(generation(1), "127.0.0.1:0").await?;
        let told: Rc<RefCell<Vec<String>>> = Rc::default();
        let reports = Rc::clone(&told);
        event_loop.set_exception_handler(move |_, exception| {
            reports.borrow_mut().push(exception.to_string());
        });
        event_loop.offer_handover(control, [("echo", &server)]).await?;
        let mode = std::os::unix::fs::PermissionsExt::mode(&control.metadata()?.permissions());
        assert_eq!(mode & 0o777, 0o600);
        let words: [&[u8]; 4] = [b"GET / HTTP/1.1\r\n\r\n", b"\x06\0\0", b"\x04\0\0", b"\x01\0\0"];
        for words in words {
            let mut stranger = UnixStream::connect(control)?;
            stranger.write_all(words)?;
            stranger.set_nonblocking(true)?;
            let ended = || match (&stranger).read(&mut [0; 100]) {
                Ok(count) => count == 0,
                Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
            };
            until(&event_loop, "its end", ended).await;
        }
        let mut older = UnixStream::connect(control)?;
        let mut request = b"\x01\0\x13wharf handover\0".to_vec();
        request.extend_from_slice(&[0, 7, 0, 9]);
        older.write_all(&request)?;
        let mut answer = Vec::new();
        older.set_nonblocking(true)?;
        let place = RefCell::new(&mut answer);
        until(&event_loop, "the refusal", || {
            let mut part = [0; 100];
            let count = (&older).read(&mut part).unwrap_or(0);
            place.borrow_mut().extend_from_slice(&part[..count]);
            count == 0 && !place.borrow().is_empty()
        })
        .await;
        assert!(answer.starts_with(b"\x09") && answer.ends_with(b"no version that both can speak"));
        let (successor, _) = succeed(&event_loop, control).await?;
        assert!(successor.is_serving(), "none of them has changed anything");
        assert!(told.borrow().is_empty(), "they are to blame: {:?}", told.borrow());
        Ok(())
    });
}

#[test]
fn a_stranger_that_says_a_byte_now_and_then_is_sent_away() {
    with_control(async |event_loop, control| {
        let server = event_loop.create_server(generation(1), "127.0.0.1:0").await?;
        event_loop.offer_handover(control, [("echo", &server)]).await?;
        let mut stranger = UnixStream::connect(control)?;
        // A request of 256 bytes, and it is never said to its end.
        stranger.write_all(&[1, 1, 0])?;
        let mut said = 0;
        while stranger.write_all(b"w").is_ok() {
            said += 1;
            assert!(said < 256, "it could have said all");
            event_loop.sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    });
}
