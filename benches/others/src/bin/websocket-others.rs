//! Contenders: WebSocket servers that echo every message.
//!
//! `websocket-others --listen 127.0.0.1:0 --by tokio-tungstenite`
#![forbid(unsafe_code)]

use fastwebsockets::{FragmentCollector, OpCode, Role};
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use wharf_benches_others::{Arguments, Result, run, say};

fn main() -> Result {
    let arguments = Arguments::from_environment()?;
    let (listen, by) = (arguments.required("listen")?, arguments.required("by")?);
    run(async {
        let listener = TcpListener::bind(listen).await?;
        say(&format!("listening on {}", listener.local_addr()?))?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            match by {
                "tokio-tungstenite" => _ = tokio::spawn(tungstenite(stream)),
                "fastwebsockets" => _ = tokio::spawn(fastwebsockets(stream)),
                "yawc" => _ = tokio::spawn(yawc(stream, None)),
                "yawc-deflate" => _ = tokio::spawn(yawc(stream, Some(DEFLATE))),
                other => return Err(format!("there is no WebSocket server by {other}").into()),
            }
        }
    })
}

const DEFLATE: &str = "permessage-deflate";

async fn tungstenite(stream: TcpStream) -> Result {
    let mut socket = tokio_tungstenite::accept_async(stream).await?;
    while let Some(message) = socket.next().await {
        let message = message?;
        if message.is_text() || message.is_binary() {
            socket.send(message).await?;
        }
    }
    Ok(())
}

async fn fastwebsockets(mut stream: TcpStream) -> Result {
    shake_hands(&mut stream, None).await?;
    let socket = fastwebsockets::WebSocket::after_handshake(stream, Role::Server);
    let mut socket = FragmentCollector::new(socket);
    loop {
        let frame = socket.read_frame().await?;
        match frame.opcode {
            OpCode::Close => return Ok(()),
            OpCode::Text | OpCode::Binary => socket.write_frame(frame).await?,
            _ => (),
        }
    }
}

async fn yawc(mut stream: TcpStream, extension: Option<&str>) -> Result {
    shake_hands(&mut stream, extension).await?;
    let mut options = yawc::Options::default().with_utf8();
    if extension.is_some() {
        // As wharf does by default.
        options = options.with_balanced_compression().with_compression_threshold(64);
    }
    let role = yawc::Role::Server;
    let mut socket =
        yawc::WebSocket::from_stream_with_extensions(stream, role, extension, options)?;
    while let Some(frame) = socket.next().await {
        if matches!(frame.opcode(), yawc::OpCode::Text | yawc::OpCode::Binary) {
            socket.send(frame).await?;
        }
    }
    Ok(())
}

/// The handshake by hand, for those whose own one would have hyper between them and the stream. The load always sends
/// the key of RFC 6455's example.
async fn shake_hands(stream: &mut TcpStream, extension: Option<&str>) -> Result {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        if stream.read_buf(&mut request).await? == 0 {
            return Err("no request".into());
        }
    }
    let extension = extension
        .map_or_else(String::new, |extension| format!("Sec-WebSocket-Extensions: {extension}\r\n"));
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n{extension}\r\n"
    );
    Ok(stream.write_all(answer.as_bytes()).await?)
}
