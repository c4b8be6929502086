//! Servers whose connections are served by an async function each.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use wharf::testing::MemoryNetwork;
use wharf::{Error, EventLoop, Result, StreamReader, StreamWriter};
use wharf_test_support::serving::echo;

use super::{Log, reports, settle};

const ADDRESS: &str = "10.0.0.1:7";

fn run(test: impl AsyncFnOnce(EventLoop) -> Result) {
    MemoryNetwork::new().event_loop().run(test).unwrap();
}

// 316.
#[test]
fn each_connection_is_served_by_a_task_of_its_own() {
    run(async |event_loop| {
        let server = event_loop.start_server(echo, ADDRESS).await?;
        let mut clients = Vec::new();
        for number in 0..10_u8 {
            let (reader, writer) = event_loop.open_connection(ADDRESS).await?;
            writer.write_all(&[number; 3]).await?;
            clients.push((number, reader, writer));
        }
        for (number, reader, _) in &mut clients {
            assert_eq!(reader.read_exactly(3).await?, [*number; 3]);
        }
        assert_eq!(server.connections(), 10);
        clients.truncate(4);
        settle(&event_loop).await;
        assert_eq!(server.connections(), 4);
        Ok(())
    });
}

// 316.
#[test]
fn a_handler_that_ends_closes_its_connection() {
    run(async |event_loop| {
        let kept = Rc::new(Cell::new(None));
        let keep = Rc::clone(&kept);
        let handler = async move |_: StreamReader, writer: StreamWriter| {
            writer.write(b"good-bye");
            // Also when a half goes on elsewhere.
            keep.set(Some(writer));
            Ok(())
        };
        event_loop.start_server(handler, ADDRESS).await?;
        let (mut reader, _writer) = event_loop.open_connection(ADDRESS).await?;
        assert_eq!(reader.read_to_end(100).await?, b"good-bye");
        assert!(kept.take().is_some_and(|writer| writer.is_closing()));
        Ok(())
    });
}

// 316, W8.
#[test]
fn what_a_handler_fails_with_is_reported_with_the_peer_and_aborts_the_connection() {
    run(async |event_loop| {
        let log = reports(&event_loop);
        let handler = async |mut reader: StreamReader, writer: StreamWriter| {
            writer.write(&[0; 200_000]);
            match reader.read_line().await? {
                Some("panic") => panic!("asked to"),
                Some("violation") => Err(Error::protocol_violation("nonsense").into()),
                _ => Err("no luck".into()),
            }
        };
        let server = event_loop.start_server(handler, ADDRESS).await?;
        for (asked, verb) in [("error", "failed"), ("panic", "panicked"), ("violation", "")] {
            let (mut reader, writer) = event_loop.open_connection(ADDRESS).await?;
            let own = writer.info().local_address().unwrap().to_string();
            writer.write_all(format!("{asked}\n").as_bytes()).await?;
            let error = reader.read_to_end(1 << 20).await.unwrap_err();
            assert_eq!(error.io_kind(), Some(std::io::ErrorKind::ConnectionReset));
            settle(&event_loop).await;
            let told = log.take();
            if verb.is_empty() {
                assert_eq!(told, [""; 0], "it is the peer's doing");
            } else {
                assert_eq!(told.len(), 1, "{told:?}");
                let part = format!("({own}) {verb} in its handler");
                assert!(told[0].contains(&part), "{} has no {part}", told[0]);
            }
        }
        assert_eq!(server.connections(), 0);
        Ok(())
    });
}

// 316, W8.
#[test]
fn a_handler_that_panics_before_it_gives_a_future_is_reported_too() {
    run(async |event_loop| {
        let log = reports(&event_loop);
        #[allow(unreachable_code, reason = "it is meant to panic")]
        let handler = |_: StreamReader, _: StreamWriter| {
            panic!("at once");
            async { Ok(()) }
        };
        let server = event_loop.start_server(handler, ADDRESS).await?;
        let (mut reader, _writer) = event_loop.open_connection(ADDRESS).await?;
        assert_eq!(reader.read_chunk().await?, b"");
        let told = log.take();
        assert!(told.len() == 1 && told[0].contains("panicked in its handler"), "{told:?}");
        assert_eq!(server.connections(), 0);
        Ok(())
    });
}

