//! Versions of the protocol.

use std::fmt;

use rustls::{ProtocolVersion, SupportedProtocolVersion};

use crate::error::Error;

/// A version of TLS. Versions before 1.2 are broken, and not offered.
///
/// ```no_run
/// use wharf::{TlsClient, TlsVersion};
///
/// # fn main() -> wharf::Result {
/// let modern = TlsClient::builder().min_version(TlsVersion::Tls13).build()?;
/// assert!(TlsVersion::Tls12 < TlsVersion::Tls13);
/// # drop(modern);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum TlsVersion {
    /// RFC 5246.
    Tls12,
    /// RFC 8446.
    Tls13,
}

impl TlsVersion {
    /// What was negotiated.
    pub(crate) fn from_rustls(version: ProtocolVersion) -> Option<Self> {
        match version {
            ProtocolVersion::TLSv1_2 => Some(Self::Tls12),
            ProtocolVersion::TLSv1_3 => Some(Self::Tls13),
            _ => None,
        }
    }
}

impl fmt::Display for TlsVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Tls12 => "TLS 1.2",
            Self::Tls13 => "TLS 1.3",
        })
    }
}

/// From which version to which; both by default.
#[derive(Clone, Copy, Debug)]
pub(super) struct Versions {
    pub(super) min: TlsVersion,
    pub(super) max: TlsVersion,
}

impl Versions {
    pub(super) fn supported(self) -> Result<Vec<&'static SupportedProtocolVersion>, Error> {
        let Self { min, max } = self;
        if min > max {
            return Err(Error::invalid(format!(
                "the lowest TLS version ({min}) is above the highest ({max})"
            )));
        }
        let all = [
            (TlsVersion::Tls12, &rustls::version::TLS12),
            (TlsVersion::Tls13, &rustls::version::TLS13),
        ];
        let allowed = all.into_iter().filter(|(version, _)| (min..=max).contains(version));
        Ok(allowed.map(|(_, supported)| supported).collect())
    }
}

impl Default for Versions {
    fn default() -> Self {
        Self { min: TlsVersion::Tls12, max: TlsVersion::Tls13 }
    }
}
