//! Section X: passing descriptors over Unix sockets.

use std::cell::RefCell;
use std::fs::File;
use std::io::{ErrorKind, PipeReader, PipeWriter, Read, Write, pipe};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::rc::Rc;

use proptest::prelude::*;
use wharf::bytes::Bytes;
use wharf::testing::pair;
use wharf::{
    Buffered, BufferedProtocol, Connection, Error, EventLoop, Protocol, RateLimit, Result,
    Transport, WriteStatus,
};

use crate::files::file_with;
use crate::loops::memory_loop;
use crate::needs::missing;
use crate::probe::{Log, Probe};
use crate::process::raise_descriptor_limit;
use crate::random::cases;
use crate::running::{rest, run_until};
use crate::serving::{Directory, Echo, Watcher, run};

/// What came, in order.
#[derive(Debug, PartialEq)]
enum Came {
    Descriptors(Vec<OwnedFdMark>),
    Bytes(Vec<u8>),
    Lost(Option<ErrorKind>),
}

/// A descriptor, told apart by the first byte of its file.
#[derive(Debug, PartialEq)]
struct OwnedFdMark(u8);

type Record = Rc<RefCell<Vec<Came>>>;
type Hook = Box<dyn FnMut(&dyn Transport, Vec<OwnedFd>) -> Result>;

/// Records what comes, and does what its hook says with descriptors.
struct Receiver {
    record: Record,
    hook: Option<Hook>,
}

impl Receiver {
    fn new(record: &Record) -> Self {
        Self { record: Rc::clone(record), hook: None }
    }

    fn on_descriptors(
        mut self,
        hook: impl FnMut(&dyn Transport, Vec<OwnedFd>) -> Result + 'static,
    ) -> Self {
        self.hook = Some(Box::new(hook));
        self
    }
}

impl Protocol for Receiver {
    fn descriptors_received(
        &mut self,
        transport: &dyn Transport,
        descriptors: Vec<OwnedFd>,
    ) -> Result {
        let marks = descriptors.iter().map(mark).collect();
        self.record.borrow_mut().push(Came::Descriptors(marks));
        self.hook.as_mut().map_or(Ok(()), |hook| hook(transport, descriptors))
    }

    fn data_received(&mut self, _: &dyn Transport, data: &[u8]) -> Result {
        self.record.borrow_mut().push(Came::Bytes(data.to_vec()));
        Ok(())
    }

    fn connection_lost(&mut self, _: &dyn Transport, error: Option<&Error>) -> Result {
        self.record.borrow_mut().push(Came::Lost(error.and_then(Error::io_kind)));
        Ok(())
    }
}

fn mark(descriptor: &OwnedFd) -> OwnedFdMark {
    let file = File::from(descriptor.try_clone().unwrap());
    let mut first = [0];
    file.read_exact_at(&mut first, 0).unwrap_or_default();
    OwnedFdMark(first[0])
}

fn marked(mark: u8) -> OwnedFd {
    file_with(&[mark]).try_clone().unwrap().into()
}

/// A sender, and a receiver of at most `most` descriptors in one message.
fn joined(
    event_loop: &EventLoop,
    most: usize,
    receiver: impl Protocol,
) -> (Connection<Probe>, Log) {
    let (near, far) = UnixStream::pair().unwrap();
    let log = Log::new();
    let sender = Probe::new(&log);
    let made = event_loop.create_connection_on(|| sender, near).send_buffer_size(16 * 1024).start();
    let sender = event_loop.run_until_complete(made).unwrap().unwrap();
    let made =
        event_loop.connect_accepted_socket(move || receiver, far).receive_descriptors(most).start();
    event_loop.run_until_complete(made).unwrap().unwrap();
    (sender, log)
}

#[test]
fn descriptors_come_before_the_bytes_that_carry_them() {
    let event_loop = EventLoop::new().unwrap();
    let record = Record::default();
    let (sender, _) = joined(&event_loop, 4, Receiver::new(&record));
    let status = sender.handle().write_with_descriptors(b"two", vec![marked(1), marked(2)]);
    assert_eq!(status.unwrap(), WriteStatus::Accepted);
    rest(&event_loop);
    let expected =
        [Came::Descriptors(vec![OwnedFdMark(1), OwnedFdMark(2)]), Came::Bytes(b"two".to_vec())];
    assert_eq!(*record.borrow(), expected);
    record.borrow_mut().clear();
    sender.handle().write_with_descriptors(b"none", Vec::new()).unwrap();
    rest(&event_loop);
    assert_eq!(*record.borrow(), [Came::Bytes(b"none".to_vec())]);
}

