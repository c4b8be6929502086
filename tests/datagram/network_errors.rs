//! What the network says to a datagram, and whose error that is.

use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use wharf::testing::settle;
use wharf::{Address, DatagramTransport, Endpoint, EventLoop};

use crate::datagram_probe::{Event, Log, Probe};
use crate::needs;
use crate::network::{Icmp, in_network_of_its_own, ip};
use crate::running::{rest, run_until};
use crate::sockets::{find_bound, uninterrupted};

/// What ICMP tells a connected socket for good, and as what (`icmp_err_convert` in the kernel).
const ICMP: [(Icmp, Errno); 9] = [
    (Icmp::new(3, 2), Errno::NOPROTOOPT),
    (Icmp::new(3, 3), Errno::CONNREFUSED),
    (Icmp { kind: 3, code: 4, info: 1400 }, Errno::MSGSIZE),
    (Icmp::new(3, 6), Errno::NETUNREACH),
    (Icmp::new(3, 7), Errno::HOSTDOWN),
    (Icmp::new(3, 9), Errno::NETUNREACH),
    (Icmp::new(3, 10), Errno::HOSTUNREACH),
    (Icmp::new(3, 13), Errno::HOSTUNREACH),
    (Icmp::new(12, 0), Errno::PROTO),
];

const ICMPV6: [(Icmp, Errno); 5] = [
    (Icmp::new(1, 1), Errno::ACCESS),
    (Icmp::new(1, 4), Errno::CONNREFUSED),
    (Icmp::new(1, 5), Errno::ACCESS),
    (Icmp { kind: 2, code: 0, info: 1400 }, Errno::MSGSIZE),
    (Icmp::new(4, 0), Errno::PROTO),
];

/// How an endpoint comes to its socket.
#[derive(Clone, Copy, Debug)]
enum Opened {
    Plain,
    Offload,
    Adopted,
}

const OPENED: [Opened; 3] = [Opened::Plain, Opened::Offload, Opened::Adopted];

/// How several datagrams are sent.
#[derive(Clone, Copy, Debug)]
enum Way {
    One,
    Different,
    Alike,
    Segments,
    Elsewhere,
}

const WAYS: [Way; 5] = [Way::One, Way::Different, Way::Alike, Way::Segments, Way::Elsewhere];

impl Way {
    fn datagrams(self) -> Vec<Vec<u8>> {
        match self {
            Self::One => vec![b"one".to_vec()],
            Self::Different | Self::Elsewhere => (1..=5).map(|len| vec![len as u8; len]).collect(),
            Self::Alike | Self::Segments => (1..=5).map(|number| vec![number; 100]).collect(),
        }
    }

    fn send(self, endpoint: &Endpoint<Probe>) {
        let datagrams = self.datagrams();
        let send = |transport: &dyn DatagramTransport| {
            for data in &datagrams {
                transport.send(data).unwrap();
            }
        };
        match self {
            Self::Elsewhere => send(endpoint.handle()),
            Self::Segments => endpoint
                .with(|_, transport| drop(transport.send_segments(&datagrams.concat(), 100, None)))
                .unwrap(),
            _ => endpoint.with(|_, transport| send(transport)).unwrap(),
        }
    }
}

fn peer(ip: &str) -> UdpSocket {
    let peer = UdpSocket::bind((ip, 0)).unwrap();
    peer.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    peer
}

fn receive(peer: &UdpSocket) -> Vec<u8> {
    let mut buffer = [0; 65_536];
    let len = uninterrupted(|| peer.recv(&mut buffer)).unwrap();
    buffer[..len].to_vec()
}

