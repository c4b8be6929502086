//! Opening datagram endpoints, and what is of the operating system's sockets alone.

use std::cell::Cell;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::rc::Rc;
use std::time::Duration;

use wharf::testing::advance;
use wharf::{
    Address, DatagramEndpointBuilder, DatagramProtocol, DatagramTransport, Datagrams, Endpoint,
    Error, EventLoop, MulticastInterface, Result,
};

use crate::datagram_probe::{Event, Log, Probe};
use crate::loops::{memory_loop, network, settle, system_loop};
use crate::needs::ipv6;
use crate::running::run_until;
use crate::sockets::uninterrupted;

fn open<P: DatagramProtocol>(
    event_loop: &EventLoop,
    builder: DatagramEndpointBuilder<P>,
) -> std::result::Result<Endpoint<P>, Error> {
    event_loop.run_until_complete(builder.start()).unwrap()
}

fn builder(event_loop: &EventLoop, log: &Log) -> DatagramEndpointBuilder<Probe> {
    let probe = Probe::new(log);
    event_loop.create_datagram_endpoint(|| probe)
}

fn refused(event_loop: &EventLoop, of: DatagramEndpointBuilder<Probe>) -> Error {
    let error = open(event_loop, of).unwrap_err();
    assert_eq!(event_loop.statistics().sources, 0, "nothing is left of {error}");
    error
}

// 149.
#[test]
fn adopted_connected_socket_sends_to_its_peer_alone() {
    let event_loop = system_loop();
    let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
    peer.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(peer.local_addr().unwrap()).unwrap();
    let log = Log::default();
    let endpoint = open(&event_loop, builder(&event_loop, &log).socket(socket)).unwrap();
    let other = Address::Ip("127.0.0.1:9".parse().unwrap());
    assert!(endpoint.handle().send_to(b"x", &other).unwrap_err().is_invalid());
    endpoint.handle().send(b"hello").unwrap();
    settle(&event_loop).unwrap();
    let (len, from) = uninterrupted(|| peer.recv_from(&mut [0; 100])).unwrap();
    assert_eq!((len, Address::Ip(from)), (5, endpoint.local_address().unwrap()));
}

// 149.
#[test]
fn adopted_pair_of_unix_sockets_needs_no_names() {
    let event_loop = system_loop();
    let (near, far) = UnixDatagram::pair().unwrap();
    far.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let log = Log::default();
    let endpoint = open(&event_loop, builder(&event_loop, &log).socket(near)).unwrap();
    endpoint.handle().send(b"hello").unwrap();
    settle(&event_loop).unwrap();
    assert_eq!(uninterrupted(|| far.recv(&mut [0; 100])).unwrap(), 5);
    far.send(b"answer").unwrap();
    run_until(&event_loop, "the answer", || log.received() == [b"answer"]);
    assert_eq!(log.senders()[0].to_string(), "unix:(unnamed)");
}

#[test]
fn endpoints_of_both_families_on_one_loop_tell_who_sent() {
    if !ipv6() {
        return;
    }
    let event_loop = system_loop();
    let endpoints = ["127.0.0.1:0", "[::1]:0"].map(|local| {
        let log = Log::default();
        let endpoint = open(&event_loop, builder(&event_loop, &log).local_address(local)).unwrap();
        let to = endpoint.local_address().unwrap().as_ip().unwrap();
        (UdpSocket::bind(local).unwrap(), to, log, endpoint)
    });
    // From one to more than are received at once, in turn.
    for (round, count) in [1, 100, 3, 20, 9].into_iter().enumerate() {
        for (socket, to, log, _) in &endpoints {
            let before = log.received().len();
            for _ in 0..count {
                socket.send_to(&[round as u8], to).unwrap();
            }
            run_until(&event_loop, "the datagrams", || log.received().len() == before + count);
        }
    }
    for (socket, _, log, _) in &endpoints {
        let from = Address::Ip(socket.local_addr().unwrap());
        assert!(log.senders().iter().all(|sender| *sender == from), "{:?}", log.senders());
        let rounds: Vec<u8> = log.received().iter().map(|data| data[0]).collect();
        assert!(rounds.is_sorted() && rounds.len() == 133);
    }
}