// 316: errors that are the peer's doing.
#[test]
fn what_the_peer_does_to_a_handler_is_not_reported() {
    run(async |event_loop| {
        let log = reports(&event_loop);
        let handler = async |mut reader: StreamReader, _: StreamWriter| {
            reader.set_limit(10);
            reader.read_until("\n").await?;
            reader.read_exactly(100).await?;
            Ok(())
        };
        event_loop.start_server(handler, ADDRESS).await?;
        // The input ends too early, a line is too long, and a reset.
        for data in [&b"\nhello"[..], b"0123456789ABCDEF", &[b'\n'; 50_000]] {
            let (_reader, writer) = event_loop.open_connection(ADDRESS).await?;
            writer.write(data);
            if data.len() > 1000 {
                writer.abort();
            }
            writer.write_eof();
            settle(&event_loop).await;
        }
        assert_eq!(log.take(), [""; 0]);
        Ok(())
    });
}

// 316.
#[test]
fn handlers_are_cancelled_when_the_loop_closes() {
    let log = Log::default();
    let event_loop = MemoryNetwork::new().event_loop();
    let told = reports(&event_loop);
    let ending = log.clone();
    let handler = async move |mut reader: StreamReader, _: StreamWriter| {
        let _guard = ending.adds_on_drop("dropped");
        reader.read_chunk().await?;
        Ok(())
    };
    let clients = event_loop.run(async |event_loop| {
        event_loop.start_server(handler, ADDRESS).await?;
        let client = event_loop.open_connection(ADDRESS).await?;
        settle(&event_loop).await;
        Ok(client)
    });
    drop(event_loop);
    assert_eq!(log.take(), ["dropped"]);
    assert_eq!(told.take(), [""; 0]);
    let (reader, writer) = clients.unwrap();
    assert!(reader.at_eof() && writer.is_closing());
}

#[test]
fn a_shutdown_lets_a_handler_finish_what_was_received() {
    run(async |event_loop| {
        let clock = event_loop.clone();
        let handler = async move |mut reader: StreamReader, writer: StreamWriter| {
            while let Some(request) = reader.read_line().await? {
                let answer = format!("{request} done\n");
                clock.sleep(Duration::from_secs(1)).await;
                writer.write_all(answer.as_bytes()).await?;
            }
            writer.write(if writer.is_shutting_down() { b"bye\n" } else { b"end\n" });
            Ok(())
        };
        let server = event_loop.start_server(handler, ADDRESS).await?;
        let (mut idle, _idle) = event_loop.open_connection(ADDRESS).await?;
        let (mut busy, writer) = event_loop.open_connection(ADDRESS).await?;
        writer.write_all(b"one\ntwo\nthr").await?;
        settle(&event_loop).await;
        let shutdown = server.shutdown(Duration::from_secs(60));
        assert_eq!(idle.read_line().await?, Some("bye"));
        assert_eq!(busy.read_line().await?, Some("one done"));
        assert_eq!(busy.read_line().await?, Some("two done"));
        // A part of a request is there: the rest is waited for.
        writer.write_all(b"ee\n").await?;
        assert_eq!(busy.read_line().await?, Some("three done"));
        assert_eq!(busy.read_line().await?, Some("bye"));
        assert_eq!(busy.read_line().await?, None);
        assert_eq!(shutdown.await?, 0);
        Ok(())
    });
}

#[test]
fn a_shutdown_lets_a_handler_fill_the_buffer_that_it_has_begun_to_fill() {
    run(async |event_loop| {
        let handler = async |mut reader: StreamReader, writer: StreamWriter| {
            let mut body = [0; 6];
            while reader.read_exactly_into(&mut body).await.is_ok() {
                writer.write_all(&body).await?;
            }
            Ok(())
        };
        let server = event_loop.start_server(handler, ADDRESS).await?;
        let (mut idle, _idle) = event_loop.open_connection(ADDRESS).await?;
        let (mut busy, writer) = event_loop.open_connection(ADDRESS).await?;
        writer.write_all(b"one").await?;
        settle(&event_loop).await;
        let shutdown = server.shutdown(Duration::from_secs(60));
        assert_eq!(idle.read_chunk().await?, b"");
        writer.write_all(b"two").await?;
        assert_eq!(busy.read_to_end(100).await?, b"onetwo");
        assert_eq!(shutdown.await?, 0);
        Ok(())
    });
}

