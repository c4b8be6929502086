//! Peers that go away, requests that are given up, services that fail, and servers that shut down.

use std::error::Error as _;
use std::io::{self, ErrorKind};
use std::time::Duration;

use futures_util::future::join;
use http_body_util::BodyExt as _;
use hyper::server;
use hyper::service::service_fn;
use wharf::hyper::{HyperExecutor, HyperStream, failure};
use wharf::{ByteStream, Error, Transport as _, timeout};

use super::{
    ADDRESS, Http, Stage, TestBody, answer, poll_once, reset, run, run_each, run_reporting, settle,
    text,
};

/// A report would fail the test.
#[test]
fn a_client_that_resets_its_connection_is_no_failure_of_the_server() {
    run_each(async |event_loop, stage| {
        let server = stage.serve(&event_loop).await?;
        for path in ["/late", "/made/10000000", "/echo", "/count"] {
            let stream = stage.open(&event_loop).await?;
            let transport = stream.get_ref().writer().transport();
            let (mut client, running) = stage.drive(stream).await?;
            let body = TestBody::Silent;
            let asking = wharf::spawn(async move { client.send(path, body).await.map(drop) });
            settle().await;
            transport.abort();
            event_loop.sleep(Duration::from_secs(10)).await;
            assert_eq!(server.connections(), 0, "{path}");
            // An answer may have come before.
            let _ = asking.await?;
            let _ = running.await?;
        }
        server.close();
        Ok(())
    });
}

#[test]
fn a_client_is_told_of_a_server_that_goes_away() {
    run_each(async |event_loop, stage| {
        let server = stage.serve(&event_loop).await?;
        let (mut client, running) = stage.connect(&event_loop).await?;
        let asking = wharf::spawn(async move { text(client.get("/late").await?).await });
        settle().await;
        server.abort_clients();
        assert!(asking.await?.is_err());
        let _ = running.await?;
        server.close();
        Ok(())
    });
}

/// The input ends in the middle of a body.
#[test]
fn a_body_that_is_cut_short_is_an_error() {
    run(async |event_loop| {
        let handler = async |mut reader: wharf::StreamReader, writer: wharf::StreamWriter| {
            reader.read_until(b"\r\n\r\n").await?;
            writer.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf").await?;
            Ok(())
        };
        let server = event_loop.start_server(handler, ADDRESS).await?;
        let (mut client, running) = Stage::plain(Http::One).connect(&event_loop).await?;
        let response = client.get("/").await?;
        let error = text(response).await.unwrap_err();
        let cause = error.downcast_ref::<hyper::Error>().and_then(|error| error.source());
        let cause = cause.and_then(|error| error.downcast_ref::<io::Error>()).expect("a cause");
        assert_eq!(cause.kind(), ErrorKind::UnexpectedEof);
        drop(client);
        let _ = running.await?;
        server.close();
        Ok(())
    });
}

/// The client has ended its side, and gets its answer.
#[test]
fn a_half_closed_peer_gets_its_answer() {
    run(async |event_loop| {
        let server = Stage::plain(Http::One).serve(&event_loop).await?;
        let mut stream: ByteStream = event_loop.open_connection(ADDRESS).await?.into();
        let request = b"POST /echo HTTP/1.1\r\nhost: h\r\ncontent-length: 5\r\n\r\nhello";
        stream.writer().write_all(request).await?;
        settle().await;
        stream.writer().write_eof();
        let all = stream.reader().read_to_end(10_000).await?;
        let all = String::from_utf8(all)?;
        assert!(all.starts_with("HTTP/1.1 200 OK\r\n") && all.contains("\r\nhello\r\n"), "{all}");
        drop(stream);
        settle().await;
        assert_eq!(server.connections(), 0);
        server.close();
        Ok(())
    });
}

/// Reports would fail the test: junk is the peer's fault.
#[test]
fn junk_and_half_requests_are_no_failures_of_the_server() {
    for http in [Http::One, Http::Two] {
        run(async |event_loop| {
            let server = Stage::plain(http).serve(&event_loop).await?;
            let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
            for junk in [
                &b"junk\r\n\r\n"[..],
                b"GET / HTTP/1.1\r\nhost: h",
                b"POST /count HTTP/1.1\r\ncontent-length: 10\r\n\r\nhalf",
                b"",
                &preface[..10],
                &[&preface[..], &[0xff; 200]].concat(),
            ] {
                let mut stream: ByteStream = event_loop.open_connection(ADDRESS).await?.into();
                stream.writer().write_all(junk).await?;
                stream.writer().write_eof();
                let _ =
                    timeout(Duration::from_secs(60), stream.reader().read_to_end(100_000)).await?;
                settle().await;
                drop(stream);
                settle().await;
                assert_eq!(server.connections(), 0, "{junk:?}");
            }
            server.close();
            Ok(())
        });
    }
}