// 151.
#[test]
fn datagram_that_cannot_be_sent_is_dropped_and_the_rest_is_sent() {
    check_datagram_that_cannot_be_sent(&system_loop());
    check_datagram_that_cannot_be_sent(&memory_loop());
}

fn check_datagram_that_cannot_be_sent(event_loop: &EventLoop) {
    let folder = std::env::temp_dir();
    let at = |name: &str| folder.join(format!("wharf-151-{name}-{}", std::process::id()));
    let (log, receiver_log) = (Log::default(), Log::default());
    let sender = open(event_loop, builder(event_loop, &log).local_unix_address(at("a"))).unwrap();
    let receiver =
        open(event_loop, builder(event_loop, &receiver_log).local_unix_address(at("b"))).unwrap();
    let to = receiver.handle().local_address().unwrap();
    let nowhere = Address::Unix(wharf::UnixAddress::from_path(at("nowhere")));
    let too_large = vec![0; 16 * 1024 * 1024];
    let many: [(&[u8], &Address); 5] =
        [(b"1", &to), (b"2", &nowhere), (b"3", &to), (&too_large, &to), (b"4", &to)];
    sender.handle().set_queue_limit(usize::MAX, wharf::DropPolicy::Refuse);
    sender.handle().send_many_to(&many).unwrap();
    run_until(event_loop, "the rest", || receiver_log.received().len() == 3);
    assert_eq!(receiver_log.received(), [b"1", b"3", b"4"]);
    assert_eq!(log.errors(), 2);
    assert!(log.events().contains(&Event::Error(Some(ErrorKind::NotFound))));
    let statistics = sender.handle().statistics();
    assert_eq!((statistics.sent, statistics.send_errors), (3, 2));
}

// 156.
#[test]
fn socket_excludes_other_options_and_must_be_for_datagrams() {
    let event_loop = system_loop();
    let log = Log::default();
    let socket = || UdpSocket::bind("127.0.0.1:0").unwrap();
    let make = || builder(&event_loop, &log).socket(socket());
    for wrong in [
        make().local_address("127.0.0.1:0"),
        make().peer_address("127.0.0.1:1"),
        make().local_unix_address("/tmp/x"),
        make().reuse_port(true),
        make().only_v6(true),
    ] {
        assert!(refused(&event_loop, wrong).is_invalid());
    }
    let stream: OwnedFd = std::net::TcpListener::bind("127.0.0.1:0").unwrap().into();
    let error = refused(&event_loop, builder(&event_loop, &log).socket(stream));
    assert!(error.is_invalid() && format!("{error:#}").contains("datagram socket"), "{error}");
    let memory = memory_loop();
    let error = refused(&memory, builder(&memory, &log).socket(socket()));
    assert!(error.is_unsupported());
    assert!(log.events().is_empty());
}

// 157.
#[test]
fn endpoint_without_addresses_or_of_two_families_is_refused() {
    let event_loop = system_loop();
    let make = || builder(&event_loop, &Log::default());
    for wrong in [
        make(),
        make().local_address("127.0.0.1:0").peer_address("[::1]:1"),
        make().local_address("127.0.0.1:0").peer_unix_address("/tmp/x"),
        make().local_address("no port"),
        make().peer_address(":7"),
    ] {
        assert!(refused(&event_loop, wrong).is_invalid());
    }
    if !ipv6() {
        return;
    }
    // Of several the ones that fit together are taken.
    let both = make().local_address(["127.0.0.1:0", "[::1]:0"]).peer_address("[::1]:9");
    let endpoint = open(&event_loop, both).unwrap();
    assert!(endpoint.handle().local_address().unwrap().ip().unwrap().is_ipv6());
}

