//! Where sockets in memory are.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::rc::Weak;

use super::machine::{Machine, MachineId};
use crate::address::{Address, UnixAddress};

/// What an address names in a network, where it is a key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    Ip(SocketAddr),
    Unix(PathBuf),
}

impl Machine {
    /// Whether a socket at `place` and one that is there would both be at the same port of an address: one of them is at
    /// every address. The loops without machines stand for any number of machines.
    pub(super) fn overlaps<T>(
        &self,
        place: &Place,
        there: &BTreeMap<(MachineId, Place), Weak<T>>,
    ) -> bool {
        let Some(any) = place.at_any_address().filter(|_| self.id != MachineId::SHARED) else {
            return false;
        };
        let is_there = |socket: &Weak<T>| socket.strong_count() > 0;
        if any != *place {
            return there.get(&(self.id, any)).is_some_and(is_there);
        }
        let of_machine = (self.id, Place::Ip(FIRST))..(self.id.after(), Place::Ip(FIRST));
        let mut others = there.range(of_machine);
        others.any(|((_, other), socket)| {
            other.at_any_address() == Some(any.clone()) && is_there(socket)
        })
    }
}

/// Before every other place of a machine.
const FIRST: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

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
