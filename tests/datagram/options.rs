//! Every option of datagram sockets, read back from the socket.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;

use socket2::{SockAddr, SockRef};
use wharf::testing::MemoryNetwork;
use wharf::{
    Address, DatagramEndpointBuilder, DatagramHandle, DatagramTransport, Endpoint, EventLoop,
    MulticastInterface,
};

use crate::datagram_probe::{Log, Probe};
use crate::needs::{ipv6, loopbacks, missing};
use crate::running::rest;
use crate::sockets::find_bound;

fn builder(event_loop: &EventLoop) -> DatagramEndpointBuilder<Probe> {
    event_loop.create_datagram_endpoint(|| Probe::new(&Log::default()))
}

fn open(event_loop: &EventLoop, builder: DatagramEndpointBuilder<Probe>) -> Endpoint<Probe> {
    event_loop.run_until_complete(builder.start()).unwrap().unwrap()
}

/// The endpoint's socket; `None` where the system does not let us look.
fn socket_of(endpoint: &Endpoint<Probe>) -> Option<OwnedFd> {
    let socket = match endpoint.local_address().ok()? {
        Address::Ip(own) => find_bound(&own.into()),
        own => find_bound(&SockAddr::unix(own.as_unix_path()?).unwrap()),
    };
    if socket.is_none() {
        missing("pidfd_getfd(2)");
    }
    socket
}

