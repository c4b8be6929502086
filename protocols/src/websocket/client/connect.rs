//! A stream to the server, and the opening handshake on it.

use std::time::Duration;

use wharf::{ByteStream, Failure, Result, timeout};

use super::{Proxy, WebSocketClient};
use crate::field_syntax::is_value_text;
use crate::websocket::{Agreed, AnswerReader, ClientHandshake, HandshakeError, WebSocketUrl};

impl WebSocketClient {
    pub(super) async fn connect_stream(&self, url: &WebSocketUrl) -> Result<ByteStream> {
        #[cfg(not(feature = "tls"))]
        if url.is_secure() {
            return Err(HandshakeError::Url("needs TLS, which the feature `tls` is for").into());
        }
        let address = match &self.proxy {
            Some(proxy) => proxy.address.clone(),
            None => url.address(),
        };
        let (reader, writer) = self.event_loop.open_connection(address).timeout(None).await?;
        let stream = ByteStream::join(reader, writer);
        #[cfg_attr(not(feature = "tls"), expect(unused_mut, reason = "no TLS"))]
        let mut stream = match &self.proxy {
            Some(proxy) => tunnel(stream, proxy, url).await?,
            None => stream,
        };
        #[cfg(feature = "tls")]
        if url.is_secure() {
            self.secure(&mut stream, url).await?;
        }
        Ok(stream)
    }

    #[cfg(feature = "tls")]
    async fn secure(&self, stream: &mut ByteStream, url: &WebSocketUrl) -> Result {
        let tls = match self.tls.get() {
            Some(tls) => tls,
            None => {
                let tls = wharf::TlsClient::builder().alpn(["http/1.1"]).build()?;
                self.tls.get_or_init(|| tls)
            }
        };
        stream.start_tls(tls.clone().default_server_name(url.host())).await?;
        let info = stream.writer().info();
        match info.tls().and_then(wharf::TlsInfo::alpn_protocol) {
            None | Some(b"http/1.1") => Ok(()),
            Some(other) => {
                let name = other.escape_ascii().to_string();
                Err(HandshakeError::ApplicationProtocol(name).into())
            }
        }
    }
}

/// Asks a proxy to connect (RFC 9110, 9.3.6).
async fn tunnel(mut stream: ByteStream, proxy: &Proxy, url: &WebSocketUrl) -> Result<ByteStream> {
    let address = url.address();
    let mut request = format!("CONNECT {address} HTTP/1.1\r\nHost: {address}\r\n");
    if let Some(authorization) = &proxy.authorization {
        if !is_value_text(authorization.as_bytes()) {
            return Err(HandshakeError::Unsendable("the authorization for the proxy").into());
        }
        request.extend(["Proxy-Authorization: ", authorization, "\r\n"]);
    }
    request.push_str("\r\n");
    let mut answer = AnswerReader::default();
    let read = |input: &mut &[u8]| answer.read_if(|status| (200..300).contains(&status), input);
    match exchange(&mut stream, request.as_bytes(), read).await {
        Ok(Some(_)) => Ok(stream),
        outcome => {
            let failure = answer.failure(outcome.err());
            match failure.downcast_ref() {
                Some(HandshakeError::Answered(response)) => {
                    Err(HandshakeError::ProxyAnswered(response.clone()).into())
                }
                _ => Err(failure),
            }
        }
    }
}

/// The opening handshake, up to the first byte of the WebSocket.
pub(super) async fn shake_hands(
    stream: &mut ByteStream,
    handshake: &ClientHandshake,
    after: Duration,
) -> Result<Agreed> {
    let mut request = Vec::new();
    handshake.encode(&mut request);
    let mut answer = AnswerReader::default();
    let read = |input: &mut &[u8]| answer.read(handshake, input);
    match timeout(after, exchange(stream, &request, read)).await {
        Ok(Ok(Some(agreed))) => Ok(agreed),
        Ok(outcome) => Err(answer.failure(outcome.err())),
        Err(_) => Err(answer.broken_off(HandshakeError::TimedOut).into()),
    }
}

impl AnswerReader {
    /// Why there is no agreement: `failure`, if it was not just the end, unless the server has refused before it.
    fn failure(&mut self, failure: Option<Failure>) -> Failure {
        match (self.broken_off(HandshakeError::Truncated), failure) {
            (HandshakeError::Truncated, Some(failure)) => failure,
            (error, _) => error.into(),
        }
    }
}

/// Sends a request, and reads until there is an answer; `None` at the end of the stream.
async fn exchange<T>(
    stream: &mut ByteStream,
    request: &[u8],
    mut read: impl FnMut(&mut &[u8]) -> Result<Option<T>, HandshakeError>,
) -> Result<Option<T>> {
    stream.writer().write_all(request).await?;
    loop {
        let reader = stream.reader();
        let data = reader.fill_buf().await?;
        if data.is_empty() {
            return Ok(None);
        }
        let mut input = data;
        let answer = read(&mut input);
        let count = data.len() - input.len();
        reader.consume(count);
        if let Some(answer) = answer? {
            return Ok(Some(answer));
        }
    }
}