#[test]
fn a_request_that_is_given_up_ends_and_others_go_on() {
    run_each(async |event_loop, stage| {
        let server = stage.serve(&event_loop).await?;
        let (mut client, running) = stage.connect(&event_loop).await?;
        let given_up = timeout(Duration::from_secs(1), client.get("/late")).await;
        assert!(given_up.is_err());
        if stage.http == Http::Two {
            assert_eq!(text(client.get("/next").await?).await?, "hello /next");
        }
        drop(client);
        let _ = running.await?;
        settle().await;
        assert_eq!(server.connections(), 0);
        server.close();
        Ok(())
    });
}

#[test]
fn a_response_that_is_dropped_half_read_ends_its_body() {
    run_each(async |event_loop, stage| {
        let server = stage.serve(&event_loop).await?;
        let (mut client, running) = stage.connect(&event_loop).await?;
        let mut body = client.get("/made/10000000").await?.into_body();
        assert!(body.frame().await.is_some());
        drop(body);
        settle().await;
        drop(client);
        let _ = running.await?;
        event_loop.sleep(Duration::from_secs(60)).await;
        assert_eq!(server.connections(), 0);
        server.close();
        Ok(())
    });
}

#[test]
fn a_panic_of_a_service_is_reported_and_ends_its_request_alone() {
    for http in [Http::One, Http::Two] {
        let reports = run_reporting(async |event_loop| {
            let stage = Stage::plain(http);
            let server = stage.serve(&event_loop).await?;
            let (mut client, running) = stage.connect(&event_loop).await?;
            assert!(client.get("/panic").await.is_err());
            if http == Http::Two {
                assert_eq!(text(client.get("/next").await?).await?, "hello /next");
            }
            drop(client);
            let _ = running.await?;
            server.close();
            Ok(())
        });
        assert_eq!(reports.len(), 1, "{reports:?}");
        assert!(reports[0].contains("asked to"), "{reports:?}");
    }
}

#[test]
fn a_body_that_fails_is_reported_as_the_applications() {
    let reports = run_reporting(async |event_loop| {
        let stage = Stage::plain(Http::One);
        let server = stage.serve(&event_loop).await?;
        let (mut client, running) = stage.connect(&event_loop).await?;
        // The head may not have been sent before.
        let outcome = match client.get("/cut").await {
            Ok(response) => text(response).await.map_err(drop),
            Err(_) => Err(()),
        };
        assert!(outcome.is_err());
        drop(client);
        let _ = running.await?;
        server.close();
        Ok(())
    });
    assert_eq!(reports.len(), 1, "{reports:?}");
    assert!(reports[0].contains("no more"), "{reports:?}");
}

#[test]
fn a_shutdown_ends_idle_connections_at_once_and_lets_requests_end() {
    run_each(async |event_loop, stage| {
        let server = stage.serve(&event_loop).await?;
        let (mut idle, idle_running) = stage.connect(&event_loop).await?;
        assert_eq!(text(idle.get("/").await?).await?, "hello /");
        let (mut busy, busy_running) = stage.connect(&event_loop).await?;
        let began = event_loop.time();
        let asking = wharf::spawn(async move { text(busy.get("/late").await?).await });
        // A body whose rest comes during the shutdown.
        let (mut slow, slow_running) = stage.connect(&event_loop).await?;
        let (promise, body) = event_loop.create_future::<TestBody>();
        let sending = wharf::spawn(async move {
            let body = TestBody::Later(body, None);
            text(slow.send("/count", body).await?).await
        });
        settle().await;
        let later = event_loop.call_later(Duration::from_secs(2), move || {
            let _ = promise.set_result(TestBody::made(300_000));
        });
        assert_eq!(server.shutdown(Duration::from_secs(60)).await?, 0, "none was cut off");
        later.cancel();
        assert_eq!((event_loop.time() - began).as_secs(), 5);
        assert_eq!(asking.await??, "late");
        assert_eq!(sending.await??, "300000");
        drop(idle);
        for running in [idle_running, busy_running, slow_running] {
            running.await??;
        }
        Ok(())
    });
}

#[test]
fn a_request_is_answered_in_a_shutdown_that_hyper_is_not_told_of() {
    for http in [Http::One, Http::Two] {
        run(async |event_loop| {
            let untold = async move |reader, writer| {
                let (stream, service) = (HyperStream::join(reader, writer), service_fn(answer));
                match http {
                    Http::One => {
                        let builder = server::conn::http1::Builder::new();
                        builder.serve_connection(stream, service).await.map_err(failure)
                    }
                    Http::Two => {
                        let builder = server::conn::http2::Builder::new(HyperExecutor);
                        builder.serve_connection(stream, service).await.map_err(failure)
                    }
                }
            };
            let server = event_loop.start_server(untold, ADDRESS).await?;
            let stage = Stage::plain(http);
            let (mut busy, _running) = stage.connect(&event_loop).await?;
            let asking = wharf::spawn(async move {
                let answered = text(busy.get("/late").await?).await;
                // The client is kept: so is its connection.
                answered.map(|answered| (answered, busy))
            });
            settle().await;
            let began = event_loop.time();
            assert_eq!(server.shutdown(Duration::from_secs(60)).await?, 1, "the idle one");
            assert_eq!((event_loop.time() - began).as_secs(), 60);
            assert_eq!(asking.await??.0, "late");
            Ok(())
        });
    }
}