fn connected(event_loop: &EventLoop, log: &Log, opened: Opened, to: SocketAddr) -> Endpoint<Probe> {
    // Its own address stays when there is no way to the peer any more.
    let own: &str = if to.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" };
    let probe = Probe::new(log);
    let builder = event_loop.create_datagram_endpoint(|| probe);
    let builder = match opened {
        Opened::Plain => builder.local_address(own).peer_address(to),
        Opened::Offload => {
            builder.local_address(own).peer_address(to).offload(cfg!(feature = "udp-batch"))
        }
        Opened::Adopted => {
            let socket = UdpSocket::bind(own).unwrap();
            socket.connect(to).unwrap();
            builder.socket(socket)
        }
    };
    event_loop.run_until_complete(builder.start()).unwrap().unwrap()
}

fn local(endpoint: &Endpoint<Probe>) -> SocketAddr {
    endpoint.local_address().unwrap().as_ip().unwrap()
}

/// Sends an ICMP message to the endpoint about a datagram to `to`, and waits until its socket has it.
fn provoke(icmp: Icmp, endpoint: &Endpoint<Probe>, to: SocketAddr) {
    let own = local(endpoint);
    let socket = find_bound(&own.into()).expect("the endpoint's socket");
    icmp.send(own, to);
    let mut polled = [PollFd::new(&socket, PollFlags::ERR)];
    let patience = Timespec { tv_sec: 10, tv_nsec: 0 };
    assert_eq!(poll(&mut polled, Some(&patience)).unwrap(), 1, "{icmp:?} had no effect");
}

fn told(error: Errno) -> Event {
    Event::Error(Some(std::io::Error::from(error).kind()))
}

fn each_error(check: impl Fn(Icmp, Errno, &str)) {
    for (icmp, error) in ICMP {
        check(icmp, error, "127.0.0.1");
    }
    if needs::ipv6() {
        for (icmp, error) in ICMPV6 {
            check(icmp, error, "::1");
        }
    }
}

// 141.
#[test]
fn error_of_an_earlier_datagram_takes_no_other_with_it() {
    let name = "network_errors::error_of_an_earlier_datagram_takes_no_other_with_it";
    in_network_of_its_own(name, || {
        let event_loop = EventLoop::new().unwrap();
        each_error(|icmp, error, ip| {
            for opened in OPENED {
                for way in WAYS {
                    let what = format!("{icmp:?} {opened:?} {way:?}");
                    let peer = peer(ip);
                    let to = peer.local_addr().unwrap();
                    let log = Log::default();
                    let endpoint = connected(&event_loop, &log, opened, to);
                    provoke(icmp, &endpoint, to);
                    way.send(&endpoint);
                    settle(&event_loop).unwrap();
                    for expected in way.datagrams() {
                        assert_eq!(receive(&peer), expected, "{what}");
                    }
                    run_until(&event_loop, "the error", || log.errors() > 0);
                    rest(&event_loop);
                    assert_eq!(log.events(), [Event::Made, told(error)], "{what}");
                    let statistics = endpoint.handle().statistics();
                    assert_eq!(statistics.sent, way.datagrams().len() as u64, "{what}");
                    let errors = (statistics.send_errors, statistics.errors_received);
                    assert_eq!(errors, (0, 1), "{what}");
                    peer.set_nonblocking(true).unwrap();
                    let more = peer.recv(&mut [0; 10]).unwrap_err();
                    assert_eq!(more.kind(), ErrorKind::WouldBlock, "nothing came twice: {what}");
                    endpoint.handle().abort();
                    rest(&event_loop);
                }
            }
        });
    });
}

// 141.
#[test]
fn error_on_the_way_in_stops_nothing() {
    let name = "network_errors::error_on_the_way_in_stops_nothing";
    in_network_of_its_own(name, || {
        let event_loop = EventLoop::new().unwrap();
        each_error(|icmp, error, ip| {
            for opened in OPENED {
                let what = format!("{icmp:?} {opened:?}");
                let peer = peer(ip);
                let to = peer.local_addr().unwrap();
                let log = Log::default();
                let endpoint = connected(&event_loop, &log, opened, to);
                for round in 0..3 {
                    peer.send_to(&[round], local(&endpoint)).unwrap();
                    provoke(icmp, &endpoint, to);
                    peer.send_to(&[round], local(&endpoint)).unwrap();
                    let count = usize::from(round) + 1;
                    run_until(&event_loop, "all", || {
                        log.received().len() == 2 * count && log.errors() == count
                    });
                }
                assert_eq!(log.count(|event| *event == told(error)), 3, "{what}");
                assert_eq!(endpoint.handle().statistics().errors_received, 3, "{what}");
                assert!(endpoint.handle().is_reading(), "{what}");
                endpoint.handle().abort();
                rest(&event_loop);
            }
        });
    });
}

