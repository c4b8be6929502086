//! hyper on a loop: clients and servers of HTTP/1 and HTTP/2 in memory and in virtual time, with TLS and without.
#![forbid(unsafe_code)]

mod bodies;
mod endings;
mod on_tokio;
mod requests;
mod runtime;
mod stream;
mod timeouts;

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::future::{Either, select};
use http_body_util::BodyExt as _;
use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper::client::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Request, Response, server};
use wharf::hyper::{HyperExecutor, HyperStream, HyperTimer, failure};
use wharf::testing::MemoryNetwork;
use wharf::{
    ByteStream, Error, EventLoop, Failure, LoopFuture, Result, Server, StreamReader, StreamWriter,
    Task, TlsVersion, Transport as _,
};
use wharf_test_support::encryption::Tls;

const ADDRESS: &str = "10.0.0.1:80";

/// Runs `test` on a loop in virtual time, and sees that nothing is left and nothing was reported.
fn run(test: impl AsyncFnOnce(EventLoop) -> Result) {
    let reported = run_reporting(test);
    assert!(reported.is_empty(), "{reported:?}");
}

/// As [`run`]; gives what was reported.
fn run_reporting(test: impl AsyncFnOnce(EventLoop) -> Result) -> Vec<String> {
    let network = MemoryNetwork::new();
    let event_loop = network.event_loop();
    let reports = Rc::new(RefCell::new(Vec::new()));
    let log = Rc::clone(&reports);
    event_loop.set_exception_handler(move |_, exception| {
        log.borrow_mut().push(exception.to_string());
    });
    event_loop.run(test).unwrap();
    event_loop
        .run(async |event_loop| {
            // What was closed has its time to go.
            event_loop.sleep(Duration::from_secs(60)).await;
            let left = event_loop.statistics();
            assert_eq!((left.connections_open, left.tasks, left.timers), (0, 0, 0), "{left:?}");
            Ok(())
        })
        .unwrap();
    reports.take()
}

/// What a connection is: the version of HTTP, and whether there is TLS.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Http {
    One,
    Two,
}

/// Runs `test` for each version of HTTP, without TLS and with each version of it.
fn run_each(test: impl AsyncFn(EventLoop, Stage) -> Result) {
    for http in [Http::One, Http::Two] {
        for tls in [None, Some(TlsVersion::Tls12), Some(TlsVersion::Tls13)] {
            let stage = Stage { http, tls: tls.map(|version| Rc::new(Tls::new(version))) };
            run(async |event_loop| test(event_loop, stage).await);
        }
    }
}

/// How clients and servers of a test talk.
#[derive(Clone)]
struct Stage {
    http: Http,
    tls: Option<Rc<Tls>>,
}

impl Stage {
    fn plain(http: Http) -> Self {
        Self { http, tls: None }
    }

    /// A server of [`answer`].
    async fn serve(&self, event_loop: &EventLoop) -> Result<Server> {
        let http = self.http;
        let server = async move |reader, writer| serve(http, reader, writer).await;
        let mut builder = event_loop.start_server(server, ADDRESS);
        if let Some(tls) = &self.tls {
            builder = builder.tls(&tls.server);
        }
        Ok(builder.await?)
    }

    async fn open(&self, event_loop: &EventLoop) -> Result<HyperStream> {
        let mut builder = event_loop.open_connection(ADDRESS);
        if let Some(tls) = &self.tls {
            builder = builder.tls(&tls.client);
        }
        Ok(builder.await?.into())
    }

    /// A client, and the task that drives its connection.
    async fn connect(&self, event_loop: &EventLoop) -> Result<(Client, Task<Result>)> {
        self.drive(self.open(event_loop).await?).await
    }

    async fn drive(&self, stream: HyperStream) -> Result<(Client, Task<Result>)> {
        let (client, running) = self.drive_here(stream).await?;
        Ok((client, wharf::spawn(running)))
    }

    /// A client, and what drives its connection.
    async fn drive_here(
        &self,
        stream: HyperStream,
    ) -> Result<(Client, Pin<Box<dyn Future<Output = Result>>>)> {
        Ok(match self.http {
            Http::One => {
                let (client, connection) = http1::handshake(stream).await?;
                (Client::One(client), Box::pin(async { connection.await.map_err(failure) }))
            }
            Http::Two => {
                let builder = http2::Builder::new(HyperExecutor);
                let (client, connection) = builder.handshake(stream).await?;
                (Client::Two(client), Box::pin(async { connection.await.map_err(failure) }))
            }
        })
    }
}

enum Client {
    One(http1::SendRequest<TestBody>),
    Two(http2::SendRequest<TestBody>),
}

impl Client {
    async fn get(&mut self, path: &str) -> Result<Response<Incoming>, hyper::Error> {
        self.send(path, TestBody::from("")).await
    }

    async fn send(
        &mut self,
        path: &str,
        body: TestBody,
    ) -> Result<Response<Incoming>, hyper::Error> {
        let uri = format!("http://server.test{path}");
        let request = Request::post(uri).header("host", "server.test").body(body).unwrap();
        match self {
            Self::One(client) => {
                client.ready().await?;
                client.send_request(request).await
            }
            Self::Two(client) => {
                client.ready().await?;
                client.send_request(request).await
            }
        }
    }
}

