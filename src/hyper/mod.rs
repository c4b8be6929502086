//! [hyper] on a loop, for HTTP/1 and HTTP/2: hyper's own traits for what wharf has. With the feature `hyper`.
//!
//! - [`HyperStream`] is a connection that hyper reads and writes.
//! - [`HyperTimer`] has its timeouts go by the loop's time.
//! - [`HyperExecutor`] runs what HTTP/2 has hyper spawn, as tasks of the loop: they need not be `Send`.
//! - [`failure`] tells a peer's fault from one of your own, in what hyper ends a connection with.
//!
//! hyper itself is a dependency of your own, with the features that you need of it. Everything of a connection stays
//! on the loop's thread, so services may use `Rc` and `Cell`, and all that this loop has.
//!
//! ```
//! # use std::convert::Infallible;
//! # use std::pin::pin;
//! use hyper::service::service_fn;
//! use hyper::{Request, Response, body::Incoming};
//! use wharf::hyper::{HyperStream, HyperTimer, failure};
//! use wharf::{EventLoop, Result, StreamReader, StreamWriter};
//! # use wharf::testing::MemoryNetwork;
//!
//! async fn greet(request: Request<Incoming>) -> Result<Response<String>, Infallible> {
//!     Ok(Response::new(format!("hello {}\n", request.uri().path())))
//! }
//!
//! /// What `start_server` runs for each connection.
//! async fn serve(reader: StreamReader, writer: StreamWriter) -> Result {
//!     let stream = HyperStream::join(reader, writer);
//!     let mut shutdown = pin!(stream.shutting_down());
//!     let mut builder = hyper::server::conn::http1::Builder::new();
//!     builder.timer(HyperTimer);
//!     let mut connection = pin!(builder.serve_connection(stream, service_fn(greet)));
//!     let ended = futures_util::future::select(connection.as_mut(), shutdown.as_mut()).await;
//!     if let futures_util::future::Either::Left((outcome, _)) = ended {
//!         return outcome.map_err(failure);
//!     }
//!     // The server shuts down: the request that is under way is the last.
//!     connection.as_mut().graceful_shutdown();
//!     connection.await.map_err(failure)
//! }
//!
//! # fn main() -> Result {
//! # MemoryNetwork::new().event_loop().run(async |event_loop| {
//! event_loop.start_server(serve, "10.0.0.1:80").await?;
//!
//! let halves = event_loop.open_connection("10.0.0.1:80").await?;
//! let stream = HyperStream::from(halves);
//! let (mut client, connection) = hyper::client::conn::http1::handshake(stream).await?;
//! // It does what is sent and received, until the client is dropped.
//! let running = wharf::spawn(async { connection.await.map_err(failure) });
//! let request = Request::get("/world").header("host", "10.0.0.1").body(String::new())?;
//! let response = client.send_request(request).await?;
//! assert_eq!(response.status(), 200);
//! drop(client);
//! running.await??;
//! # Ok(())
//! # })
//! # }
//! ```
//!
//! hyper wants errors of services and bodies to be [`std::error::Error`]s: [`Error`](crate::Error) is one,
//! [`Failure`](crate::Failure) is not.
//!
//! HTTP/2 differs in the builder: `http2::Builder::new(HyperExecutor)`. `examples/hyper` has a server for both, by TLS
//! or without, and a client.
//!
//! hyper's `with_upgrades` of HTTP/1 wants a connection that is `Send`, which none of a loop is. There,
//! `without_shutdown` of both of hyper's connections gives the [`HyperStream`] back, with what was read ahead.
//!
//! [hyper]: https://docs.rs/hyper

mod executor;
mod failure;
mod stream;
mod timer;

pub use self::executor::HyperExecutor;
pub use self::failure::failure;
pub use self::stream::HyperStream;
pub use self::timer::{HyperSleep, HyperTimer};