/// Each time it is given up after one poll more.
#[test]
fn connections_can_be_dropped_at_each_step() {
    run_each(async |event_loop, stage| {
        let server = stage.serve(&event_loop).await?;
        let mut steps = 0;
        loop {
            let stream = stage.open(&event_loop).await?;
            let visit = async {
                let (mut client, running) = stage.drive_here(stream).await?;
                let asking = async move {
                    let response = client.send("/echo", TestBody::made(50_000)).await?;
                    text(response).await
                };
                let (said, ended) = join(asking, running).await;
                ended?;
                Ok::<_, wharf::Failure>(said?.len())
            };
            let mut visit = Box::pin(visit);
            let mut outcome = None;
            for _ in 0..=steps {
                outcome = poll_once(&mut visit).await;
                if outcome.is_some() {
                    break;
                }
                wharf::yield_now().await;
            }
            drop(visit);
            event_loop.sleep(Duration::from_secs(60)).await;
            assert_eq!(server.connections(), 0, "after {steps} steps");
            if let Some(outcome) = outcome {
                assert_eq!(outcome?, 50_000);
                break;
            }
            steps += 1;
        }
        assert!(steps > 3, "{steps}");
        server.close();
        Ok(())
    });
}

/// The server's connection is dropped at each step of its own.
#[test]
fn a_server_can_drop_a_connection_at_each_step() {
    for http in [Http::One, Http::Two] {
        run(async |event_loop| {
            let steps = std::rc::Rc::new(std::cell::Cell::new(0));
            let done = std::rc::Rc::new(std::cell::Cell::new(false));
            let (own, own_done) = (steps.clone(), done.clone());
            let handler = async move |reader, writer| {
                let mut serving = Box::pin(super::serve(http, reader, writer));
                for _ in 0..=own.get() {
                    if let Some(outcome) = poll_once(&mut serving).await {
                        own_done.set(true);
                        return outcome;
                    }
                    wharf::sleep(Duration::ZERO).await;
                }
                Ok(())
            };
            let server = event_loop.start_server(handler, ADDRESS).await?;
            let stage = Stage::plain(http);
            while !done.get() {
                let visit = async {
                    let (mut client, running) = stage.connect(&event_loop).await?;
                    let response = client.send("/echo", TestBody::made(100_000)).await?;
                    text(response).await?;
                    drop(client);
                    running.await?
                };
                let _ = timeout(Duration::from_secs(60), visit).await?;
                event_loop.sleep(Duration::from_secs(60)).await;
                assert_eq!(server.connections(), 0, "after {} steps", steps.get());
                steps.set(steps.get() + 1);
                assert!(steps.get() < 10_000);
            }
            assert!(steps.get() > 2);
            server.close();
            Ok(())
        });
    }
}

#[test]
fn closing_the_loop_drops_all_of_hyper() {
    for http in [Http::One, Http::Two] {
        let event_loop = wharf::testing::MemoryNetwork::new().event_loop();
        let outcome = event_loop.run(async |event_loop| {
            let stage = Stage::plain(http);
            stage.serve(&event_loop).await?;
            let (mut client, running) = stage.connect(&event_loop).await?;
            running.detach();
            wharf::spawn(async move {
                let _ = client.send("/late", TestBody::made(1_000_000)).await;
            })
            .detach();
            settle().await;
            Ok(())
        });
        outcome.unwrap();
        event_loop.close().unwrap();
        assert_eq!(event_loop.statistics().tasks, 0);
    }
}

#[test]
fn failures_are_told_from_faults_of_the_peer() {
    run(async |event_loop| {
        let (near, far) = wharf::testing::stream_pair(&event_loop, 1024)?;
        reset(&near, &far);
        settle().await;
        let service = hyper::service::service_fn(super::answer);
        let builder = hyper::server::conn::http1::Builder::new();
        let stream = wharf::hyper::HyperStream::new(near);
        let error = builder.serve_connection(stream, service).await.unwrap_err();
        let error = Error::from(failure(error));
        assert_eq!(error.io_kind(), Some(ErrorKind::ConnectionReset), "{error:?}");

        let (near, far) = wharf::testing::stream_pair(&event_loop, 1024)?;
        far.writer().write(b"junk\r\n\r\n");
        let stream = wharf::hyper::HyperStream::new(near);
        let error = builder.serve_connection(stream, service).await.unwrap_err();
        let error = Error::from(failure(error));
        assert!(error.is_protocol_violation(), "{error:?}");
        Ok(())
    });
}
