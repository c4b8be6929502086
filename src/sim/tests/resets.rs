//! Resets: who hears of them, and when.

use std::cell::RefCell;
use std::io::ErrorKind;
use std::rc::Rc;
use std::time::Duration;

use crate::error::Error;
use crate::sim::{Fault, Host, Simulation};
use crate::streams::StreamWriter;
use crate::testing::{Record, RecordingProtocol};
use crate::transport::{Connection, Transport as _};

const SECOND: Duration = Duration::from_secs(1);

/// A server that reads nothing, and a client that has written to it.
fn joined() -> (Simulation, Host, Connection<RecordingProtocol>, Record) {
    let simulation = Simulation::new(1);
    simulation.limit(10_000 * SECOND);
    let (server, client) = (simulation.host("server"), simulation.host("client"));
    server.serve(async |event_loop| {
        let server = event_loop.create_server(|| Record::new().protocol(), "0.0.0.0:7");
        server.await?.serve_forever().await?;
        Ok(())
    });
    let record = Record::new();
    let kept = record.clone();
    let connecting = client.run(async move |event_loop| {
        Ok(event_loop.create_connection(move || kept.protocol(), "server:7").await?)
    });
    let connection = connecting.unwrap();
    simulation.run_for(SECOND).unwrap();
    (simulation, server, connection, record)
}

/// The server's program or its machine ends, and nothing of that comes to the client.
fn forget(simulation: &Simulation, server: &Host, write: &dyn Fn(), is_crash: bool) {
    if is_crash {
        server.crash();
        server.restart();
    } else {
        // What is unread when it is killed makes the end a reset, which is lost.
        server.pause();
        write();
        simulation.run_for(SECOND).unwrap();
        simulation.apply(&Fault::Cut("server".into(), "client".into()));
        server.kill();
        simulation.run_for(SECOND).unwrap();
        simulation.apply(&Fault::Heal);
    }
}

#[test]
fn a_lost_reset_is_heard_of_when_something_is_sent_and_never_before() {
    let acts: [fn(&Connection<RecordingProtocol>); 2] = [
        |connection| {
            connection.write(b"hello");
        },
        |connection| {
            connection.handle().write_eof();
        },
    ];
    for act in acts {
        for is_crash in [false, true] {
            let (simulation, server, connection, record) = joined();
            let write = || {
                connection.write(b"unread");
            };
            forget(&simulation, &server, &write, is_crash);
            simulation.run_for(3600 * SECOND).unwrap();
            assert!(!record.is_lost(), "it has sent nothing");
            act(&connection);
            simulation.run_for(SECOND).unwrap();
            let kind = record.error().and_then(|error| error.io_kind());
            assert_eq!(kind, Some(ErrorKind::ConnectionReset), "{is_crash}");
        }
    }
}

#[test]
fn a_connection_that_one_side_has_given_up_is_reset_when_the_other_sends() {
    let simulation = Simulation::new(1);
    simulation.limit(10_000 * SECOND);
    let (server, client) = (simulation.host("server"), simulation.host("client"));
    let writer: Rc<RefCell<Option<StreamWriter>>> = Rc::default();
    let end: Rc<RefCell<Option<Error>>> = Rc::default();
    let (kept, told) = (Rc::clone(&writer), Rc::clone(&end));
    server.serve(async move |event_loop| {
        let listener = event_loop.listen("0.0.0.0:7").await?;
        let (mut reader, writer) = listener.accept().await?;
        *kept.borrow_mut() = Some(writer);
        let outcome = reader.read_line().await;
        *told.borrow_mut() = outcome.err();
        Ok(())
    });
    let record = Record::new();
    let kept = record.clone();
    let connection = client.run(async move |event_loop| {
        Ok(event_loop.create_connection(move || kept.protocol(), "server:7").await?)
    });
    let connection = connection.unwrap();
    simulation.run_for(SECOND).unwrap();
    simulation.apply(&Fault::Cut("client".into(), "server".into()));
    connection.write(b"lost");
    // It is sent again for a quarter of an hour.
    simulation.run_for(1_000 * SECOND).unwrap();
    assert_eq!(record.error().and_then(|error| error.io_kind()), Some(ErrorKind::TimedOut));
    simulation.apply(&Fault::Heal);
    simulation.run_for(1_000 * SECOND).unwrap();
    assert!(end.borrow().is_none(), "it has sent nothing");
    assert!(writer.borrow().as_ref().is_some_and(|writer| writer.write(b"hello").is_taken()));
    simulation.run_for(SECOND).unwrap();
    let kind = end.borrow().as_ref().and_then(Error::io_kind);
    assert_eq!(kind, Some(ErrorKind::ConnectionReset));
}