// 158.
#[test]
fn first_error_is_told_and_nothing_is_left_when_no_address_can_be_bound() {
    let event_loop = system_loop();
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let make = || builder(&event_loop, &Log::default());
    let error =
        refused(&event_loop, make().local_address([address, "192.0.2.1:0".parse().unwrap()]));
    assert_eq!(error.io_kind(), Some(ErrorKind::AddrInUse));
    assert!(format!("{error:#}").contains(&address.to_string()), "{error}");
    let endpoint =
        open(&event_loop, make().local_address([address, "127.0.0.1:0".parse().unwrap()]));
    assert_ne!(endpoint.unwrap().local_address().unwrap(), address);
}

// 159.
#[test]
fn broadcast_endpoint_is_not_connected_and_remembers_where_to_send() {
    let event_loop = system_loop();
    let log = Log::default();
    let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
    receiver.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let to = receiver.local_addr().unwrap();
    let made =
        builder(&event_loop, &log).peer_address(to).local_address("127.0.0.1:0").broadcast(true);
    let endpoint = open(&event_loop, made).unwrap();
    endpoint.handle().send(b"all").unwrap();
    settle(&event_loop).unwrap();
    assert_eq!(uninterrupted(|| receiver.recv(&mut [0; 10])).unwrap(), 3);
    // Anybody may answer.
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    let own = endpoint.handle().local_address().unwrap().as_ip().unwrap();
    stranger.send_to(b"hello", own).unwrap();
    run_until(&event_loop, "the answer", || log.received() == [b"hello"]);
}

// 159.
#[test]
fn broadcast_reaches_everybody_on_the_network_if_it_is_allowed() {
    let event_loop = memory_loop();
    let logs = [(); 3].map(|()| Log::default());
    let endpoints = [1, 2, 3].map(|host| {
        let made = builder(&event_loop, &logs[host - 1]).local_address(format!("192.0.2.{host}:7"));
        open(&event_loop, made).unwrap()
    });
    let all = Address::Ip("255.255.255.255:7".parse().unwrap());
    endpoints[0].handle().send_to(b"no", &all).unwrap();
    settle(&event_loop).unwrap();
    assert_eq!(logs[0].errors(), 1, "as on a kernel it has to be allowed");
    endpoints[0].handle().set_broadcast(true).unwrap();
    endpoints[0].handle().send_to(b"yes", &all).unwrap();
    settle(&event_loop).unwrap();
    assert!(logs.iter().all(|log| log.received() == [b"yes"]));
}

// 160.
#[test]
fn reuse_port_shares_a_port_and_nothing_else_does() {
    let event_loop = system_loop();
    let make = || builder(&event_loop, &Log::default());
    let first = open(&event_loop, make().local_address("127.0.0.1:0").reuse_port(true)).unwrap();
    let address = first.handle().local_address().unwrap();
    open(&event_loop, make().local_address(address.clone()).reuse_port(true)).unwrap();
    let error = open(&event_loop, make().local_address(address)).unwrap_err();
    assert_eq!(error.io_kind(), Some(ErrorKind::AddrInUse));
}

