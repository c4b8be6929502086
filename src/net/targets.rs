//! Where to connect to or to listen, as users write it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;

use super::resolve::{HostPort, ParseAddressError, remove_duplicates};
use crate::address::{Address, no_ip};
use crate::error::Error;
use crate::event_loop::Core;

/// One place to connect to or to listen on: an address, or a host and a port.
///
/// Made from a `SocketAddr`, from text (`"localhost:7000"`, `"[::1]:7000"`; for servers `":7000"`
/// is all interfaces), or from a host and a port (`("localhost", 7000)`). A text that is no address
/// is an error when it is used.
///
/// ```
/// use std::net::SocketAddr;
/// use wharf::Target;
///
/// # fn main() -> wharf::Result {
/// // Places of several kinds, to be tried one after the other.
/// let address: SocketAddr = "192.0.2.1:7000".parse()?;
/// let places: Vec<Target> = vec!["localhost:7000".into(), ("example.org", 7000).into(), address.into()];
/// # let event_loop = wharf::EventLoop::new()?;
/// # let record = wharf::testing::Record::new();
/// let connecting = event_loop.create_connection(record.factory(), places);
/// # drop(connecting);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Target(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Address(SocketAddr),
    Host(HostPort),
    Invalid(ParseAddressError),
    NotIp(Address),
}

/// Places to connect to, in order of preference, or to listen on.
///
/// Made from one [`Target`] or whatever that is made from, or from a `Vec`, array or slice of them.
///
/// ```
/// use std::net::{Ipv6Addr, SocketAddr};
/// use wharf::testing::MemoryNetwork;
/// # struct Idle;
/// # impl wharf::Protocol for Idle {
/// #     fn data_received(&mut self, _: &dyn wharf::Transport, _: &[u8]) -> wharf::Result { Ok(()) }
/// # }
///
/// # fn main() -> wharf::Result {
/// MemoryNetwork::new().event_loop().run(async |event_loop| {
///     event_loop.create_server(|| Idle, "10.0.0.1:7000").await?;
///     event_loop.create_server(|| Idle, ("10.0.0.1", 7001)).await?;
///     let socket = SocketAddr::from((Ipv6Addr::LOCALHOST, 7002));
///     event_loop.create_server(|| Idle, socket).await?;
///     // Two addresses, one server.
///     let server = event_loop.create_server(|| Idle, ["10.0.0.1:7003", "10.0.0.2:7003"]).await?;
///     assert_eq!(server.addresses().len(), 2);
///     Ok(())
/// })
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Targets(Vec<Target>);

impl Targets {
    /// The host that all of them name, if it is one: the name a TLS server has to have.
    #[cfg(feature = "tls-core")]
    pub(super) fn host(&self) -> Option<String> {
        let mut hosts = self.0.iter().map(|target| match &target.0 {
            Kind::Address(address) => Some(address.ip().to_string()),
            Kind::Host(host) => Some(host.host.clone()),
            Kind::Invalid(_) | Kind::NotIp(_) => None,
        });
        let first = hosts.next()??;
        hosts.all(|host| host.as_ref() == Some(&first)).then_some(first)
    }

    /// Every address these stand for, each once; names are looked up off the loop's thread.
    pub(crate) async fn resolve(
        self,
        core: &Rc<Core>,
        for_server: bool,
    ) -> Result<Vec<SocketAddr>, Error> {
        let mut addresses = Vec::new();
        for target in self.0 {
            match target.0 {
                Kind::Address(address) => addresses.push(address),
                Kind::Invalid(error) => return Err(Error::invalid(error.to_string())),
                Kind::NotIp(address) => {
                    return Err(Error::invalid(no_ip(&address)));
                }
                Kind::Host(host) => {
                    let host = if for_server {
                        host
                    } else {
                        host.require_host().map_err(|error| Error::invalid(error.to_string()))?
                    };
                    match host.without_resolver() {
                        Some(known) => addresses.extend(known),
                        None => addresses.extend(look_up(core, host).await?),
                    }
                }
            }
        }
        remove_duplicates(&mut addresses);
        if addresses.is_empty() {
            return Err(Error::invalid("no address was given"));
        }
        Ok(addresses)
    }
}

async fn look_up(core: &Rc<Core>, host: HostPort) -> Result<Vec<SocketAddr>, Error> {
    let result: io::Result<_> = match core.driver.resolve(&host.host, host.port) {
        Some(known) => known,
        None => core.lookups.look_up(core, &host.host).into_step().await?.map(
            |mut addresses: Vec<SocketAddr>| {
                for address in &mut addresses {
                    address.set_port(host.port);
                }
                addresses
            },
        ),
    };
    // The resolver's text names the host.
    result.map_err(Error::from)
}

impl From<SocketAddr> for Target {
    fn from(address: SocketAddr) -> Self {
        Self(Kind::Address(address))
    }
}

impl From<&Address> for Target {
    /// A Unix address is no target of TCP: it is an error when it is used.
    fn from(address: &Address) -> Self {
        Self(match address.as_ip() {
            Some(address) => Kind::Address(address),
            None => Kind::NotIp(address.clone()),
        })
    }
}

impl From<Address> for Target {
    fn from(address: Address) -> Self {
        (&address).into()
    }
}

impl From<&str> for Target {
    fn from(text: &str) -> Self {
        Self(text.parse().map_or_else(Kind::Invalid, Kind::Host))
    }
}

impl From<String> for Target {
    fn from(text: String) -> Self {
        text.as_str().into()
    }
}

impl From<&String> for Target {
    fn from(text: &String) -> Self {
        text.as_str().into()
    }
}

impl From<(&str, u16)> for Target {
    fn from((host, port): (&str, u16)) -> Self {
        Self(Kind::Host(HostPort { host: host.to_owned(), port }))
    }
}

impl From<(String, u16)> for Target {
    fn from((host, port): (String, u16)) -> Self {
        Self(Kind::Host(HostPort { host, port }))
    }
}

macro_rules! target_from_ip {
    ($($ip:ty),*) => {$(
        impl From<($ip, u16)> for Target {
            fn from(address: ($ip, u16)) -> Self {
                Self(Kind::Address(address.into()))
            }
        }
    )*};
}

target_from_ip!(IpAddr, Ipv4Addr, Ipv6Addr);

impl<T: Into<Target>> From<T> for Targets {
    fn from(target: T) -> Self {
        Self(vec![target.into()])
    }
}

impl<T: Into<Target>> From<Vec<T>> for Targets {
    fn from(targets: Vec<T>) -> Self {
        Self(targets.into_iter().map(Into::into).collect())
    }
}

impl<T: Into<Target>, const N: usize> From<[T; N]> for Targets {
    fn from(targets: [T; N]) -> Self {
        Self(targets.into_iter().map(Into::into).collect())
    }
}

impl<T: Into<Target> + Clone> From<&[T]> for Targets {
    fn from(targets: &[T]) -> Self {
        Self(targets.iter().cloned().map(Into::into).collect())
    }
}
