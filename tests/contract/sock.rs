//! `sock_*`: sockets of the user's own.

use std::cell::Cell;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::rc::Rc;

use wharf::testing::{settle, step};
use wharf::{Address, EventLoop};

use crate::probes::{complete, step_until};
use crate::serving::{own_host, refusing_address};

fn pair() -> (UnixStream, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    (ours, theirs)
}

fn listener() -> (TcpListener, Address) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap().into();
    (listener, address)
}

// 44.
#[test]
fn a_sock_operation_that_need_not_wait_does_not() {
    let event_loop = EventLoop::new().unwrap();
    let (ours, mut theirs) = pair();
    theirs.write_all(b"there").unwrap();
    // One step of the future, and no turn of the loop, is enough.
    let mut buffer = [0; 16];
    let received = now(event_loop.sock_recv(&ours, &mut buffer)).expect("it would not block");
    assert_eq!(&buffer[..received.unwrap()], b"there");
    assert!(now(event_loop.sock_sendall(&ours, b"back")).expect("there is room").is_ok());
    let (listener, address) = listener();
    let _client = TcpStream::connect(address.as_ip().unwrap()).unwrap();
    assert!(now(event_loop.sock_accept(&listener)).expect("one is waiting").is_ok());
    let mut buffer = [0; 4];
    theirs.read_exact(&mut buffer).unwrap();
    assert_eq!(&buffer, b"back");
}

// 45.
#[test]
fn a_cancelled_sock_recv_takes_nothing_from_the_next_one() {
    let event_loop = EventLoop::new().unwrap();
    let (ours, mut theirs) = pair();
    let mut buffers = ([0; 8], [0; 8]);
    let mut first = Box::pin(event_loop.sock_recv(&ours, &mut buffers.0));
    assert!(now(&mut first).is_none(), "it waits");
    let mut second = Box::pin(event_loop.sock_recv(&ours, &mut buffers.1));
    assert!(now(&mut second).is_none(), "it waits");
    drop(first);
    theirs.write_all(b"late").unwrap();
    assert_eq!(complete(&event_loop, second).unwrap(), 4);
    assert_eq!(&buffers.1[..4], b"late");
    // The end is told as often as it is asked for.
    drop(theirs);
    for _ in 0..2 {
        assert_eq!(complete(&event_loop, event_loop.sock_recv(&ours, &mut buffers.0)).unwrap(), 0);
    }
}

// 46.
#[test]
fn sock_connect_connects_or_says_which_address_failed() {
    let event_loop = EventLoop::new().unwrap();
    let (_listener, address) = listener();
    let new_socket = || {
        let socket = socket2::Socket::new(
            socket2::Domain::IPV4,
            socket2::Type::STREAM,
            Some(socket2::Protocol::TCP),
        )
        .unwrap();
        socket.set_nonblocking(true).unwrap();
        socket
    };
    let socket = new_socket();
    complete(&event_loop, event_loop.sock_connect(&socket, address.clone())).unwrap();
    assert_eq!(socket.peer_addr().unwrap().as_socket(), address.as_ip());
    let (_bound, address) = refusing_address().unwrap();
    let refused = complete(&event_loop, event_loop.sock_connect(new_socket(), address));
    let refused = refused.unwrap_err();
    assert_eq!(refused.io_kind(), Some(std::io::ErrorKind::ConnectionRefused));
    assert!(refused.to_string().contains(&address.to_string()), "{refused}");
}

// 47.
#[test]
fn a_cancelled_sock_accept_leaves_the_listener_to_be_closed() {
    let event_loop = EventLoop::new().unwrap();
    let listener = TcpListener::bind((own_host(), 0)).unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let mut accept = Box::pin(event_loop.sock_accept(&listener));
    assert!(now(&mut accept).is_none(), "it waits");
    step(&event_loop).unwrap();
    drop(accept);
    drop(listener);
    assert!(TcpStream::connect(address).is_err(), "nobody listens");
}

