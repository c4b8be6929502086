use std::ffi::OsStr;
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};

use super::*;

#[test]
fn addresses_are_shown_on_one_line() {
    let ip = |text: &str| Address::Ip(text.parse().unwrap());
    let path = |path: &str| Address::Unix(UnixAddress::from_path(path));
    let abstract_name = |name: &[u8]| Address::Unix(UnixAddress::from_abstract_name(name));
    for (address, text) in [
        (ip("127.0.0.1:80"), "127.0.0.1:80"),
        (ip("[::1]:80"), "[::1]:80"),
        (path("/run/server.socket"), "unix:/run/server.socket"),
        (path("relative"), "unix:relative"),
        (path("/tmp/é\n\x1b[0m"), r"unix:/tmp/é\n\u{1b}[0m"),
        (Address::Unix(UnixAddress::from_path(OsStr::from_bytes(b"/\xff-"))), r"unix:/\xff-"),
        (abstract_name(b"name"), "unix:@name"),
        (abstract_name(b"a\0b\xff"), r"unix:@a\u{0}b\xff"),
        (abstract_name(b""), "unix:@"),
        (Address::Unix(UnixAddress::unnamed()), "unix:(unnamed)"),
        (path(""), "unix:(unnamed)"),
        (path("\0name"), "unix:@name"),
    ] {
        assert_eq!(address.to_string(), text);
        assert_eq!(format!("{address:?}"), text);
    }
}

#[test]
fn the_parts_of_an_address_are_at_hand() {
    let socket_address = SocketAddr::from((Ipv4Addr::LOCALHOST, 80));
    let address = Address::from(socket_address);
    assert_eq!(address.as_ip(), Some(socket_address));
    assert_eq!(address.ip(), Some(socket_address.ip()));
    assert_eq!(address.port(), Some(80));
    assert_eq!((address.as_unix(), address.as_unix_path()), (None, None));

    let unix = UnixAddress::from_path("/a");
    let address = Address::from(unix.clone());
    assert_eq!(address.as_unix(), Some(&unix));
    assert_eq!(address.as_unix_path(), Some(Path::new("/a")));
    assert_eq!((address.as_ip(), address.ip(), address.port()), (None, None, None));
    assert_eq!((unix.as_abstract_name(), unix.is_unnamed()), (None, false));

    let unix = UnixAddress::from_abstract_name("a");
    assert_eq!((unix.as_path(), unix.is_unnamed()), (None, false));
    assert_eq!(unix.as_abstract_name(), Some(&b"a"[..]));

    let unix = UnixAddress::unnamed();
    assert_eq!((unix.as_path(), unix.as_abstract_name(), unix.is_unnamed()), (None, None, true));
}

#[test]
fn addresses_are_ordered_and_compared() {
    let sorted: Vec<Address> = vec![
        SocketAddrV4::new(Ipv4Addr::LOCALHOST, 1).into(),
        SocketAddrV4::new(Ipv4Addr::LOCALHOST, 2).into(),
        SocketAddrV6::new(Ipv6Addr::LOCALHOST, 1, 0, 0).into(),
        UnixAddress::unnamed().into(),
        UnixAddress::from_path("/a").into(),
        UnixAddress::from_path("/b").into(),
        UnixAddress::from_abstract_name("a").into(),
    ];
    let mut shuffled = sorted.clone();
    shuffled.reverse();
    shuffled.sort();
    assert_eq!(shuffled, sorted);
    assert_ne!(sorted[4], sorted[6]);
}

#[test]
fn an_address_is_as_compact_as_an_ip_address() {
    assert!(size_of::<Address>() <= size_of::<SocketAddr>() + size_of::<usize>());
    assert_eq!(size_of::<Option<Address>>(), size_of::<Address>());
}

#[test]
fn ip_addresses_are_read_from_a_socket() {
    for ip in [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()] {
        // A machine may be without IPv6; one without IPv4 has no loopback for any test.
        let listener = match TcpListener::bind((ip, 0)) {
            Err(_) if ip.is_ipv6() => continue,
            listener => listener.unwrap(),
        };
        let expected = Address::from(listener.local_addr().unwrap());
        assert_eq!(read_by_socket2(&listener), Some(expected));
    }
}

#[test]
fn unnamed_addresses_are_read_from_a_socket() {
    let (socket, _peer) = UnixStream::pair().unwrap();
    let expected = Address::from(UnixAddress::unnamed());
    assert_eq!(Address::from(socket.local_addr().unwrap()), expected);
    assert_eq!(read_by_socket2(&socket), Some(expected));
}