#[test]
fn received_descriptors_are_open_and_close_on_exec() {
    let event_loop = EventLoop::new().unwrap();
    let kept = Rc::new(RefCell::new(Vec::new()));
    let place = Rc::clone(&kept);
    let receiver = Receiver::new(&Record::default()).on_descriptors(move |_, descriptors| {
        place.borrow_mut().extend(descriptors);
        Ok(())
    });
    let (sender, _) = joined(&event_loop, 1, receiver);
    let (mut reader, writer) = pipe().unwrap();
    sender.handle().write_with_descriptors(b"x", vec![writer.into()]).unwrap();
    run_until(&event_loop, "the descriptor", || kept.borrow().len() == 1);
    let passed = kept.borrow_mut().pop().unwrap();
    let flags = rustix::io::fcntl_getfd(&passed).unwrap();
    assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
    PipeWriter::from(passed).write_all(b"through").unwrap();
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert_eq!(text, "through", "and the sender's own copy is closed");
}

/// Whether the other end of the pipe is closed everywhere.
fn is_closed(mut reader: &PipeReader) -> bool {
    rustix::io::ioctl_fionbio(reader.as_fd(), true).unwrap();
    matches!(reader.read(&mut [0]), Ok(0))
}

#[test]
fn descriptors_that_nobody_takes_are_closed() {
    let event_loop = EventLoop::new().unwrap();
    // By the default of the protocol.
    let log = Log::new();
    let (sender, _) = joined(&event_loop, 1, Probe::new(&log));
    let (reader, writer) = pipe().unwrap();
    sender.handle().write_with_descriptors(b"x", vec![writer.into()]).unwrap();
    run_until(&event_loop, "the byte", || log.received_len() == 1);
    assert!(is_closed(&reader));

    // By the operating system, where they are not received.
    let (near, mut far) = UnixStream::pair().unwrap();
    let made = event_loop.create_connection_on(|| Echo, near).start();
    let sender = event_loop.run_until_complete(made).unwrap().unwrap();
    let (reader, writer) = pipe().unwrap();
    sender.handle().write_with_descriptors(b"x", vec![writer.into()]).unwrap();
    rest(&event_loop);
    far.read_exact(&mut [0]).unwrap();
    assert!(is_closed(&reader));

    // By the sender, when they are not sent.
    let (near, _far) = UnixStream::pair().unwrap();
    let made = event_loop.create_connection_on(|| Echo, near).start();
    let sender = event_loop.run_until_complete(made).unwrap().unwrap();
    sender.handle().write(&vec![0; 4 << 20]);
    let (reader, writer) = pipe().unwrap();
    sender.handle().write_with_descriptors(b"x", vec![writer.into()]).unwrap();
    rest(&event_loop);
    assert!(!is_closed(&reader), "it waits");
    sender.handle().abort();
    rest(&event_loop);
    assert!(is_closed(&reader));
    let (reader, writer) = pipe().unwrap();
    let late = sender.handle().write_with_descriptors(b"x", vec![writer.into()]);
    assert_eq!(late.unwrap(), WriteStatus::Closed);
    assert!(is_closed(&reader));
}

#[test]
fn more_descriptors_than_allowed_end_the_connection_and_are_closed() {
    let event_loop = EventLoop::new().unwrap();
    let record = Record::default();
    let (sender, _) = joined(&event_loop, 2, Receiver::new(&record));
    let (reader, writer) = pipe().unwrap();
    let three = (0..3).map(|_| writer.try_clone().unwrap().into()).collect();
    drop(writer);
    sender.handle().write_with_descriptors(b"three", three).unwrap();
    rest(&event_loop);
    assert_eq!(*record.borrow(), [Came::Lost(Some(ErrorKind::InvalidData))]);
    assert!(is_closed(&reader));
}

