//! WebSockets of an HTTP server of this crate, on the port of everything else that it serves.

#[cfg(test)]
mod tests;

use std::rc::Rc;

use wharf::{Result, Transport as _};

use super::{
    Acceptance, HandshakeError, Role, ServerHandshake, UpgradeRequest, WebSocketOptions,
    WebSocketProtocol, WebSocketSession, WebSocketStream,
};
use crate::http::{Body, Exchange, HttpError, RequestHead};

/// # On the port of an HTTP server
///
/// Of the requests to an [`HttpServer`](crate::http::HttpServer), those for a WebSocket go on as one. The handler chooses
/// which by their path.
impl ServerHandshake {
    /// The answer of an `async` service to a request for a WebSocket. `serve` is called with it in a task of its own, whose
    /// `Err` goes to the loop's exception handler; dropping it closes the WebSocket. A request that is not accepted is
    /// refused, and `serve` not called.
    ///
    /// ```
    /// use std::rc::Rc;
    ///
    /// use wharf::testing::MemoryNetwork;
    /// use wharf_protocols::http::{Body, HttpServer, RequestBody};
    /// use wharf_protocols::websocket::{
    ///     OwnedMessage, ServerHandshake, WebSocketOptions, WebSocketStream,
    /// };
    ///
    /// async fn echo(mut socket: WebSocketStream) -> wharf::Result {
    ///     while let Some(message) = socket.next().await {
    ///         socket.send(&message?).await?;
    ///     }
    ///     Ok(())
    /// }
    ///
    /// # fn main() -> wharf::Result {
    /// MemoryNetwork::new().event_loop().run(async |event_loop| {
    ///     let handshake = ServerHandshake::new();
    ///     let options = Rc::new(WebSocketOptions::new());
    ///     let service = async move |request: http::Request<RequestBody>| match request.uri().path() {
    ///         "/echo" => handshake.respond(&request, Rc::clone(&options), echo),
    ///         _ => http::Response::new(Body::from("There is a WebSocket at /echo.\n")),
    ///     };
    ///     event_loop.create_server(HttpServer::new().serve(service), "10.0.0.1:80").await?;
    ///
    ///     let options = WebSocketOptions::new();
    ///     let mut socket = WebSocketStream::connect(&event_loop, "ws://10.0.0.1/echo", options).await?;
    ///     socket.send("hello").await?;
    ///     let answer = socket.next().await.transpose()?;
    ///     assert_eq!(answer, Some(OwnedMessage::Text("hello".to_owned())));
    ///     Ok(())
    /// })
    /// # }
    /// ```
    pub fn respond<B, F>(
        &self,
        request: &http::Request<B>,
        options: impl Into<Rc<WebSocketOptions>>,
        serve: F,
    ) -> http::Response<Body>
    where
        F: AsyncFnOnce(WebSocketStream) -> Result + 'static,
    {
        let acceptance = match of_http(request).and_then(|request| self.accept(&request)) {
            Ok(acceptance) => acceptance,
            Err(error) => return refusal(&error),
        };
        let (agreed, options) = (acceptance.agreed().clone(), options.into());
        let body = Body::upgrade(move |stream| {
            let event_loop = stream.writer().transport().event_loop();
            let task = async move {
                let opened = WebSocketStream::upgraded(stream, Role::Server, agreed, options);
                serve(opened.await?).await
            };
            event_loop.create_task(task).detach();
        });
        switching(&acceptance, body)
    }

    /// As [`respond`](Self::respond), with a protocol's callbacks: [`WebSocketProtocol::request_received`] can refuse.
    pub fn respond_with<B>(
        &self,
        request: &http::Request<B>,
        options: impl Into<Rc<WebSocketOptions>>,
        mut protocol: impl WebSocketProtocol,
    ) -> http::Response<Body> {
        let accepted = of_http(request).and_then(|request| self.ask(&request, &mut protocol));
        let acceptance = match accepted {
            Ok(acceptance) => acceptance,
            Err(error) => return refusal(&error),
        };
        let (agreed, options) = (acceptance.agreed().clone(), options.into());
        let body = Body::upgrade(move |stream| {
            // Both halves are of this connection: it does not fail.
            let _ =
                WebSocketSession::take_over_stream(stream, Role::Server, protocol, agreed, options);
        });
        switching(&acceptance, body)
    }