/// Opens an endpoint with options, one of its own and one on a socket from elsewhere, and has each
/// looked at.
fn each_with(
    local: &str,
    options: impl Fn(DatagramEndpointBuilder<Probe>) -> DatagramEndpointBuilder<Probe>,
    check: impl Fn(SockRef<'_>, &DatagramHandle),
) {
    let event_loop = EventLoop::new().unwrap();
    let own = builder(&event_loop).local_address(local);
    let adopted = builder(&event_loop).socket(UdpSocket::bind(local).unwrap());
    for made in [own, adopted] {
        let endpoint = open(&event_loop, options(made));
        let Some(socket) = socket_of(&endpoint) else { return };
        check(SockRef::from(&socket), endpoint.handle());
    }
}

#[test]
fn options_of_datagram_sockets_are_set() {
    for &local in loopbacks() {
        let is_v6 = local.starts_with('[');
        each_with(
            local,
            |builder| {
                builder.send_buffer_size(50_000).receive_buffer_size(60_000).ttl(33).tos(0x10)
            },
            |socket, _| {
                // Linux counts its own overhead in.
                assert_eq!(socket.send_buffer_size().unwrap(), 100_000, "{local}");
                assert_eq!(socket.recv_buffer_size().unwrap(), 120_000, "{local}");
                let set = match is_v6 {
                    true => (socket.unicast_hops_v6().unwrap(), socket.tclass_v6().unwrap()),
                    false => (socket.ttl_v4().unwrap(), socket.tos_v4().unwrap()),
                };
                assert_eq!(set, (33, 0x10), "{local}");
                assert!(!socket.broadcast().unwrap(), "only if it is asked for");
                assert!(socket.nonblocking().unwrap());
            },
        );
    }
}

#[test]
fn sizes_of_unix_datagram_sockets_are_set() {
    let event_loop = EventLoop::new().unwrap();
    let path = std::env::temp_dir().join(format!("wharf-sizes-{}", std::process::id()));
    let given = path.with_extension("given");
    let adopted = builder(&event_loop).socket(UnixDatagram::bind(&given).unwrap());
    for made in [builder(&event_loop).local_unix_address(&path), adopted] {
        let endpoint = open(&event_loop, made.send_buffer_size(50_000).receive_buffer_size(60_000));
        let Some(socket) = socket_of(&endpoint) else { break };
        let socket = SockRef::from(&socket);
        let sizes = (socket.send_buffer_size().unwrap(), socket.recv_buffer_size().unwrap());
        assert_eq!(sizes, (100_000, 120_000));
    }
    std::fs::remove_file(given).unwrap();
}

#[test]
fn broadcast_is_set_with_the_endpoint_and_later() {
    for &local in loopbacks() {
        each_with(
            local,
            |builder| builder.broadcast(true),
            |socket, handle| {
                assert!(socket.broadcast().unwrap());
                for on in [false, true] {
                    handle.set_broadcast(on).unwrap();
                    assert_eq!(socket.broadcast().unwrap(), on);
                }
            },
        );
    }
}

#[test]
fn multicast_options_are_set_for_both_families() {
    each_with(
        "127.0.0.1:0",
        |builder| builder,
        |socket, handle| {
            for hops in [0, 1, 33, 255] {
                handle.set_multicast_ttl(hops).unwrap();
                assert_eq!(socket.multicast_ttl_v4().unwrap(), hops);
            }
            for on in [false, true] {
                handle.set_multicast_loop(on).unwrap();
                assert_eq!(socket.multicast_loop_v4().unwrap(), on);
            }
            let local = Ipv4Addr::LOCALHOST;
            handle.set_multicast_interface(MulticastInterface::Address(local)).unwrap();
            assert_eq!(socket.multicast_if_v4().unwrap(), local);
            handle.set_multicast_interface(MulticastInterface::Any).unwrap();
            assert_eq!(socket.multicast_if_v4().unwrap(), Ipv4Addr::UNSPECIFIED);
            // The system tells an interface that was chosen by number by its address, or not at all.
            handle.set_multicast_interface(MulticastInterface::Index(1)).unwrap();
            let unknown = MulticastInterface::Index(1 << 20);
            assert!(handle.set_multicast_interface(unknown).is_err());
            // The time to live of all else is another option.
            assert_ne!(socket.ttl_v4().unwrap(), 255);
            assert!(handle.set_multicast_ttl(256).is_err());
        },
    );
    if !ipv6() {
        return;
    }
    each_with(
        "[::1]:0",
        |builder| builder,
        |socket, handle| {
            for hops in [0, 1, 33, 255] {
                handle.set_multicast_ttl(hops).unwrap();
                assert_eq!(socket.multicast_hops_v6().unwrap(), hops);
            }
            for on in [false, true] {
                handle.set_multicast_loop(on).unwrap();
                assert_eq!(socket.multicast_loop_v6().unwrap(), on);
            }
            for (interface, number) in
                [(MulticastInterface::Index(1), 1), (MulticastInterface::Any, 0)]
            {
                handle.set_multicast_interface(interface).unwrap();
                assert_eq!(socket.multicast_if_v6().unwrap(), number);
            }
            let address = MulticastInterface::Address(Ipv4Addr::LOCALHOST);
            assert!(handle.set_multicast_interface(address).is_err());
            assert_ne!(socket.unicast_hops_v6().unwrap(), 255);
        },
    );
}

#[test]
fn unix_sockets_have_neither_multicast_nor_broadcast() {
    let event_loop = EventLoop::new().unwrap();
    let endpoint = open(&event_loop, builder(&event_loop).socket(UnixDatagram::unbound().unwrap()));
    let handle = endpoint.handle();
    let refused = [
        handle.set_broadcast(true),
        handle.set_multicast_ttl(1),
        handle.set_multicast_loop(true),
        handle.set_multicast_interface(MulticastInterface::Any),
    ];
    assert!(refused.into_iter().all(|result| result.unwrap_err().is_unsupported()));
    let group = "239.1.2.3".parse().unwrap();
    assert!(handle.join_multicast(group, MulticastInterface::Any).unwrap_err().is_invalid());
    assert!(handle.leave_multicast(group, MulticastInterface::Any).unwrap_err().is_invalid());
}

#[test]
fn what_is_about_binding_is_set() {
    let event_loop = EventLoop::new().unwrap();
    for &local in loopbacks() {
        for on in [false, true] {
            let made =
                builder(&event_loop).local_address(local).reuse_port(on).reuse_multicast_port(!on);
            let endpoint = open(&event_loop, made);
            let Some(socket) = socket_of(&endpoint) else { return };
            let socket = SockRef::from(&socket);
            assert_eq!(socket.reuse_port().unwrap(), on, "{local}");
            assert_eq!(socket.reuse_address().unwrap(), !on, "{local}");
        }
    }
    if !ipv6() {
        return;
    }
    for on in [false, true] {
        let endpoint = open(&event_loop, builder(&event_loop).local_address("[::]:0").only_v6(on));
        let Some(socket) = socket_of(&endpoint) else { return };
        assert_eq!(SockRef::from(&socket).only_v6().unwrap(), on);
        // And it means what it says.
        let port = endpoint.handle().local_address().unwrap().port().unwrap();
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        sender.connect(("127.0.0.1", port)).unwrap();
        sender.send(b"x").unwrap();
        rest(&event_loop);
        assert_eq!(endpoint.handle().statistics().received, u64::from(!on));
    }
}

/// What is set for an endpoint that is asked to `offload`, and for no other.
#[cfg(feature = "udp-batch")]
#[test]
fn offload_asks_for_what_it_tells() {
    for &local in loopbacks() {
        for on in [false, true] {
            each_with(
                local,
                |builder| builder.offload(on),
                |socket, _| {
                    let tells_tos = match local.starts_with('[') {
                        true => socket.recv_tclass_v6().unwrap(),
                        false => socket.recv_tos_v4().unwrap(),
                    };
                    assert_eq!(tells_tos, on, "{local}");
                },
            );
        }
    }
}

#[test]
fn options_that_the_system_refuses_are_told_and_nothing_is_left() {
    let event_loop = EventLoop::new().unwrap();
    for &local in loopbacks() {
        let wrong = builder(&event_loop).local_address(local).ttl(1000);
        let error = event_loop.run_until_complete(wrong.start()).unwrap().unwrap_err();
        let own: SocketAddr = local.parse().unwrap();
        assert!(format!("{error:#}").contains(&own.to_string()), "{error}");
        assert_eq!(event_loop.statistics().sources, 0);
    }
}

/// A group that no other process of these tests joins: Linux gives a socket what comes for any group that
/// somebody on the machine has joined.
fn own_group() -> IpAddr {
    let [_, _, high, low] = std::process::id().to_be_bytes();
    IpAddr::from([239, 255, high, low])
}

#[test]
fn groups_are_left_and_only_those_that_were_joined() {
    let loops = [EventLoop::new().unwrap(), MemoryNetwork::new().event_loop()];
    for (event_loop, local) in loops.iter().zip(["0.0.0.0:0", "192.0.2.1:7"]) {
        let log = Log::default();
        let probe = Probe::new(&log);
        let made = event_loop.create_datagram_endpoint(|| probe).local_address(local);
        let member = open(event_loop, made);
        let handle = member.handle();
        let interface = match local {
            "0.0.0.0:0" => MulticastInterface::Address(Ipv4Addr::LOCALHOST),
            _ => MulticastInterface::Any,
        };
        let group = own_group();
        let port = handle.local_address().unwrap().port().unwrap();
        let sender = match local {
            "0.0.0.0:0" => builder(event_loop).local_address("127.0.0.1:0"),
            _ => builder(event_loop).local_address("192.0.2.2:7"),
        };
        let sender = open(event_loop, sender);
        sender.handle().set_multicast_interface(interface).unwrap();
        let to = Address::Ip(SocketAddr::new(group, port));
        let send = |data: &[u8]| {
            sender.handle().send_to(data, &to).unwrap();
            rest(event_loop);
        };
        // What was never joined cannot be left, nor what is no group of this family.
        let never = handle.leave_multicast(group, interface).unwrap_err();
        assert_eq!(never.io_kind(), Some(std::io::ErrorKind::AddrNotAvailable), "{never}");
        for wrong in ["127.0.0.1", "ff02::1", "0.0.0.0", "255.255.255.255"] {
            let wrong = wrong.parse().unwrap();
            assert!(handle.join_multicast(wrong, interface).unwrap_err().is_invalid());
            assert!(handle.leave_multicast(wrong, interface).unwrap_err().is_invalid());
        }
        handle.join_multicast(group, interface).unwrap();
        let twice = handle.join_multicast(group, interface).unwrap_err();
        assert_eq!(twice.io_kind(), Some(std::io::ErrorKind::AddrInUse), "{twice}");
        send(b"1");
        handle.leave_multicast(group, interface).unwrap();
        assert!(handle.leave_multicast(group, interface).is_err(), "it was left already");
        send(b"2");
        handle.join_multicast(group, interface).unwrap();
        send(b"3");
        assert_eq!(log.received(), [b"1", b"3"], "{local}");
        handle.abort();
        rest(event_loop);
        assert!(handle.join_multicast(group, interface).unwrap_err().is_closed());
        assert!(handle.leave_multicast(group, interface).unwrap_err().is_closed());
    }
}