#[test]
fn a_handler_can_wait_for_a_shutdown_or_through_it() {
    run(async |event_loop| {
        let handler = async |mut reader: StreamReader, writer: StreamWriter| {
            reader.set_waits_in_shutdown(true);
            writer.shutting_down().await;
            writer.write(b"soon\n");
            assert_eq!(reader.read_line().await?, Some("thanks"));
            reader.set_waits_in_shutdown(false);
            assert_eq!(reader.read_line().await?, None);
            Ok(())
        };
        let server = event_loop.start_server(handler, ADDRESS).await?;
        let (mut reader, writer) = event_loop.open_connection(ADDRESS).await?;
        let shutdown = server.shutdown(Duration::from_secs(60));
        assert_eq!(reader.read_line().await?, Some("soon"));
        writer.write_all(b"thanks\n").await?;
        assert_eq!(reader.read_line().await?, None);
        assert_eq!(shutdown.await?, 0);
        Ok(())
    });
}

#[test]
fn a_handler_that_does_not_end_is_aborted_at_the_deadline() {
    run(async |event_loop| {
        let log = reports(&event_loop);
        let handler = async |mut reader: StreamReader, writer: StreamWriter| {
            reader.set_waits_in_shutdown(true);
            writer.write(b"here");
            reader.read_chunk().await?;
            Ok(())
        };
        let server = event_loop.start_server(handler, ADDRESS).max_connections(2).await?;
        let (mut first, _first) = event_loop.open_connection(ADDRESS).await?;
        let (_second, _writer) = event_loop.open_connection(ADDRESS).await?;
        assert_eq!(first.read_exactly(4).await?, b"here");
        assert_eq!(server.connections(), 2);
        assert_eq!(server.shutdown(Duration::from_secs(5)).await?, 2);
        assert_eq!(log.take(), [""; 0]);
        Ok(())
    });
}

#[test]
fn a_shutdown_waits_for_handlers_whose_connection_is_gone_until_its_deadline() {
    run(async |event_loop| {
        let handler = async |mut reader: StreamReader, writer: StreamWriter| {
            let seconds = reader.read_line().await?.unwrap().parse()?;
            writer.abort();
            wharf::sleep(Duration::from_secs(seconds)).await;
            Ok(())
        };
        for (work, grace) in [(5, 60), (3600, 10)] {
            let server = event_loop.start_server(handler, ADDRESS).await?;
            let (_reader, writer) = event_loop.open_connection(ADDRESS).await?;
            writer.write_all(format!("{work}\n").as_bytes()).await?;
            settle(&event_loop).await;
            assert_eq!(server.connections(), 0);
            let began = event_loop.time();
            assert_eq!(server.shutdown(Duration::from_secs(grace)).await?, 0);
            assert_eq!((event_loop.time() - began).as_secs(), work.min(grace));
        }
        Ok(())
    });
}

#[test]
fn no_more_handlers_run_than_connections_are_allowed() {
    run(async |event_loop| {
        let running = Rc::new(Cell::new(0));
        let most = Rc::new(Cell::new(0));
        let (now, peak) = (Rc::clone(&running), Rc::clone(&most));
        let handler = async move |mut reader: StreamReader, _: StreamWriter| {
            now.set(now.get() + 1);
            peak.set(peak.get().max(now.get()));
            reader.read_chunk().await?;
            now.set(now.get() - 1);
            Ok(())
        };
        event_loop.start_server(handler, ADDRESS).max_connections(3).await?;
        let mut clients = Vec::new();
        for _ in 0..10 {
            clients.push(event_loop.open_connection(ADDRESS).await?);
        }
        settle(&event_loop).await;
        assert_eq!(running.get(), 3);
        for client in clients {
            drop(client);
            settle(&event_loop).await;
        }
        assert_eq!((running.get(), most.get()), (0, 3));
        Ok(())
    });
}