    /// Answers a request for a WebSocket in the callback of an [`HttpHandler`](crate::http::HttpHandler); the connection
    /// goes on with `protocol`. A request that is not accepted is refused, and `protocol` dropped.
    ///
    /// ```
    /// use wharf::Result;
    /// use wharf_protocols::http::{Exchange, HttpHandler, RequestHead};
    /// use wharf_protocols::websocket::{
    ///     ServerHandshake, WebSocket, WebSocketOptions, WebSocketProtocol,
    /// };
    ///
    /// struct Greeter;
    ///
    /// impl WebSocketProtocol for Greeter {
    ///     fn opened(&mut self, socket: &WebSocket) -> Result {
    ///         socket.send_text("hello")?;
    ///         Ok(())
    ///     }
    /// }
    ///
    /// struct Site;
    ///
    /// impl HttpHandler for Site {
    ///     fn request(&mut self, request: &RequestHead<'_>, exchange: &mut Exchange<'_>) -> Result {
    ///         match request.path() {
    ///             "/hello" => {
    ///                 let options = WebSocketOptions::new();
    ///                 ServerHandshake::new().answer(request, exchange, options, Greeter)?;
    ///             }
    ///             _ => exchange.respond(404, &[], b"")?,
    ///         }
    ///         Ok(())
    ///     }
    /// }
    /// # let _ = Site;
    /// ```
    ///
    /// # Errors
    /// As for [`Exchange::respond`].
    pub fn answer(
        &self,
        request: &RequestHead<'_>,
        exchange: &mut Exchange<'_>,
        options: impl Into<Rc<WebSocketOptions>>,
        mut protocol: impl WebSocketProtocol,
    ) -> Result<(), HttpError> {
        let accepted = of_head(request).and_then(|request| self.ask(&request, &mut protocol));
        let acceptance = match accepted {
            Ok(acceptance) => acceptance,
            Err(error) => {
                let fields = refusal_fields(&error).map(|(name, value)| (name, value.as_bytes()));
                let fields: Vec<_> = fields.collect();
                return exchange.respond(refusal_status(&error), &fields, &words(&error));
            }
        };
        let fields: Vec<_> =
            acceptance.fields().map(|(name, value)| (name, value.as_bytes())).collect();
        let (agreed, options) = (acceptance.agreed().clone(), options.into());
        exchange.later()?.upgrade(101, &fields, move |stream| {
            // Both halves are of this connection: it does not fail.
            let _ =
                WebSocketSession::take_over_stream(stream, Role::Server, protocol, agreed, options);
        })
    }

    /// Accepts a request, if the protocol does.
    fn ask(
        &self,
        request: &UpgradeRequest,
        protocol: &mut impl WebSocketProtocol,
    ) -> Result<Acceptance, HandshakeError> {
        let acceptance = self.accept(request)?;
        protocol.request_received(request, acceptance)
    }
}

fn of_http<B>(request: &http::Request<B>) -> Result<UpgradeRequest, HandshakeError> {
    if request.version() != http::Version::HTTP_11 {
        return Err(HandshakeError::HttpVersion);
    }
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
    let fields = request.headers().iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    UpgradeRequest::from_fields(request.method().as_str(), target, fields)
}

fn of_head(head: &RequestHead<'_>) -> Result<UpgradeRequest, HandshakeError> {
    if head.version() != crate::http::Version::Http11 {
        return Err(HandshakeError::HttpVersion);
    }
    let path = match head.path() {
        "" => "/",
        path => path,
    };
    let target = match head.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    UpgradeRequest::from_fields(head.method(), &target, head.headers())
}

fn switching(acceptance: &Acceptance, body: Body) -> http::Response<Body> {
    let mut response = http::Response::new(body);
    *response.status_mut() = http::StatusCode::SWITCHING_PROTOCOLS;
    add_fields(&mut response, acceptance.fields());
    response
}

fn refusal(error: &HandshakeError) -> http::Response<Body> {
    let mut response = http::Response::new(Body::from(words(error)));
    let status = http::StatusCode::from_u16(refusal_status(error));
    *response.status_mut() = status.unwrap_or(http::StatusCode::BAD_REQUEST);
    add_fields(&mut response, refusal_fields(error));
    response
}

fn refusal_status(error: &HandshakeError) -> u16 {
    match error {
        // Some other request, such as one of a browser that was given the address (RFC 9110, 15.5.22).
        HandshakeError::Field { name: "Upgrade" | "Connection", .. } => 426,
        error if (400..600).contains(&error.status()) => error.status(),
        // What is no refusal is not sent as one.
        _ => 500,
    }
}

fn words(error: &HandshakeError) -> Vec<u8> {
    format!("{error}\n").into_bytes()
}

/// What a client can do about it (RFC 6455, 4.4; RFC 9110, 15.5.6 and 15.5.22).
fn refusal_fields(error: &HandshakeError) -> impl Iterator<Item = (&'static str, &'static str)> {
    let more: &[_] = match refusal_status(error) {
        405 => &[("Allow", "GET")],
        426 => {
            &[("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Version", "13")]
        }
        _ => &[],
    };
    std::iter::once(&("Content-Type", "text/plain; charset=utf-8")).chain(more).copied()
}

/// A protocol may have added fields several times. All of them have been checked.
fn add_fields<'f>(
    response: &mut http::Response<Body>,
    fields: impl Iterator<Item = (&'f str, &'f str)>,
) {
    for (name, value) in fields {
        let name = http::HeaderName::from_bytes(name.as_bytes());
        if let (Ok(name), Ok(value)) = (name, http::HeaderValue::from_str(value)) {
            response.headers_mut().append(name, value);
        }
    }
}
