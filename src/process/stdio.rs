//! What a child's standard streams are connected to.

use std::fmt;
use std::os::fd::OwnedFd;

/// What one of a child's standard streams is connected to.
///
/// Whatever owns a descriptor can be given as it is: a `File`, a `TcpStream`, the end of a pipe, an
/// `OwnedFd`. Not to be confused with [`std::process::Stdio`], which cannot say what it is.
///
/// ```
/// use std::fs::File;
/// use wharf::{EventLoop, Result, Stdio};
/// # struct Watch;
/// # impl wharf::ProcessProtocol for Watch {}
///
/// # fn main() -> Result {
/// EventLoop::new()?.run(async |event_loop| {
///     let process = event_loop
///         .subprocess_exec(|| Watch, "cat")
///         .stdin(File::open("/dev/null")?)
///         .stdout(Stdio::null())
///         .stderr(Stdio::inherit())
///         .await?;
///     assert!(process.wait().await?.success());
///     Ok(())
/// })
/// # }
/// ```
pub struct Stdio(pub(super) Kind);

pub(super) enum Kind {
    Piped,
    Null,
    Inherit,
    Fd(OwnedFd),
}

impl Stdio {
    /// A pipe whose other end is a transport of the loop: what each of the three is by default.
    pub const fn piped() -> Self {
        Self(Kind::Piped)
    }

    /// `/dev/null`.
    pub const fn null() -> Self {
        Self(Kind::Null)
    }

    /// The same as this process's own.
    pub const fn inherit() -> Self {
        Self(Kind::Inherit)
    }
}

impl<F: Into<OwnedFd>> From<F> for Stdio {
    fn from(fd: F) -> Self {
        Self(Kind::Fd(fd.into()))
    }
}

impl fmt::Debug for Stdio {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Piped => formatter.write_str("Piped"),
            Kind::Null => formatter.write_str("Null"),
            Kind::Inherit => formatter.write_str("Inherit"),
            Kind::Fd(fd) => formatter.debug_tuple("Fd").field(fd).finish(),
        }
    }
}
