//! Where sockets in memory are.

use std::ffi::OsString;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use crate::address::{Address, UnixAddress};

/// What an address names in a network, where it is a key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    Ip(SocketAddr),
    Unix(PathBuf),
}

impl Place {
    /// Where datagrams to `address` go.
    pub(super) fn of(address: &Address) -> io::Result<Self> {
        match address {
            Address::Ip(address) => Ok(Self::Ip(*address)),
            Address::Unix(address) => match (address.as_path(), address.as_abstract_name()) {
                (Some(path), _) => Ok(Self::Unix(path.to_owned())),
                (None, Some(name)) => {
                    let name = [&[0], name].concat();
                    Ok(Self::Unix(OsString::from_vec(name).into()))
                }
                (None, None) => Err(io::ErrorKind::InvalidInput.into()),
            },
        }
    }

    pub(super) fn port(&self) -> Option<u16> {
        match self {
            Self::Ip(address) => Some(address.port()),
            Self::Unix(_) => None,
        }
    }

    pub(super) fn is_ipv4(&self) -> bool {
        matches!(self, Self::Ip(SocketAddr::V4(_)))
    }

    pub(super) fn is_unnamed(&self) -> bool {
        matches!(self, Self::Unix(path) if path.as_os_str().is_empty())
    }

    /// The same port on every address of the family.
    pub(super) fn at_any_address(&self) -> Option<Self> {
        let any = match self {
            Self::Ip(SocketAddr::V4(_)) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            Self::Ip(SocketAddr::V6(_)) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            Self::Unix(_) => return None,
        };
        Some(Self::Ip(SocketAddr::new(any, self.port()?)))
    }

    /// Whether what comes from `sender` is from this place: a socket at every address sends from
    /// any of them.
    pub(super) fn is_sender(&self, sender: &Self) -> bool {
        self == sender || self.at_any_address().is_some_and(|any| any == *sender)
    }

    pub(super) fn address(&self) -> Address {
        match self {
            Self::Ip(address) => Address::Ip(*address),
            Self::Unix(path) => match path.as_os_str().as_bytes() {
                [0, name @ ..] => Address::Unix(UnixAddress::from_abstract_name(name)),
                _ => Address::Unix(UnixAddress::from_path(path)),
            },
        }
    }
}