#[test]
fn descriptors_that_cannot_be_sent_are_refused() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::new();
    let (sender, _) = joined(&event_loop, 253, Probe::new(&log));
    let handle = sender.handle();
    let empty = handle.write_with_descriptors(b"", vec![marked(1)]).unwrap_err();
    assert!(empty.is_invalid(), "{empty}");
    let descriptor = marked(1);
    let copies = |count| (0..count).map(|_| descriptor.try_clone().unwrap()).collect::<Vec<_>>();
    let many = handle.write_with_descriptors(b"x", copies(254)).unwrap_err();
    assert!(many.is_invalid(), "{many}");
    handle.write_with_descriptors(b"x", copies(253)).unwrap();
    run_until(&event_loop, "as many as one message carries", || log.received_len() == 1);

    let near = Log::new();
    pair(&event_loop, 1024, Probe::new(&near), Watcher(Rc::default())).unwrap();
    let memory = near.handle().write_with_descriptors(b"x", copies(1)).unwrap_err();
    assert!(memory.is_unsupported(), "{memory}");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let tcp = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let made = event_loop.create_connection_on(|| Echo, tcp).start();
    let tcp = event_loop.run_until_complete(made).unwrap().unwrap();
    let error = tcp.handle().write_with_descriptors(b"x", copies(1)).unwrap_err();
    assert!(error.is_unsupported(), "{error}");

    let log = Log::new();
    let probe = Probe::new(&log);
    let (_reader, writer) = pipe().unwrap();
    let made = event_loop.connect_write_pipe(|| probe, writer).start();
    event_loop.run_until_complete(made).unwrap().unwrap();
    let error = log.handle().write_with_descriptors(b"x", copies(1)).unwrap_err();
    assert!(error.is_unsupported(), "{error}");

    // They cannot travel with a record.
    #[cfg(feature = "tls")]
    {
        let (log, (own, _peer)) = (Log::new(), UnixStream::pair().unwrap());
        let probe = Probe::new(&log);
        let made = event_loop.create_connection_on(|| probe, own).start();
        event_loop.run_until_complete(made).unwrap().unwrap();
        let tls = crate::encryption::Tls::new(wharf::TlsVersion::Tls13);
        log.handle().start_tls(tls.client.server_name("server.test").into(), Bytes::new());
        let error = log.handle().write_with_descriptors(b"x", copies(1)).unwrap_err();
        assert!(error.is_unsupported(), "{error}");
    }
}

#[test]
fn waiting_descriptors_have_a_limit() {
    if raise_descriptor_limit() < 2000 {
        return missing("more descriptors (ulimit -Hn)");
    }
    let event_loop = EventLoop::new().unwrap();
    let log = Log::new();
    let (sender, _) = joined(&event_loop, 253, Probe::new(&log).not_reading());
    let handle = sender.handle();
    handle.write(&vec![0; 1 << 20]);
    rest(&event_loop);
    let descriptor = marked(1);
    let copies = || (0..128).map(|_| descriptor.try_clone().unwrap()).collect::<Vec<_>>();
    for _ in 0..8 {
        handle.write_with_descriptors(b"x", copies()).unwrap();
    }
    let error = handle.write_with_descriptors(b"x", copies()).unwrap_err();
    assert!(error.is_write_cap(), "{error}");
    handle.write(b"it goes on");
    log.handle().resume_reading();
    run_until(&event_loop, "all of it", || log.received_len() == (1 << 20) + 8 + 10);
}

#[test]
fn a_write_limit_holds_for_bytes_that_carry_descriptors() {
    let event_loop = EventLoop::new().unwrap();
    let record = Record::default();
    let (sender, _) = joined(&event_loop, 1, Receiver::new(&record));
    let handle = sender.handle();
    let began = event_loop.time();
    handle.set_write_limit(Some(RateLimit::bytes_per_second(100).burst(1000)));
    for mark in [1, 2] {
        handle.write_with_descriptors(&[mark; 700], vec![marked(mark)]).unwrap();
    }
    let received = || -> usize {
        let bytes = |came: &Came| if let Came::Bytes(bytes) = came { bytes.len() } else { 0 };
        record.borrow().iter().map(bytes).sum()
    };
    run_until(&event_loop, "the burst", || received() >= 1000);
    rest(&event_loop);
    let most = (event_loop.time() - began).as_secs_f64() * 100.0 + 1000.0;
    assert!(received() as f64 <= most, "{} of {most}", received());
    let second = Came::Descriptors(vec![OwnedFdMark(2)]);
    assert!(record.borrow().contains(&second), "they go with the first of their bytes");
    handle.set_write_limit(None);
    run_until(&event_loop, "the rest", || received() == 1400);
    let descriptors = |came: &&Came| matches!(came, Came::Descriptors(_));
    assert_eq!(record.borrow().iter().filter(descriptors).count(), 2);
}