// 48.
#[test]
fn sock_sendall_is_done_when_everything_is_taken() {
    let event_loop = EventLoop::new().unwrap();
    let (ours, theirs) = pair();
    let sent: Vec<u8> = (0..4_000_000_u32).map(|number| number as u8).collect();
    let sender = {
        let (event_loop, sent) = (event_loop.clone(), sent.clone());
        event_loop.clone().create_task(async move { event_loop.sock_sendall(&ours, &sent).await })
    };
    let mut received = Vec::new();
    let mut buffer = vec![0; 64 * 1024];
    while received.len() < sent.len() {
        assert!(!sender.is_done() || sent.len() - received.len() < 1_000_000, "it does not fit");
        let count = complete(&event_loop, event_loop.sock_recv(&theirs, &mut buffer)).unwrap();
        received.extend_from_slice(&buffer[..count]);
    }
    complete(&event_loop, sender).unwrap().unwrap();
    assert!(received == sent);
}

// 49.
#[test]
fn sock_accept_gives_sockets_that_do_not_block() {
    let event_loop = EventLoop::new().unwrap();
    let (listener, address) = listener();
    let client = TcpStream::connect(address.as_ip().unwrap()).unwrap();
    let (accepted, peer) = complete(&event_loop, event_loop.sock_accept(&listener)).unwrap();
    assert_eq!(peer.unwrap().as_ip(), client.local_addr().ok());
    let mut accepted = TcpStream::from(accepted);
    let error = accepted.read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
    let flags = rustix::io::fcntl_getfd(&accepted).unwrap();
    assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
}

// 50.
#[test]
fn a_blocking_socket_does_not_block_the_loop() {
    let event_loop = EventLoop::new().unwrap();
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let mut buffer = [0; 8];
    let mut receive = Box::pin(event_loop.sock_recv(&ours, &mut buffer));
    assert!(now(&mut receive).is_none(), "it waits, and does not block");
    theirs.write_all(b"now").unwrap();
    assert_eq!(complete(&event_loop, receive).unwrap(), 3);
    // More than there is room for, to a peer that does not read yet.
    let data = vec![7; 4 << 20];
    let mut send = Box::pin(event_loop.sock_sendall(&ours, &data));
    assert!(now(&mut send).is_none(), "it waits, and does not block");
    let expected = data.len();
    let reader = std::thread::spawn(move || {
        let mut received = vec![0; expected];
        theirs.read_exact(&mut received).map(|()| received)
    });
    complete(&event_loop, send).unwrap();
    assert!(reader.join().unwrap().unwrap() == data);

    let (listener, address) = listener();
    listener.set_nonblocking(false).unwrap();
    let error = complete(&event_loop, event_loop.sock_accept(&listener)).unwrap_err();
    assert!(error.is_invalid(), "{error}");
    let blocking: OwnedFd = TcpStream::connect(address.as_ip().unwrap()).unwrap().into();
    let error = complete(&event_loop, event_loop.sock_connect(&blocking, address)).unwrap_err();
    assert!(error.is_invalid(), "{error}");
}

#[test]
fn waiting_for_a_descriptor_is_apart_from_its_reader_and_leaves_nothing() {
    let event_loop = EventLoop::new().unwrap();
    let (ours, mut theirs) = pair();
    let called = Rc::new(Cell::new(0));
    let ours = Rc::new(ours);
    let count = Rc::clone(&called);
    let watched = Rc::clone(&ours);
    event_loop
        .add_reader(Rc::clone(&ours), move || {
            count.set(count.get() + 1);
            let _ = (&*watched).read(&mut [0; 8]);
        })
        .unwrap();
    let mut wait = Box::pin(event_loop.wait_readable(ours.as_fd()));
    assert!(now(&mut wait).is_none());
    theirs.write_all(b"x").unwrap();
    complete(&event_loop, wait).unwrap();
    step_until(&event_loop, || called.get() == 1);
    assert!(event_loop.remove_reader(&ours), "the reader is still there");
    settle(&event_loop).unwrap();
    assert_eq!(Rc::strong_count(&ours), 1, "nobody holds the descriptor any more");
    complete(&event_loop, event_loop.wait_writable(ours.as_fd())).unwrap();
}

/// What a future gives in its first step.
fn now<F: Future>(future: F) -> Option<F::Output> {
    let mut future = std::pin::pin!(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match future.as_mut().poll(&mut context) {
        std::task::Poll::Ready(output) => Some(output),
        std::task::Poll::Pending => None,
    }
}
