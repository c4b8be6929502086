//! The echo server as tokio-rustls's documentation has it: a task per connection on one thread.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::super::{READ_BUFFER_SIZE, on_tokio};
use crate::Result;

pub(super) fn run(listen: SocketAddr) -> Result {
    let acceptor = TlsAcceptor::from(super::rustls_config()?);
    on_tokio::serve(listen, move |stream| echo(stream, acceptor.clone()))
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
