//! Requests and answers.

use std::cell::Cell;
use std::rc::Rc;

use futures_util::future::try_join_all;
use hyper::Request;
use hyper::client::conn::{http1, http2};
use hyper_util::server::conn::auto;
use wharf::hyper::{HyperExecutor, HyperStream, failure};

use super::{ADDRESS, Client, Http, Stage, TestBody, answer, run, run_each, serve, settle, text};

#[test]
fn a_connection_carries_one_request_after_the_other() {
    run_each(async |event_loop, stage| {
        let server = stage.serve(&event_loop).await?;
        let (mut client, running) = stage.connect(&event_loop).await?;
        for number in 0..20 {
            let response = client.get(&format!("/{number}")).await?;
            assert_eq!(text(response).await?, format!("hello /{number}"));
        }
        assert_eq!(server.connections(), 1);
        drop(client);
        running.await??;
        settle().await;
        assert_eq!(server.connections(), 0);
        server.close();
        Ok(())
    });
}

#[test]
fn many_connections_are_served_at_once() {
    run_each(async |event_loop, stage| {
        let server = stage.serve(&event_loop).await?;
        let most = Rc::new(Cell::new(0));
        let visits = (0..50).map(async |number: u32| {
            let (mut client, running) = stage.connect(&event_loop).await?;
            let said = text(client.get(&format!("/{number}")).await?).await?;
            assert_eq!(said, format!("hello /{number}"));
            most.set(most.get().max(server.connections()));
            let said = text(client.send("/echo", format!("{number}").into()).await?).await?;
            assert_eq!(said, number.to_string());
            drop(client);
            running.await?
        });
        try_join_all(visits).await?;
        assert!(most.get() > 25, "{}", most.get());
        server.close();
        Ok(())
    });
}

#[test]
fn streams_of_one_connection_are_served_at_once() {
    run(async |event_loop| {
        let server = Stage::plain(Http::Two).serve(&event_loop).await?;
        let (client, running) = Stage::plain(Http::Two).connect(&event_loop).await?;
        let Client::Two(client) = client else { unreachable!() };
        let began = event_loop.time();
        // Each takes five seconds.
        let visits = (0..50).map(async |_| {
            let mut client = Client::Two(client.clone());
            text(client.get("/late").await?).await
        });
        assert_eq!(try_join_all(visits).await?, ["late"; 50]);
        assert_eq!((event_loop.time() - began).as_secs(), 5);
        drop(client);
        running.await??;
        server.close();
        Ok(())
    });
}

/// A real loop, on TCP.
#[test]
fn it_works_on_sockets_of_the_system() {
    for http in [Http::One, Http::Two] {
        let event_loop = wharf::EventLoop::new().unwrap();
        let test = async |event_loop: wharf::EventLoop| {
            let handler = async move |reader, writer| serve(http, reader, writer).await;
            let server = event_loop.start_server(handler, "127.0.0.1:0").await?;
            let stream = event_loop.open_connection(server.local_address()?).await?;
            let mut client = match http {
                Http::One => {
                    let (client, connection) = http1::handshake(HyperStream::from(stream)).await?;
                    wharf::spawn(connection).detach();
                    Client::One(client)
                }
                Http::Two => {
                    let builder = http2::Builder::new(HyperExecutor);
                    let (client, connection) = builder.handshake(HyperStream::from(stream)).await?;
                    wharf::spawn(connection).detach();
                    Client::Two(client)
                }
            };
            let said = text(client.send("/echo", TestBody::made(5_000_000)).await?).await?;
            assert_eq!(said.len(), 5_000_000);
            assert_eq!(text(client.get("/again").await?).await?, "hello /again");
            Ok(())
        };
        event_loop.run(test).unwrap();
    }
}

/// hyper-util's server tells the versions apart by their first bytes.
#[test]
fn hyper_utils_auto_serves_both_versions() {
    run(async |event_loop| {
        let handler = async |reader, writer| {
            let stream = HyperStream::join(reader, writer);
            let builder = auto::Builder::new(HyperExecutor);
            let service = hyper::service::service_fn(answer);
            builder.serve_connection(stream, service).await.map_err(failure)
        };
        let server = event_loop.start_server(handler, ADDRESS).await?;
        for http in [Http::One, Http::Two] {
            let (mut client, running) = Stage::plain(http).connect(&event_loop).await?;
            assert_eq!(text(client.get("/both").await?).await?, "hello /both");
            drop(client);
            running.await??;
        }
        server.close();
        Ok(())
    });
}

/// HTTP/1 without a body, as `GET` has none.
#[test]
fn requests_without_a_body_are_answered() {
    run(async |event_loop| {
        let stage = Stage::plain(Http::One);
        let server = stage.serve(&event_loop).await?;
        let stream = stage.open(&event_loop).await?;
        let (mut client, connection) = http1::handshake(stream).await?;
        let running = wharf::spawn(connection);
        let request = Request::get("/").header("host", "h").body(String::new())?;
        assert_eq!(text(client.send_request(request).await?).await?, "hello /");
        drop(client);
        running.await??;
        server.close();
        Ok(())
    });
}