/// With `IP_RECVERR` a socket hears also what is not final, and one without a peer hears of all whom
/// it sends to.
#[cfg(all(feature = "udp-batch", target_os = "linux"))]
#[test]
fn socket_that_hears_of_all_errors_loses_no_datagram() {
    use nix::sys::socket::{setsockopt, sockopt};
    let name = "network_errors::socket_that_hears_of_all_errors_loses_no_datagram";
    in_network_of_its_own(name, || {
        let event_loop = EventLoop::new().unwrap();
        let lasting = ICMP.map(|(icmp, error)| (icmp, error, "127.0.0.1"));
        let passing = [
            (Icmp::new(3, 0), Errno::NETUNREACH, "127.0.0.1"),
            (Icmp::new(3, 1), Errno::HOSTUNREACH, "127.0.0.1"),
            (Icmp::new(1, 0), Errno::NETUNREACH, "::1"),
            (Icmp::new(1, 3), Errno::HOSTUNREACH, "::1"),
        ];
        let has_ipv6 = needs::ipv6();
        for (icmp, error, ip) in lasting.into_iter().chain(passing) {
            if ip == "::1" && !has_ipv6 {
                continue;
            }
            let socket = UdpSocket::bind((ip, 0)).unwrap();
            if ip == "::1" {
                setsockopt(&socket, sockopt::Ipv6RecvErr, &true).unwrap();
            } else {
                setsockopt(&socket, sockopt::Ipv4RecvErr, &true).unwrap();
            }
            let log = Log::default();
            let probe = Probe::new(&log);
            let builder = event_loop.create_datagram_endpoint(|| probe).socket(socket);
            let endpoint = event_loop.run_until_complete(builder.start()).unwrap().unwrap();
            let (gone, peer) = (peer(ip), peer(ip));
            let to = Address::Ip(peer.local_addr().unwrap());
            provoke(icmp, &endpoint, gone.local_addr().unwrap());
            endpoint
                .with(|_, transport| {
                    for _ in 0..3 {
                        transport.send_to(b"hello", &to).unwrap();
                    }
                })
                .unwrap();
            for _ in 0..3 {
                assert_eq!(receive(&peer), b"hello", "{icmp:?}");
            }
            run_until(&event_loop, "the error", || log.errors() > 0);
            rest(&event_loop);
            assert_eq!(log.events(), [Event::Made, told(error)], "{icmp:?}");
            assert_eq!(endpoint.handle().statistics().send_errors, 0, "{icmp:?}");
            endpoint.handle().abort();
            rest(&event_loop);
        }
    });
}

// 151.
#[test]
fn error_that_repeats_is_each_datagrams_own() {
    let name = "network_errors::error_that_repeats_is_each_datagrams_own";
    in_network_of_its_own(name, || {
        let event_loop = EventLoop::new().unwrap();
        let routes = [
            ("prohibit", Errno::ACCESS),
            ("unreachable", Errno::HOSTUNREACH),
            ("blackhole", Errno::INVAL),
        ];
        for (route, error) in routes {
            for opened in OPENED {
                for way in WAYS {
                    let what = format!("{route} {opened:?} {way:?}");
                    let peer = peer("127.9.0.2");
                    let log = Log::default();
                    let to = peer.local_addr().unwrap();
                    let endpoint = connected(&event_loop, &log, opened, to);
                    ip(&format!("route add {route} 127.9.0.2/32 table local"));
                    way.send(&endpoint);
                    settle(&event_loop).unwrap();
                    let count = way.datagrams().len();
                    run_until(&event_loop, "the errors", || log.errors() >= count);
                    rest(&event_loop);
                    let statistics = endpoint.handle().statistics();
                    let errors = (statistics.send_errors, statistics.errors_received);
                    assert_eq!(errors, (count as u64, 0), "{what}");
                    assert_eq!(log.count(|event| *event == told(error)), count, "{what}");
                    ip(&format!("route del {route} 127.9.0.2/32 table local"));
                    way.send(&endpoint);
                    settle(&event_loop).unwrap();
                    for expected in way.datagrams() {
                        assert_eq!(receive(&peer), expected, "{what}");
                    }
                    endpoint.handle().abort();
                    rest(&event_loop);
                }
            }
        }
    });
}