#[test]
fn members_of_a_multicast_group_receive_what_is_sent_to_it() {
    let event_loop = system_loop();
    let group = IpAddr::V4(Ipv4Addr::new(239, 255, 77, 66));
    let interface = MulticastInterface::Address(Ipv4Addr::LOCALHOST);
    let log = Log::default();
    let member = open(&event_loop, builder(&event_loop, &log).local_address("0.0.0.0:0")).unwrap();
    member.handle().join_multicast(group, interface).unwrap();
    let port = member.handle().local_address().unwrap().port().unwrap();
    let sender =
        open(&event_loop, builder(&event_loop, &Log::default()).local_address("127.0.0.1:0"))
            .unwrap();
    sender.handle().set_multicast_interface(interface).unwrap();
    sender.handle().set_multicast_ttl(1).unwrap();
    sender.handle().set_multicast_loop(true).unwrap();
    let to = Address::Ip((group, port).into());
    sender.handle().send_to(b"hello", &to).unwrap();
    run_until(&event_loop, "the datagram", || log.received() == [b"hello"]);
    member.handle().leave_multicast(group, interface).unwrap();
    let again = member.handle().leave_multicast(group, interface);
    assert_eq!(again.unwrap_err().io_kind(), Some(ErrorKind::AddrNotAvailable));
    let no_group = IpAddr::V4(Ipv4Addr::LOCALHOST);
    assert!(member.handle().join_multicast(no_group, interface).unwrap_err().is_invalid());
    let other_family: IpAddr = "ff02::1".parse().unwrap();
    assert!(member.handle().join_multicast(other_family, interface).unwrap_err().is_invalid());
}

#[test]
fn multicast_works_in_memory_with_its_loop_option() {
    let event_loop = memory_loop();
    let group: IpAddr = "239.1.2.3".parse().unwrap();
    let logs = [(); 3].map(|()| Log::default());
    let endpoints = [1, 2, 3].map(|host| {
        let made = builder(&event_loop, &logs[host - 1]).local_address(format!("192.0.2.{host}:7"));
        open(&event_loop, made).unwrap()
    });
    for member in &endpoints[..2] {
        member.handle().join_multicast(group, MulticastInterface::Any).unwrap();
    }
    let to = Address::Ip((group, 7).into());
    endpoints[0].handle().send_to(b"1", &to).unwrap();
    settle(&event_loop).unwrap();
    endpoints[0].handle().set_multicast_loop(false).unwrap();
    endpoints[0].handle().send_to(b"2", &to).unwrap();
    settle(&event_loop).unwrap();
    assert_eq!(logs[0].received(), [b"1"]);
    assert_eq!(logs[1].received(), [b"1", b"2"]);
    assert!(logs[2].received().is_empty());
}

/// What a batch says of the last datagram in it.
#[derive(Default)]
struct Last(Rc<Cell<Option<Seen>>>);

/// The destination, the interface, whether it was cut, and the size.
type Seen = (Option<IpAddr>, Option<u32>, bool, usize);

impl DatagramProtocol for Last {
    fn datagram_received(&mut self, _: &dyn DatagramTransport, _: &[u8], _: &Address) -> Result {
        Ok(())
    }

    fn datagrams_received(
        &mut self,
        _: &dyn DatagramTransport,
        batch: &mut Datagrams<'_>,
    ) -> Result {
        for datagram in batch {
            let size = datagram.data.len();
            let what = (datagram.to, datagram.interface, datagram.truncated, size);
            self.0.set(Some(what));
        }
        Ok(())
    }
}

#[cfg(feature = "udp-batch")]
#[test]
fn offload_tells_where_a_datagram_was_sent_to_and_on_which_interface() {
    let event_loop = system_loop();
    let last = Last::default();
    let seen = Rc::clone(&last.0);
    let made =
        event_loop.create_datagram_endpoint(|| last).local_address("0.0.0.0:0").offload(true);
    let endpoint = open(&event_loop, made).unwrap();
    let port = endpoint.handle().local_address().unwrap().port().unwrap();
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    sender.send_to(b"x", ("127.0.0.9", port)).unwrap();
    run_until(&event_loop, "the datagram", || seen.get().is_some());
    let (to, interface, truncated, size) = seen.take().unwrap();
    assert_eq!((to, truncated, size), (Some("127.0.0.9".parse().unwrap()), false, 1));
    assert!(interface.is_some_and(|interface| interface > 0));
}

