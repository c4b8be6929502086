//! The echo server as tokio-rustls's documentation has it: a task per connection on one thread.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio_rustls::TlsAcceptor;

use super::super::{READ_BUFFER_SIZE, announce, prepare, termination};
use crate::Result;

pub(super) fn run(listen: SocketAddr) -> Result {
    prepare()?;
    let termination = termination()?;
    let acceptor = TlsAcceptor::from(super::rustls_config()?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(listen).await?;
        announce(listener.local_addr()?)?;
        let termination = UnixStream::from_std(termination)?;
        tokio::spawn(async move {
            if termination.readable().await.is_ok() {
                std::process::exit(0);
            }
        });
        loop {
            let (stream, _) = listener.accept().await?;
            tokio::spawn(echo(stream, acceptor.clone()));
        }
    })
}

async fn echo(stream: TcpStream, acceptor: TlsAcceptor) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = acceptor.accept(stream).await?;
    let mut buffer = vec![0; READ_BUFFER_SIZE];
    loop {
        let received = stream.read(&mut buffer).await?;
        if received == 0 {
            return stream.shutdown().await;
        }
        stream.write_all(&buffer[..received]).await?;
        stream.flush().await?;
    }
}