// 151.
#[test]
fn one_bad_destination_is_no_harm_to_the_others() {
    let name = "network_errors::one_bad_destination_is_no_harm_to_the_others";
    in_network_of_its_own(name, || {
        ip("route add prohibit 10.9.0.2/32");
        ip("route add blackhole 10.9.0.3/32");
        let event_loop = EventLoop::new().unwrap();
        let log = Log::default();
        let probe = Probe::new(&log);
        let builder = event_loop.create_datagram_endpoint(|| probe).local_address("0.0.0.0:0");
        let endpoint = event_loop.run_until_complete(builder.start()).unwrap().unwrap();
        let peer = peer("127.0.0.1");
        let good = Address::Ip(peer.local_addr().unwrap());
        // To all is not allowed unless it is asked for; there is no route to the last.
        let bad = ["255.255.255.255:9", "10.9.0.2:9", "10.9.0.3:9", "192.0.2.1:9"]
            .map(|to| Address::Ip(to.parse().unwrap()));
        endpoint
            .with(|_, transport| {
                for (number, to) in bad.iter().enumerate() {
                    for _ in 0..2 {
                        transport.send_to(b"bad", to).unwrap();
                    }
                    transport.send_to(&[number as u8], &good).unwrap();
                }
            })
            .unwrap();
        for number in 0..4 {
            assert_eq!(receive(&peer), [number]);
        }
        run_until(&event_loop, "the errors", || log.errors() == 8);
        let statistics = endpoint.handle().statistics();
        let counts = (statistics.sent, statistics.send_errors, statistics.errors_received);
        assert_eq!(counts, (4, 8, 0));
    });
}

/// A Unix peer that connects elsewhere lets go of what it has not read, and says so to its sender.
#[test]
fn unix_peer_that_turns_away_is_told_and_nothing_more_is_lost() {
    use std::os::unix::net::UnixDatagram;
    let event_loop = EventLoop::new().unwrap();
    let at = |name: &str| {
        std::env::temp_dir().join(format!("wharf-turns-{name}-{}", std::process::id()))
    };
    let peer = UnixDatagram::bind(at("peer")).unwrap();
    let log = Log::default();
    let probe = Probe::new(&log);
    let builder = event_loop.create_datagram_endpoint(|| probe);
    let builder = builder.local_unix_address(at("own")).peer_unix_address(at("peer"));
    let endpoint = event_loop.run_until_complete(builder.start()).unwrap().unwrap();
    peer.connect(at("own")).unwrap();
    endpoint.with(|_, transport| transport.send(b"never read").unwrap()).unwrap();
    rustix::net::connect_unspec(&peer).unwrap();
    endpoint.with(|_, transport| transport.send(b"hello").unwrap()).unwrap();
    peer.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut buffer = [0; 100];
    assert_eq!(uninterrupted(|| peer.recv(&mut buffer)).unwrap(), 5, "{:?}", log.events());
    run_until(&event_loop, "the error", || log.errors() == 1);
    assert_eq!(log.events(), [Event::Made, told(Errno::CONNRESET)]);
    let statistics = endpoint.handle().statistics();
    assert_eq!((statistics.sent, statistics.send_errors), (2, 0));
    std::fs::remove_file(at("peer")).unwrap();
}
