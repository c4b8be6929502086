use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use wharf::testing::MemoryNetwork;
use wharf::{
    ByteStream, Connection, Eof, Error, EventLoop, Protocol, Result, Timeout, TlsClient,
    TlsIdentity, TlsServer, Transport, with_info,
};

use super::*;

const ADDRESS: &str = "10.0.0.1:7";

/// Sends everything back, and says good-bye at the end.
#[derive(Default)]
struct Echo {
    lost: Rc<RefCell<Vec<bool>>>,
}

impl Protocol for Echo {
    fn connection_made(&mut self, transport: &dyn Transport) -> Result {
        transport.write(b"welcome;");
        Ok(())
    }

    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
        match data {
            b"close" => transport.close(),
            b"abort" => transport.abort(),
            b"fail" => return Err(Error::protocol_violation("fail").into()),
            _ => {
                transport.write(data);
            }
        }
        Ok(())
    }

    fn eof_received(&mut self, transport: &dyn Transport) -> Result<Eof> {
        transport.write(b";bye");
        Ok(Eof::Close)
    }

    fn connection_lost(&mut self, _: &dyn Transport, error: Option<&Error>) -> Result {
        self.lost.borrow_mut().push(error.is_some());
        Ok(())
    }
}

async fn serve<T: Tap + Clone>(event_loop: &EventLoop, tap: T) -> Result<Rc<RefCell<Vec<bool>>>> {
    let lost = Rc::new(RefCell::new(Vec::new()));
    let (serving, losing) = (event_loop.clone(), Rc::clone(&lost));
    let factory = move |_: &_| {
        let echo = Echo { lost: Rc::clone(&losing) };
        let (_, outside) = tapped(&serving, echo, tap.clone())?;
        Ok(outside)
    };
    event_loop.create_server(with_info(factory), ADDRESS).await?;
    Ok(lost)
}

#[test]
fn bytes_ends_and_counts() -> Result {
    MemoryNetwork::new().event_loop().run(async |event_loop| {
        let counters = Rc::new(Counters::default());
        let lost = serve(&event_loop, Rc::clone(&counters)).await?;
        let (mut reader, writer) = event_loop.open_connection(ADDRESS).await?;
        writer.write(b"hello");
        assert_eq!(reader.read_exactly(13).await?, b"welcome;hello");
        assert_eq!(counters.open(), 1);
        writer.write_eof();
        assert_eq!(reader.read_to_end(100).await?, b";bye");
        wharf::sleep(Duration::from_secs(1)).await;
        assert_eq!(*lost.borrow(), [false]);
        assert_eq!((counters.bytes_received(), counters.bytes_sent()), (5, 17));
        assert_eq!((counters.connections(), counters.open(), counters.failed()), (1, 0, 0));
        Ok(())
    })
}

#[test]
fn closes_and_aborts_of_either_side_pass() -> Result {
    MemoryNetwork::new().event_loop().run(async |event_loop| {
        let counters = Rc::new(Counters::default());
        let lost = serve(&event_loop, Rc::clone(&counters)).await?;
        for word in [&b"close"[..], b"abort", b"fail"] {
            let (mut reader, writer) = event_loop.open_connection(ADDRESS).await?;
            reader.read_exactly(8).await?;
            writer.write(word);
            // An abort that drops nothing is an end like another.
            let _ = reader.read_to_end(100).await;
        }
        let (mut reader, writer) = event_loop.open_connection(ADDRESS).await?;
        reader.read_exactly(8).await?;
        writer.abort();
        wharf::sleep(Duration::from_secs(1)).await;
        assert_eq!((counters.connections(), counters.open()), (4, 0));
        assert_eq!(lost.borrow().len(), 4);
        Ok(())
    })
}

#[test]
fn a_peer_that_does_not_read_stops_the_protocol() -> Result {
    MemoryNetwork::new().capacity(1024).event_loop().run(async |event_loop| {
        let counters = Rc::new(Counters::default());
        serve(&event_loop, Rc::clone(&counters)).await?;
        let (mut reader, writer) = event_loop.open_connection(ADDRESS).await?;
        let total = 4 * 1024 * 1024;
        let sending = async {
            writer.write_all(&vec![b'x'; total]).await?;
            Ok(())
        };
        let sending = wharf::timeout(Duration::from_secs(10), sending);
        let sent: Result<Result, Error> = sending.await;
        assert!(sent.is_err(), "it does not take everything");
        assert!(counters.bytes_received() < 1024 * 1024, "{}", counters.bytes_received());
        let (mut left, mut buffer) = (total + 8, vec![0; 65_536]);
        while left > 0 {
            let count = reader.read(&mut buffer).await?;
            assert!(count > 0);
            left -= count;
        }
        assert_eq!(counters.bytes_sent(), total as u64 + 8);
        Ok(())
    })
}

