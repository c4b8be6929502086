use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};

use rustix::io::Errno;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

/// How many source addresses a load takes turns with.
const SOURCES: u8 = 128;

/// Where connections come from.
///
/// A closed connection keeps its port for a minute, and one address has 28,000 of them. On loopback
/// every address of 127.0.0.0/8 is ours, so each process takes its own 128 of them.
#[derive(Debug)]
pub struct SourceAddresses {
    server: SocketAddr,
    turn: u8,
}

impl SourceAddresses {
    /// Sources for connections to `server`: many if it is on the IPv4 loopback of Linux, which
    /// answers on all of 127.0.0.0/8, else the system's choice.
    pub fn new(server: SocketAddr) -> Self {
        Self { server, turn: 0 }
    }

    /// Connects, and waits for it.
    ///
    /// # Errors
    /// The server does not accept, or files or ports have run out.
    pub fn connect(&mut self) -> io::Result<TcpStream> {
        let socket = self.socket()?;
        socket.connect(&SockAddr::from(self.server))?;
        Ok(socket.into())
    }

    /// Starts to connect; the stream is non-blocking, and becomes writable when it is connected.
    ///
    /// # Errors
    /// Files or ports have run out.
    pub fn start_connect(&mut self) -> io::Result<TcpStream> {
        let socket = self.socket()?;
        socket.set_nonblocking(true)?;
        match socket.connect(&SockAddr::from(self.server)) {
            Err(error) if error.raw_os_error() != Some(Errno::INPROGRESS.raw_os_error()) => {
                Err(error)
            }
            _ => Ok(socket.into()),
        }
    }

    fn socket(&mut self) -> io::Result<Socket> {
        let socket =
            Socket::new(Domain::for_address(self.server), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_tcp_nodelay(true)?;
        if cfg!(target_os = "linux") && self.server.ip() == IpAddr::V4(Ipv4Addr::LOCALHOST) {
            socket.bind(&SockAddr::from(SocketAddr::new(self.next_source().into(), 0)))?;
        }
        Ok(socket)
    }

    fn next_source(&mut self) -> Ipv4Addr {
        self.turn = (self.turn + 1) % SOURCES;
        let process = std::process::id();
        // 127.1.0.1 to 127.200.255.128: never the address that servers listen on.
        Ipv4Addr::new(127, 1 + (process >> 8) as u8 % 200, process as u8, 1 + self.turn)
    }
}
