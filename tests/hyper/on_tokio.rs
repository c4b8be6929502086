//! hyper on wharf talks to hyper on tokio, over TCP: each is the other's client and server.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::thread;

use futures_util::future::{Either, select};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Request, Response, server};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use wharf::EventLoop;

use super::{Http, Stage, TestBody, serve, text};

const MUCH: usize = 1_000_000;

#[test]
fn tokios_client_is_served() {
    for http in [Http::One, Http::Two] {
        EventLoop::new()
            .unwrap()
            .run(async |event_loop| {
                let handler = async move |reader, writer| serve(http, reader, writer).await;
                let server = event_loop.start_server(handler, "127.0.0.1:0").await?;
                let address = server.local_address()?.as_ip().expect("an address of TCP");
                let client = event_loop.run_in_executor(move || on_tokio(fetch(http, address)));
                let answers = client.await??;
                assert_eq!(answers[0], b"hello /");
                assert_eq!(answers[1], vec![b'y'; MUCH]);
                server.close();
                Ok(())
            })
            .unwrap();
    }
}

#[test]
fn tokios_server_answers() {
    for http in [Http::One, Http::Two] {
        let (ready, address) = std::sync::mpsc::channel();
        let (end, ended) = oneshot::channel();
        let server = thread::spawn(move || {
            on_tokio(async move {
                let listener = TcpListener::bind("127.0.0.1:0").await?;
                ready.send(listener.local_addr()?)?;
                let (stream, _) = listener.accept().await?;
                match select(pin!(echo(http, stream)), ended).await {
                    Either::Left((outcome, _)) => outcome,
                    Either::Right(_) => Ok(()),
                }
            })
        });
        let address = address.recv().unwrap();
        EventLoop::new()
            .unwrap()
            .run(async |event_loop| {
                let stream = event_loop.open_connection(address).await?;
                let stage = Stage::plain(http);
                let (mut client, running) = stage.drive(stream.into()).await?;
                let said = text(client.send("/", TestBody::made(MUCH)).await?).await?;
                assert_eq!(said.len(), MUCH);
                assert_eq!(text(client.send("/", "again".into()).await?).await?, "again");
                drop(client);
                running.await?
            })
            .unwrap();
        let _ = end.send(());
        server.join().unwrap().unwrap();
    }
}

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn on_tokio<T>(future: impl Future<Output = Outcome<T>>) -> Outcome<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(future)
}

/// Asks for two things, and gives what was answered.
async fn fetch(http: Http, address: SocketAddr) -> Outcome<Vec<Vec<u8>>> {
    let stream = TokioIo::new(TcpStream::connect(address).await?);
    let requests = [("/", vec![]), ("/echo", vec![b'y'; MUCH])].map(|(path, body)| {
        let uri = format!("http://server.test{path}");
        Request::post(uri).header("host", "server.test").body(Full::new(Bytes::from(body)))
    });
    match http {
        Http::One => {
            let (client, connection) = http1::handshake(stream).await?;
            let send = async |client: &mut http1::SendRequest<_>, request| {
                client.ready().await?;
                client.send_request(request).await
            };
            ask(client, connection, requests, send).await
        }
        Http::Two => {
            let (client, connection) = http2::handshake(TokioExecutor::new(), stream).await?;
            let send = async |client: &mut http2::SendRequest<_>, request| {
                client.ready().await?;
                client.send_request(request).await
            };
            ask(client, connection, requests, send).await
        }
    }
}

/// Sends one request after the other over a connection, and then ends it.
async fn ask<C>(
    mut client: C,
    connection: impl Future<Output = hyper::Result<()>> + Send + 'static,
    requests: [Result<Request<Full<Bytes>>, hyper::http::Error>; 2],
    send: impl AsyncFn(&mut C, Request<Full<Bytes>>) -> hyper::Result<Response<Incoming>>,
) -> Outcome<Vec<Vec<u8>>> {
    let running = tokio::spawn(connection);
    let mut answers = Vec::new();
    for request in requests {
        answers.push(body_of(send(&mut client, request?).await?).await?);
    }
    drop(client);
    running.await??;
    Ok(answers)
}

async fn body_of(response: Response<Incoming>) -> Outcome<Vec<u8>> {
    Ok(response.into_body().collect().await?.to_bytes().into())
}

/// Serves one connection: what was sent comes back.
async fn echo(http: Http, stream: TcpStream) -> Outcome<()> {
    let service = service_fn(async |request: Request<Incoming>| {
        Ok::<_, Infallible>(Response::new(request.into_body()))
    });
    let stream = TokioIo::new(stream);
    match http {
        Http::One => server::conn::http1::Builder::new().serve_connection(stream, service).await?,
        Http::Two => {
            let builder = server::conn::http2::Builder::new(TokioExecutor::new());
            builder.serve_connection(stream, service).await?;
        }
    }
    Ok(())
}