#[test]
fn datagram_longer_than_the_buffer_is_marked_as_cut() {
    let event_loop = system_loop();
    let (near, far) = UnixDatagram::pair().unwrap();
    socket2::SockRef::from(&far).set_send_buffer_size(1 << 20).unwrap();
    let last = Last::default();
    let seen = Rc::clone(&last.0);
    let made = event_loop.create_datagram_endpoint(|| last).socket(near);
    let endpoint = open(&event_loop, made).unwrap();
    far.send(&vec![1; 300 * 1024]).unwrap();
    run_until(&event_loop, "the datagram", || seen.get().is_some());
    assert_eq!(seen.take().unwrap(), (None, None, true, 256 * 1024));
    assert_eq!(endpoint.handle().statistics().truncated, 1);
}

#[test]
fn paths_of_unix_endpoints_are_taken_over_when_stale_and_removed_at_the_end() {
    let event_loop = system_loop();
    let path = std::env::temp_dir().join(format!("wharf-datagram-path-{}", std::process::id()));
    drop(UnixDatagram::bind(&path).unwrap());
    assert!(path.exists(), "it is stale");
    let log = Log::default();
    let endpoint = open(&event_loop, builder(&event_loop, &log).local_unix_address(&path)).unwrap();
    let error =
        open(&event_loop, builder(&event_loop, &log).local_unix_address(&path)).unwrap_err();
    assert_eq!(error.io_kind(), Some(ErrorKind::AddrInUse), "it is not stale");
    endpoint.handle().close();
    run_until(&event_loop, "the end", || log.lost() == 1);
    settle(&event_loop).unwrap();
    assert!(!path.exists());
}

#[cfg(linux_kernel)]
#[test]
fn unix_endpoints_have_abstract_names_too() {
    for event_loop in [system_loop(), memory_loop()] {
        let name = format!("\0wharf-datagram-{}", std::process::id());
        let log = Log::default();
        let receiver =
            open(&event_loop, builder(&event_loop, &log).local_unix_address(&name)).unwrap();
        let address = receiver.handle().local_address().unwrap();
        assert_eq!(address.to_string(), format!("unix:@{}", &name[1..]));
        let made = builder(&event_loop, &Log::default()).peer_unix_address(&name);
        open(&event_loop, made).unwrap().handle().send(b"hello").unwrap();
        run_until(&event_loop, "the datagram", || log.received() == [b"hello"]);
    }
}

#[test]
fn names_of_hosts_are_resolved_for_endpoints() {
    let event_loop = system_loop();
    let log = Log::default();
    let server =
        open(&event_loop, builder(&event_loop, &log).local_address("localhost:0")).unwrap();
    let port = server.handle().local_address().unwrap().port().unwrap();
    let made = builder(&event_loop, &Log::default()).peer_address(("localhost", port));
    let client = open(&event_loop, made).unwrap();
    client.handle().send(b"hello").unwrap();
    run_until(&event_loop, "the datagram", || log.received() == [b"hello"]);
}

#[test]
fn dead_unix_receiver_is_given_up_by_a_close_after_thirty_seconds() {
    let network = network().datagram_capacity(100);
    let event_loop = network.event_loop();
    let (log, sender_log) = (Log::default(), Log::default());
    let receiver = open(&event_loop, builder(&event_loop, &log).local_unix_address("/r")).unwrap();
    receiver.handle().pause_reading();
    let sender =
        open(&event_loop, builder(&event_loop, &sender_log).peer_unix_address("/r")).unwrap();
    for _ in 0..3 {
        sender.handle().send(&[0; 80]).unwrap();
    }
    sender.handle().close();
    advance(&event_loop, Duration::from_millis(29_900)).unwrap();
    assert_eq!(sender_log.lost(), 0);
    advance(&event_loop, Duration::from_millis(200)).unwrap();
    assert_eq!(sender_log.lost(), 1);
    assert!(matches!(sender_log.events().last(), Some(Event::Lost(Some(_)))));
}
