//! A server of HTTP/1 and HTTP/2 on one loop: hyper's, with wharf's connections, timers and tasks.
//!
//! ```text
//! cargo run --release --example hyper_server -- --listen 127.0.0.1:8000
//! curl http://127.0.0.1:8000/ --next http://127.0.0.1:8000/echo -d hello
//! ```
//!
//! With `--tls` the client chooses the version by ALPN; without, HTTP/2 needs "prior knowledge"
//! (`curl --http2-prior-knowledge`).
#![forbid(unsafe_code)]

use std::pin::{Pin, pin};
use std::process::ExitCode;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::{Either, select};
use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::server::conn::auto;
use lexopt::Arg;
use wharf::hyper::{HyperExecutor, HyperStream, HyperTimer, failure};
use wharf::{Result, StreamReader, StreamWriter, TlsServer, timeout};

use wharf_examples::command_line::{missing, run, set_once};
use wharf_examples::serving::{Listen, serve_until_signal};
use wharf_examples::tls;

const USAGE: &str = "
Serves HTTP/1 and HTTP/2 until SIGINT or SIGTERM; then requests that are under way are answered.

usage: hyper_server --listen ADDRESS [TLS]    such as 127.0.0.1:8000, or :8000 for all interfaces

TLS is --tls                     with a certificate made on the spot; its fingerprint is printed
       --cert FILE --key FILE    with one of your own, in PEM

  GET /               says hello
  POST /echo          sends the body of the request back, as it comes
  GET /bytes/COUNT    sends so many bytes
";

/// For a request's head, and for the next request of a connection.
const PATIENCE: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    run(USAGE, |mut arguments| {
        let (mut listen, mut wants_tls, mut cert, mut key) = (None, false, None, None);
        while let Some(argument) = arguments.next()? {
            match argument {
                Arg::Long("listen") => set_once(&mut listen, Listen::address(&mut arguments)?)?,
                Arg::Long("tls") => wants_tls = true,
                Arg::Long("cert") => cert = Some(arguments.value()?.into()),
                Arg::Long("key") => key = Some(arguments.value()?.into()),
                other => return Err(other.unexpected().into()),
            }
        }
        let Some(Listen::Address(address)) = listen else {
            return Err(missing("--listen ADDRESS").into());
        };
        let wants_tls = wants_tls || cert.is_some() || key.is_some();
        let tls = wants_tls.then(|| tls::server_with(cert, key, &["h2", "http/1.1"]));
        serve(address, tls.transpose()?)
    })
}

fn serve(address: String, tls: Option<TlsServer>) -> Result {
    wharf::run(async |event_loop| {
        let mut server = event_loop.start_server(serve_connection, address);
        if let Some(tls) = &tls {
            server = server.tls(tls);
        }
        let server = server.await?;
        if let Some(tls) = &tls {
            tls::print_fingerprint(&event_loop, tls);
        }
        serve_until_signal(server).await
    })
}

/// One connection, with all its requests.
async fn serve_connection(mut reader: StreamReader, writer: StreamWriter) -> Result {
    // hyper-util looks at the first bytes for as long as they take to come.
    if timeout(PATIENCE, reader.peek(1)).await??.is_empty() {
        return Ok(());
    }
    let stream = HyperStream::join(reader, writer);
    let shutdown = pin!(stream.shutting_down());
    let mut builder = auto::Builder::new(HyperExecutor);
    builder.http1().timer(HyperTimer).header_read_timeout(PATIENCE);
    builder.http2().timer(HyperTimer).keep_alive_interval(PATIENCE).keep_alive_timeout(PATIENCE);
    let mut connection = pin!(builder.serve_connection(stream, service_fn(answer)));
    if let Either::Left((outcome, _)) = select(connection.as_mut(), shutdown).await {
        return outcome.map_err(failure);
    }
    // The server shuts down: what is under way comes to its end.
    connection.as_mut().graceful_shutdown();
    connection.await.map_err(failure)
}

/// One request. What it returns is made here, on the loop's thread: it could use what the loop has.
async fn answer(request: Request<Incoming>) -> hyper::http::Result<Response<Content>> {
    let path = request.uri().path();
    let count = path.strip_prefix("/bytes/").and_then(|count| count.parse().ok());
    let (status, content) = match (request.method(), path, count) {
        (&Method::GET, "/", _) => {
            (StatusCode::OK, Content::text(format!("hello by {:?}\n", request.version())))
        }
        (&Method::POST, "/echo", _) => (StatusCode::OK, Content::Passed(request.into_body())),
        (&Method::GET, _, Some(count)) => (StatusCode::OK, Content::Made { left: count }),
        _ => (StatusCode::NOT_FOUND, Content::text("there is nothing here\n")),
    };
    Response::builder().status(status).body(content)
}

/// What a response has in it. hyper asks for the next piece when the client has taken the last.
enum Content {
    Text(Option<Bytes>),
    Passed(Incoming),
    Made { left: u64 },
}

impl Content {
    fn text(text: impl Into<Bytes>) -> Self {
        Self::Text(Some(text.into()))
    }
}

impl Body for Content {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        static PIECE: [u8; 64 * 1024] = [b'x'; 64 * 1024];

        match self.get_mut() {
            Self::Text(text) => Poll::Ready(text.take().map(|text| Ok(Frame::data(text)))),
            Self::Passed(body) => Pin::new(body).poll_frame(context),
            Self::Made { left: 0 } => Poll::Ready(None),
            Self::Made { left } => {
                let length = PIECE.len().min(usize::try_from(*left).unwrap_or(PIECE.len()));
                *left -= length as u64;
                Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&PIECE[..length])))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Text(None) | Self::Made { left: 0 })
    }
}