#[test]
fn lines_for_a_log() -> Result {
    MemoryNetwork::new().event_loop().run(async |event_loop| {
        let lines = Rc::new(RefCell::new(Vec::new()));
        let writing = Rc::clone(&lines);
        let log = Log::new(move |line| writing.borrow_mut().push(line.to_owned())).shown(4);
        let (near, outside) = tapped(&event_loop, Echo::default(), log)?;
        event_loop.create_server(Echo::default, ADDRESS).await?;
        event_loop.create_connection(move || outside, ADDRESS).await?;
        near.write(b"\r\nlong");
        wharf::yield_now().await;
        near.close();
        near.wait_closed().await?;
        wharf::sleep(Duration::from_secs(1)).await;
        let lines = lines.borrow();
        let ends = |index: usize, end: &str| assert!(lines[index].ends_with(end), "{lines:?}");
        ends(0, "open, with 10.0.0.1:7");
        assert!(lines.iter().any(|line| line.contains("> 8 bytes \"welc…\"")), "{lines:?}");
        assert!(lines.iter().any(|line| line.contains("< 8 bytes \"welc…\"")), "{lines:?}");
        assert!(lines.iter().any(|line| line.contains(r#"> 6 bytes "\r\nlo…""#)), "{lines:?}");
        ends(lines.len() - 1, "closed");
        Ok(())
    })
}

/// The tap has the error itself, of whichever side.
#[test]
fn errors_of_either_side_are_told() -> Result {
    /// Notes ends, and ends connections that are idle.
    #[derive(Default)]
    struct Ends(RefCell<Vec<Option<String>>>);

    impl Tap for Ends {
        fn opened(&self, transport: &dyn Transport) {
            transport.set_timeout(Timeout::Idle, Some(Duration::from_secs(9)));
        }

        fn received(&self, _: &dyn Transport, _: &[u8]) {}

        fn sent(&self, _: &dyn Transport, _: &[u8]) {}

        fn closed(&self, _: &dyn Transport, error: Option<&Error>) {
            self.0.borrow_mut().push(error.map(ToString::to_string));
        }
    }

    MemoryNetwork::new().event_loop().run(async |event_loop| {
        let ends = Rc::new(Ends::default());
        let lost = serve(&event_loop, Rc::clone(&ends)).await?;
        for word in [&b"fail"[..], b"close", b"nothing"] {
            let (mut reader, writer) = event_loop.open_connection(ADDRESS).await?;
            reader.read_exactly(8).await?;
            writer.write(word);
            let _ = reader.read_to_end(100).await;
        }
        wharf::sleep(Duration::from_secs(1)).await;
        let ends = ends.0.borrow();
        assert_eq!(ends[..2], [Some("fail".to_owned()), None]);
        assert!(ends[2].as_ref().is_some_and(|end| end.contains("idle")), "{ends:?}");
        assert_eq!(*lost.borrow(), [true, false, true]);
        Ok(())
    })
}

/// Goes on under TLS when it hears so.
struct Upgrade {
    to: TlsServer,
}

impl Protocol for Upgrade {
    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
        if data == b"STARTTLS" {
            transport.write(b"go on");
            transport.start_tls(self.to.clone().into(), Default::default());
        } else {
            transport.write(data);
        }
        Ok(())
    }
}

/// What a tap sees of a connection under TLS: the plaintext where TLS is the connection's, ciphertext where the protocol
/// has begun it.
#[test]
fn tls_of_the_connection_is_outside_and_tls_of_the_protocol_inside() -> Result {
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    let (chain, key) = (certified.cert.pem(), certified.signing_key.serialize_pem());
    let server = TlsServer::builder().identity(TlsIdentity::from_pem(&chain, &key)).build()?;
    let client = TlsClient::builder().ca_pem(&chain).build()?.server_name("localhost");

    MemoryNetwork::new().event_loop().run(async |event_loop| {
        let lines = Rc::new(RefCell::new(Vec::new()));
        let log = || {
            let writing = Rc::clone(&lines);
            Log::new(move |line| writing.borrow_mut().push(line.to_owned()))
        };
        let has = |text: &str| lines.borrow().iter().any(|line| line.ends_with(text));

        let (serving, tap) = (event_loop.clone(), Rc::new(log()));
        let factory = move |_: &_| Ok(tapped(&serving, Echo::default(), Rc::clone(&tap))?.1);
        event_loop.create_server(with_info(factory), ADDRESS).tls(server.clone()).await?;
        let (mut reader, writer) = event_loop.open_connection(ADDRESS).tls(client.clone()).await?;
        writer.write(b"plain");
        assert_eq!(reader.read_exactly(13).await?, b"welcome;plain");
        assert!(has("< 5 bytes \"plain\"") && has("> 5 bytes \"plain\""), "{lines:?}");

        lines.borrow_mut().clear();
        let (serving, tap, to) = (event_loop.clone(), Rc::new(log()), server);
        let factory =
            move |_: &_| Ok(tapped(&serving, Upgrade { to: to.clone() }, Rc::clone(&tap))?.1);
        event_loop.create_server(with_info(factory), "10.0.0.2:7").await?;
        let (reader, writer) = event_loop.open_connection("10.0.0.2:7").await?;
        let mut stream = ByteStream::join(reader, writer);
        stream.writer().write(b"STARTTLS");
        assert_eq!(stream.reader().read_exactly(5).await?, b"go on");
        stream.start_tls(client).await?;
        stream.writer().write(b"cipher");
        assert_eq!(stream.reader().read_exactly(6).await?, b"cipher");
        assert!(has("< 8 bytes \"STARTTLS\"") && has("> 5 bytes \"go on\""), "{lines:?}");
        assert!(!lines.borrow().iter().any(|line| line.contains("cipher")), "{lines:?}");
        Ok(())
    })
}

#[test]
fn what_gets_no_connection_is_closed() -> Result {
    MemoryNetwork::new().event_loop().run(async |event_loop| {
        let (near, outside): (Connection<Echo>, _) =
            tapped(&event_loop, Echo::default(), Rc::new(Counters::default()))?;
        let refused = event_loop.create_connection(move || outside, "10.9.9.9:1").await;
        assert!(refused.is_err());
        // However that is told.
        let _ = near.wait_closed().await;
        Ok(())
    })
}

/// A writer that others can look at, and that fails when it is full.
#[derive(Clone, Default)]
struct File(Rc<RefCell<Vec<u8>>>);

impl io::Write for File {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        if self.0.borrow().len() > 300_000 {
            return Err(io::Error::other("full"));
        }
        self.0.borrow_mut().extend_from_slice(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn packets_of_a_capture() -> Result {
    MemoryNetwork::new().event_loop().run(async |event_loop| {
        let file = File::default();
        let date = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let pcap = Rc::new(Pcap::new(file.clone())?.date(date));
        serve(&event_loop, Rc::clone(&pcap)).await?;
        let (mut reader, writer) = event_loop.open_connection(ADDRESS).await?;
        wharf::sleep(Duration::from_secs(5)).await;
        writer.write(b"hello");
        assert_eq!(reader.read_exactly(13).await?, b"welcome;hello");
        writer.write_eof();
        reader.read_to_end(100).await?;
        wharf::sleep(Duration::from_secs(1)).await;

        let bytes = file.0.borrow().clone();
        let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        assert_eq!((word(0), word(20)), (0xa1b2_3c4d, 101));
        let (mut at, mut packets) = (24, Vec::new());
        while at < bytes.len() {
            let length = word(at + 8) as usize;
            let packet = &bytes[at + 16..at + 16 + length];
            assert_eq!(packet[0], 0x45);
            assert_eq!(usize::from(u16::from_be_bytes([packet[2], packet[3]])), length);
            let sum: u32 = packet[..20]
                .chunks(2)
                .map(|word| u32::from(word[0]) << 8 | u32::from(word[1]))
                .sum();
            assert_eq!((sum & 0xffff) + (sum >> 16), 0xffff, "the head's checksum");
            let source = u16::from_be_bytes([packet[20], packet[21]]);
            packets.push((word(at), source == 7, packet[33], packet[40..].to_vec()));
            at += 16 + length;
        }
        assert_eq!(at, bytes.len());
        let data: Vec<_> = packets.iter().filter(|packet| !packet.3.is_empty()).cloned().collect();
        assert_eq!(
            data,
            [
                (1_700_000_000, true, 0x18, b"welcome;".to_vec()),
                (1_700_000_005, false, 0x18, b"hello".to_vec()),
                (1_700_000_005, true, 0x18, b"hello".to_vec()),
                (1_700_000_005, true, 0x18, b";bye".to_vec()),
            ]
        );
        assert_eq!((packets[0].2, packets[1].2, packets.last().unwrap().2), (0x02, 0x12, 0x11));

        // Long parts are several packets, and a full disk is told.
        let (mut reader, writer) = event_loop.open_connection(ADDRESS).await?;
        let sent = 400_000;
        writer.write(&vec![0; sent]);
        reader.read_exactly(sent + 8).await?;
        assert!(pcap.error().is_some());
        Ok(())
    })
}

/// Takes the head of a file, and fails once.
struct Failing(Rc<Cell<u32>>);

impl io::Write for Failing {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.0.set(self.0.get() + 1);
        if self.0.get() == 3 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(data.len()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn nothing_is_written_behind_the_first_error() -> Result {
    MemoryNetwork::new().event_loop().run(async |event_loop| {
        let writes = Rc::new(Cell::new(0));
        let pcap = Rc::new(Pcap::new(Failing(Rc::clone(&writes)))?);
        serve(&event_loop, Rc::clone(&pcap)).await?;
        let (mut reader, writer) = event_loop.open_connection(ADDRESS).await?;
        reader.read_exactly(8).await?;
        assert_eq!(pcap.error().map(|error| error.kind()), Some(io::ErrorKind::StorageFull));
        writer.write(b"hello");
        reader.read_exactly(5).await?;
        assert!(pcap.error().is_none(), "it is given once");
        assert_eq!(writes.get(), 3);
        Ok(())
    })
}
