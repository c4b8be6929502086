//! What the contenders on tokio have in common: one thread, and an end when told.

use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpStream, UnixStream};

use super::{announce, prepare, termination};
use crate::Result;

/// Gives each connection a task with what `handle` makes of it, until SIGTERM.
pub(crate) fn serve<F>(listen: SocketAddr, handle: impl Fn(TcpStream) -> F) -> Result
where
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    run(async {
        let listener = TcpListener::bind(listen).await?;
        announce(listener.local_addr()?)?;
        loop {
            let (stream, _) = listener.accept().await?;
            tokio::spawn(handle(stream));
        }
    })
}

/// Runs `serving` on one thread until it ends, or SIGTERM ends the process.
pub(crate) fn run(serving: impl Future<Output = Result>) -> Result {
    prepare()?;
    let termination = termination()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(async {
        tokio::spawn(exit_when_told(UnixStream::from_std(termination)?));
        serving.await
    })
}

async fn exit_when_told(termination: UnixStream) {
    if termination.readable().await.is_ok() {
        std::process::exit(0);
    }
}