#[test]
fn receiving_descriptors_is_refused_where_none_can_come() {
    run(async |event_loop| {
        let server = event_loop.create_server(|| Echo, "127.0.0.1:0").receive_descriptors(1).await;
        assert!(server.unwrap_err().is_unsupported());
        let server = event_loop.create_server(|| Echo, "127.0.0.1:0").await?;
        let to = server.addresses()[0].clone();
        let client = event_loop.create_connection(|| Echo, to).receive_descriptors(1).await;
        assert!(client.unwrap_err().is_unsupported());
        Ok(())
    });
    let event_loop = memory_loop();
    let server = event_loop.create_unix_server(|| Echo, "name").receive_descriptors(1).start();
    let server = event_loop.run_until_complete(server).unwrap();
    assert!(server.unwrap_err().is_unsupported());
}

#[test]
fn servers_and_clients_of_a_path_receive_descriptors() {
    let directory = Directory::new();
    let path = directory.join("socket");
    run(async |event_loop| {
        let record = Record::default();
        let own = Rc::clone(&record);
        event_loop
            .create_unix_server(move || Receiver::new(&own), &path)
            .receive_descriptors(1)
            .await?;
        let client = event_loop
            .create_unix_connection(|| Receiver::new(&Record::default()), &path)
            .receive_descriptors(1)
            .await?;
        client.handle().write_with_descriptors(b"x", vec![marked(9)])?;
        crate::serving::until(&event_loop, "it", || record.borrow().len() == 2).await;
        assert_eq!(record.borrow()[0], Came::Descriptors(vec![OwnedFdMark(9)]));
        Ok(())
    });
}