#[test]
fn paths_of_every_length_are_read_from_a_socket() {
    let directory = TemporaryDirectory::new();
    let shortest = directory.0.as_os_str().len() + 2;
    for length in [shortest, 90, SUN_PATH_LEN as usize - 2, SUN_PATH_LEN as usize - 1] {
        let mut path = directory.0.clone().into_os_string().into_encoded_bytes();
        path.push(b'/');
        path.resize(length, b'x');
        let path = OsStr::from_bytes(&path);
        let address = UnixAddress::from_path(path);
        let socket = UnixListener::bind_addr(&address.to_std().unwrap()).unwrap();

        assert_eq!(address.as_path(), Some(path.as_ref()));
        let expected = Address::from(address);
        assert_eq!(Address::from(socket.local_addr().unwrap()), expected);
        assert_eq!(read_by_socket2(&socket), Some(expected));
    }
}

#[test]
#[cfg(linux_kernel)]
fn a_path_without_room_for_its_zero_byte_does_no_harm() {
    // The kernel allows it, so a peer may have one.
    let directory = TemporaryDirectory::new();
    let mut path = directory.0.clone().into_os_string().into_encoded_bytes();
    path.push(b'/');
    path.resize(SUN_PATH_LEN as usize, b'x');
    let socket = rustix::net::socket(
        rustix::net::AddressFamily::UNIX,
        rustix::net::SocketType::STREAM,
        None,
    )
    .unwrap();
    let address = rustix::net::SocketAddrUnix::new(&path[..]).unwrap();
    rustix::net::bind(&socket, &address).unwrap();

    let expected = Address::from(UnixAddress::from_path(OsStr::from_bytes(&path)));
    let socket = UnixListener::from(socket);
    assert_eq!(Address::from(socket.local_addr().unwrap()), expected);
    assert_eq!(read_by_socket2(&socket), Some(expected));
}

#[test]
#[cfg(linux_kernel)]
fn abstract_names_are_read_from_a_socket() {
    let id = std::process::id();
    let mut longest = format!("wharf-{id}-longest-").into_bytes();
    longest.resize(SUN_PATH_LEN as usize - 1, b'x');
    for name in [format!("wharf-{id}-\0-zero").into_bytes(), longest] {
        let address = UnixAddress::from_abstract_name(&name);
        let socket = UnixListener::bind_addr(&address.to_std().unwrap()).unwrap();
        assert_eq!(address.as_abstract_name(), Some(&name[..]));
        let expected = Address::from(address);
        assert_eq!(Address::from(socket.local_addr().unwrap()), expected);
        assert_eq!(read_by_socket2(&socket), Some(expected));
    }
}

#[test]
fn addresses_of_sockets_are_checked_when_they_are_used() {
    for address in [
        UnixAddress::from_path("x".repeat(200)),
        UnixAddress::from_path("/a\0b"),
        #[cfg(linux_kernel)]
        UnixAddress::from_abstract_name("x".repeat(200)),
    ] {
        assert_eq!(address.to_std().unwrap_err().kind(), io::ErrorKind::InvalidInput, "{address}");
    }
    assert!(UnixAddress::unnamed().to_std().unwrap().is_unnamed());
}

fn read_by_socket2(socket: impl AsFd) -> Option<Address> {
    let socket = socket.as_fd();
    Address::from_socket2(&socket2::SockRef::from(&socket).local_addr().unwrap())
}

struct TemporaryDirectory(PathBuf);

impl TemporaryDirectory {
    fn new() -> Self {
        use std::sync::atomic::{AtomicU32, Ordering};
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("wharf-{}-{number}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }
}

impl Drop for TemporaryDirectory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The size of `sun_path` in `sockaddr_un`, or less.
const SUN_PATH_LEN: u32 =
    if cfg!(any(target_os = "linux", target_os = "android")) { 108 } else { 104 };

#[test]
fn addresses_compare_with_those_of_the_standard_library() {
    let [ip, other]: [SocketAddr; 2] =
        ["127.0.0.1:80", "127.0.0.1:81"].map(|text| text.parse().unwrap());
    let unix = UnixAddress::from_path("/run/x");
    let (address, path) = (Address::from(ip), Address::from(unix.clone()));
    assert_eq!(address, ip);
    assert_eq!(ip, address);
    assert_ne!(address, other);
    assert_ne!(other, address);
    assert_eq!(path, unix);
    assert_eq!(unix, path);
    assert_ne!(path, ip);
    assert_ne!(address, unix);
}

#[test]
fn what_is_no_ip_address_does_not_become_one() {
    let ip: SocketAddr = "[::1]:80".parse().unwrap();
    let address = Address::from(ip);
    assert_eq!(SocketAddr::try_from(&address).unwrap(), ip);
    assert!(address.to_socket_addrs().unwrap().eq([ip]));
    let path = Address::from(UnixAddress::from_path("/run/x"));
    let error = SocketAddr::try_from(path.clone()).unwrap_err();
    assert!(error.is_invalid() && error.to_string().contains("/run/x"), "{error}");
    assert_eq!(path.to_socket_addrs().unwrap_err().kind(), io::ErrorKind::InvalidInput);
}
