use std::any::Any;

use wharf::Result;

use super::Exchange;
use crate::http::{Headers, HttpError, RequestHead};

/// Answers the requests of one connection, by callbacks. For a server of `async` functions see
/// [`HttpServer::serve`](super::HttpServer::serve).
///
/// Nothing is allocated for a request that comes in one piece and is answered at once: the head is lent, and the answers to
/// requests that came together are put into one buffer, which the server's connections share, and written at once.
///
/// One request is handled after the other. An answer that comes [later](Exchange::later) holds the next request back, and
/// with it the reading; so what a client sends in advance is bounded.
///
/// ```
/// use wharf::Result;
/// use wharf::testing::Recorder;
/// use wharf_protocols::http::{Exchange, HttpHandler, HttpServer, RequestHead};
///
/// struct Plain;
///
/// impl HttpHandler for Plain {
///     fn request(&mut self, request: &RequestHead<'_>, exchange: &mut Exchange<'_>) -> Result {
///         match request.path() {
///             "/plaintext" => exchange.respond(200, &[("Content-Type", b"text/plain")], b"Hello, World!")?,
///             _ => exchange.respond(404, &[], b"")?,
///         }
///         Ok(())
///     }
/// }
///
/// # fn main() -> Result {
/// let server = HttpServer::new().date(false).standard_fields(&[])?;
/// let mut recorder = Recorder::new(server.serve_with(|| Plain))?;
/// recorder.receive(b"GET /plaintext HTTP/1.1\r\nHost: x\r\n\r\n")?;
/// let answer = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, World!";
/// assert_eq!(recorder.sent()?, answer);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// An `Err` of any callback is answered by 500 if the answer has not begun, ends the connection, and goes to the exception
/// handler.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an `HttpHandler`",
    label = "`HttpServer::serve_with` wants a function that makes a handler for each connection",
    note = "an `async` function of requests is passed to `HttpServer::serve`"
)]
pub trait HttpHandler: Any {
    /// A request's head has come. Content follows by [`data`](Self::data), then [`end`](Self::end); both can be answered
    /// from.
    ///
    /// If the client waits for `100 Continue`, it gets that when this returns without an answer. Content that comes after
    /// the answer is complete is discarded, and none of it given to the handler.
    fn request(&mut self, request: &RequestHead<'_>, exchange: &mut Exchange<'_>) -> Result;

    /// Some of the content has come.
    fn data(&mut self, data: &[u8], exchange: &mut Exchange<'_>) -> Result {
        let _ = (data, exchange);
        Ok(())
    }

    /// The fields behind chunked content have come.
    fn trailers(&mut self, trailers: Headers<'_>, exchange: &mut Exchange<'_>) -> Result {
        let _ = (trailers, exchange);
        Ok(())
    }

    /// The request is over. Not called for one that was answered before.
    fn end(&mut self, exchange: &mut Exchange<'_>) -> Result {
        let _ = exchange;
        Ok(())
    }

    /// The client takes more of the answer again, after a write said that too much was waiting.
    fn writable(&mut self, exchange: &mut Exchange<'_>) -> Result {
        let _ = exchange;
        Ok(())
    }

    /// The request under way ends without an answer: the client broke a rule (the error, which has been answered), was too
    /// slow, or went away. Not called for one whose answer is complete.
    fn aborted(&mut self, error: Option<&HttpError>) {
        let _ = error;
    }
}