#[test]
fn bytes_wait_when_the_callback_for_their_descriptors_pauses() {
    let event_loop = EventLoop::new().unwrap();
    let record = Record::default();
    let handle = Rc::new(RefCell::new(None));
    let place = Rc::clone(&handle);
    let receiver = Receiver::new(&record).on_descriptors(move |transport, _| {
        transport.pause_reading();
        *place.borrow_mut() = Some(transport.handle());
        Ok(())
    });
    let (sender, _) = joined(&event_loop, 1, receiver);
    sender.handle().write_with_descriptors(b"first", vec![marked(1)]).unwrap();
    sender.handle().write(b"second");
    rest(&event_loop);
    assert_eq!(*record.borrow(), [Came::Descriptors(vec![OwnedFdMark(1)])]);
    handle.take().unwrap().resume_reading();
    rest(&event_loop);
    let bytes: Vec<u8> = record.borrow()[1..]
        .iter()
        .flat_map(|came| match came {
            Came::Bytes(bytes) => bytes.clone(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(bytes, b"firstsecond");
}

#[test]
fn bytes_go_to_the_protocol_that_the_callback_for_their_descriptors_sets() {
    let event_loop = EventLoop::new().unwrap();
    let (record, next) = (Record::default(), Record::default());
    let own = Rc::clone(&next);
    let receiver = Receiver::new(&record).on_descriptors(move |transport, _| {
        transport.set_protocol(Box::new(Receiver::new(&own)), Bytes::new());
        Ok(())
    });
    let (sender, _) = joined(&event_loop, 1, receiver);
    sender.handle().write_with_descriptors(b"bytes", vec![marked(1)]).unwrap();
    rest(&event_loop);
    assert_eq!(*record.borrow(), [Came::Descriptors(vec![OwnedFdMark(1)])]);
    assert_eq!(*next.borrow(), [Came::Bytes(b"bytes".to_vec())]);
}

#[test]
fn no_bytes_come_after_the_callback_for_their_descriptors_closed_or_failed() {
    for fails in [false, true] {
        let event_loop = EventLoop::new().unwrap();
        event_loop.set_exception_handler(|_, _| {});
        let record = Record::default();
        let receiver = Receiver::new(&record).on_descriptors(move |transport, _| {
            transport.close();
            if fails { Err("refused".into()) } else { Ok(()) }
        });
        let (sender, log) = joined(&event_loop, 1, receiver);
        sender.handle().write_with_descriptors(b"bytes", vec![marked(1)]).unwrap();
        run_until(&event_loop, "the end", || log.is_lost());
        rest(&event_loop);
        let expected = [Came::Descriptors(vec![OwnedFdMark(1)]), Came::Lost(None)];
        assert_eq!(*record.borrow(), expected);
    }
}

/// Receives into memory of its own.
struct Own(Receiver, [u8; 3]);

impl BufferedProtocol for Own {
    fn get_buffer(&mut self, _: &dyn Transport, _: usize) -> Result<&mut [u8]> {
        Ok(&mut self.1)
    }

    fn buffer_updated(&mut self, transport: &dyn Transport, count: usize) -> Result {
        self.0.data_received(transport, &self.1[..count])
    }

    fn descriptors_received(
        &mut self,
        transport: &dyn Transport,
        descriptors: Vec<OwnedFd>,
    ) -> Result {
        self.0.descriptors_received(transport, descriptors)
    }
}

#[test]
fn buffered_protocols_receive_descriptors_too() {
    let event_loop = EventLoop::new().unwrap();
    let record = Record::default();
    let (sender, _) = joined(&event_loop, 1, Buffered(Own(Receiver::new(&record), [0; 3])));
    sender.handle().write_with_descriptors(b"three+", vec![marked(5)]).unwrap();
    rest(&event_loop);
    let expected = [
        Came::Descriptors(vec![OwnedFdMark(5)]),
        Came::Bytes(b"thr".to_vec()),
        Came::Bytes(b"ee+".to_vec()),
    ];
    assert_eq!(*record.borrow(), expected);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(40)))]

    #[test]
    fn descriptors_keep_their_order_among_the_bytes_for_any_writes(
        writes in prop::collection::vec(
            (prop_oneof![1usize..20, 1usize..60_000], 0usize..4, any::<bool>()), 1..25),
    ) {
        let event_loop = EventLoop::new().unwrap();
        let record = Record::default();
        let (sender, log) = joined(&event_loop, 253, Receiver::new(&record));
        let files: Vec<OwnedFd> = (0..16).map(marked).collect();
        let (mut data, mut marks) = (Vec::new(), Vec::new());
        // Up to which descriptor, by number, what came before this byte.
        let mut due = Vec::new();
        for (number, (len, count, settles)) in writes.into_iter().enumerate() {
            let bytes = vec![number as u8; len];
            let passed: Vec<u8> = (0..count).map(|step| ((marks.len() + step) % 16) as u8).collect();
            let copies =
                passed.iter().map(|mark| files[usize::from(*mark)].try_clone().unwrap()).collect();
            sender.handle().write_with_descriptors(&bytes, copies).unwrap();
            marks.extend(passed);
            due.push((data.len(), marks.len()));
            data.extend(bytes);
            if settles {
                rest(&event_loop);
            }
        }
        let received = |record: &Record| -> usize {
            record.borrow().iter().map(|came| match came {
                Came::Bytes(bytes) => bytes.len(),
                _ => 0,
            }).sum()
        };
        let all = data.len();
        run_until(&event_loop, "all of it", || received(&record) == all);
        let (mut bytes, mut came) = (Vec::new(), Vec::new());
        for one in record.borrow().iter() {
            match one {
                Came::Descriptors(passed) => came.extend(passed.iter().map(|mark| mark.0)),
                Came::Bytes(part) => {
                    bytes.extend_from_slice(part);
                    for (begins, descriptors) in &due {
                        prop_assert!(*begins >= bytes.len() || came.len() >= *descriptors);
                    }
                }
                Came::Lost(error) => prop_assert!(false, "lost: {error:?}"),
            }
        }
        prop_assert!(bytes == data, "the bytes differ");
        prop_assert_eq!(came, marks);
        drop(log);
    }
}