async fn text(response: Response<Incoming>) -> Result<String> {
    let bytes = response.into_body().collect().await?.to_bytes();
    Ok(String::from_utf8(bytes.into())?)
}

/// Serves one connection, and ends it well when the server shuts down.
async fn serve(http: Http, reader: StreamReader, writer: StreamWriter) -> Result {
    let stream = HyperStream::join(reader, writer);
    let shutdown = pin!(stream.shutting_down());
    let service = service_fn(answer);
    match http {
        Http::One => {
            let mut builder = server::conn::http1::Builder::new();
            builder.timer(HyperTimer).header_read_timeout(Duration::from_secs(30));
            let mut connection = pin!(builder.serve_connection(stream, service));
            if let Either::Left((outcome, _)) = select(connection.as_mut(), shutdown).await {
                return outcome.map_err(failure);
            }
            connection.as_mut().graceful_shutdown();
            connection.await.map_err(failure)
        }
        Http::Two => {
            let mut builder = server::conn::http2::Builder::new(HyperExecutor);
            builder
                .timer(HyperTimer)
                .keep_alive_interval(Duration::from_secs(30))
                .keep_alive_timeout(Duration::from_secs(10));
            let mut connection = pin!(builder.serve_connection(stream, service));
            if let Either::Left((outcome, _)) = select(connection.as_mut(), shutdown).await {
                return outcome.map_err(failure);
            }
            connection.as_mut().graceful_shutdown();
            connection.await.map_err(failure)
        }
    }
}

/// The service of the tests.
async fn answer(request: Request<Incoming>) -> Result<Response<TestBody>, Infallible> {
    let path = request.uri().path().to_owned();
    let body = match path.split('/').skip(1).collect::<Vec<_>>()[..] {
        ["echo"] => TestBody::Incoming(request.into_body()),
        ["made", count] => TestBody::made(count.parse().unwrap()),
        ["count"] => {
            let mut body = request.into_body();
            let mut count = 0;
            while let Some(frame) = body.frame().await {
                match frame {
                    Ok(frame) => count += frame.data_ref().map_or(0, Bytes::len),
                    Err(_) => break,
                }
            }
            count.to_string().into()
        }
        // Reads nothing of the body for a while.
        ["late"] => {
            wharf::sleep(Duration::from_secs(5)).await;
            "late".into()
        }
        ["panic"] => panic!("asked to"),
        ["cut"] => TestBody::Cut { first: true },
        _ => format!("hello {path}").into(),
    };
    Ok(Response::new(body))
}

enum TestBody {
    Text(Option<Bytes>),
    Incoming(Incoming),
    /// So many bytes, made when they are asked for.
    Made {
        left: usize,
        made: Rc<Cell<usize>>,
    },
    /// Fails after a few bytes.
    Cut {
        first: bool,
    },
    /// Never ends, and has nothing.
    Silent,
    /// Another one, once it is there.
    Later(LoopFuture<TestBody>, Option<Box<TestBody>>),
}

const PIECE: &[u8] = &[b'x'; 16 * 1024];

impl TestBody {
    fn made(count: usize) -> Self {
        Self::Made { left: count, made: Rc::default() }
    }
}

impl<T: Into<Bytes>> From<T> for TestBody {
    fn from(text: T) -> Self {
        Self::Text(Some(text.into()))
    }
}

impl Body for TestBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let body = self.get_mut();
        match body {
            Self::Text(text) => Poll::Ready(text.take().map(|text| Ok(Frame::data(text)))),
            Self::Incoming(body) => {
                Pin::new(body).poll_frame(context).map_err(|error| Failure::from(error).into())
            }
            Self::Made { left: 0, .. } => Poll::Ready(None),
            Self::Made { left, made } => {
                let part = (*left).min(PIECE.len());
                *left -= part;
                made.set(made.get() + part);
                Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&PIECE[..part])))))
            }
            Self::Cut { first: true } => {
                *body = Self::Cut { first: false };
                Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"some")))))
            }
            Self::Cut { first: false } => Poll::Ready(Some(Err("no more".into()))),
            Self::Silent => Poll::Pending,
            Self::Later(_, Some(body)) => Pin::new(&mut **body).poll_frame(context),
            Self::Later(waiting, there) => {
                let body = there.insert(Box::new(ready!(Pin::new(waiting).poll(context))?));
                Pin::new(&mut **body).poll_frame(context)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Text(None) | Self::Made { left: 0, .. })
    }
}

/// Has `peer` end the connection while there is something that it has not read.
fn reset(stream: &ByteStream, peer: &ByteStream) {
    peer.writer().transport().pause_reading();
    stream.writer().write(b"unread");
    peer.writer().abort();
}

/// Polls `future` once.
async fn poll_once<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    poll_fn(|context| match Pin::new(&mut *future).poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

/// Lets the loop run until nothing is left to do.
async fn settle() {
    for _ in 0..50 {
        wharf::sleep(Duration::ZERO).await;
    }
}
