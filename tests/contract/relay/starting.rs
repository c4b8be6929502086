//! How a relay begins, and what it refuses.

use std::cell::RefCell;
use std::rc::Rc;

use wharf::bytes::Bytes;
use wharf::{Protocol, RelayEnd, Result, Splicing, Transport, TransportHandle, relay};

use super::stage::{Link, Stage, connected, shared};
use crate::loops::{memory_loop, settle, system_loop};
use crate::probe::{Call, Log, Probe};

/// A proxy: it reads a line that says where to, connects, and joins the two, handing over what came
/// after the line.
struct Proxy {
    line: Vec<u8>,
    ends: Rc<RefCell<Vec<String>>>,
}

impl Protocol for Proxy {
    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
        self.line.extend_from_slice(data);
        let Some(end) = self.line.iter().position(|byte| *byte == b'\n') else { return Ok(()) };
        transport.pause_reading();
        let leftover = Bytes::copy_from_slice(&self.line[end + 1..]);
        let to = String::from_utf8(self.line[..end].to_vec())?;
        let (client, ends) = (transport.handle(), Rc::clone(&self.ends));
        let event_loop = transport.event_loop();
        event_loop
            .clone()
            .create_task(async move {
                let upstream = event_loop.create_connection(|| Greeted, to).await;
                let end = match upstream {
                    Err(error) => {
                        client.close();
                        format!("{error:#}")
                    }
                    Ok(upstream) => {
                        match relay(&client, &upstream).leftovers(leftover, Bytes::new()).await {
                            Ok(outcome) => format!("{} {}", outcome.a_to_b, outcome.b_to_a),
                            Err(error) => format!("{error:#}"),
                        }
                    }
                };
                ends.borrow_mut().push(end);
            })
            .detach();
        Ok(())
    }
}

struct Greeted;

impl Protocol for Greeted {
    fn data_received(&mut self, _: &dyn Transport, _: &[u8]) -> Result {
        Err("the relay should have it".into())
    }
}

#[test]
fn a_proxys_protocol_joins_its_connection_with_one_it_makes() -> Result {
    let event_loop = memory_loop();
    let ends = shared::<Vec<String>>();
    let noted = Rc::clone(&ends);
    event_loop.run(async |event_loop| {
        let (server, client, refused) = (Log::new(), Log::new(), Log::new());
        let upstream = server.clone();
        let _upstream = event_loop
            .create_server(move || Probe::new(&upstream).echoing(), "10.0.0.2:80")
            .await?;
        let _proxy = event_loop
            .create_server(
                move || Proxy { line: Vec::new(), ends: Rc::clone(&noted) },
                "10.0.0.1:7",
            )
            .await?;
        let probe = Probe::new(&client);
        let connection = event_loop.create_connection(|| probe, "10.0.0.1:7").await?;
        connection.handle().write(b"10.0.0.2:80\nand the first ");
        connection.handle().write(b"words");
        event_loop.sleep(std::time::Duration::from_millis(1)).await;
        connection.handle().write(b", and more");
        event_loop.sleep(std::time::Duration::from_millis(1)).await;
        assert_eq!(client.received(), b"and the first words, and more");
        assert_eq!(server.received(), client.received());
        connection.handle().write_eof();
        event_loop.sleep(std::time::Duration::from_millis(1)).await;
        assert!(client.is_lost());

        let probe = Probe::new(&refused);
        let connection = event_loop.create_connection(|| probe, "10.0.0.1:7").await?;
        connection.handle().write(b"10.0.0.3:80\n");
        event_loop.sleep(std::time::Duration::from_millis(1)).await;
        assert_eq!(refused.calls(), [Call::Made, Call::Eof, Call::Lost]);
        Ok(())
    })?;
    let ends = ends.borrow();
    assert_eq!(ends[0], "29 29");
    assert!(ends[1].contains("10.0.0.3:80"), "{}", ends[1]);
    Ok(())
}

#[test]
fn a_connection_cannot_be_joined_with_itself_or_with_one_of_another_loop() {
    let memory = || memory_loop();
    let (event_loop, other) = (memory(), memory());
    let here = connected(&event_loop, Link::Memory, Probe::new(&Log::new()));
    let there = connected(&other, Link::Memory, Probe::new(&Log::new()));
    let refused = |b: &TransportHandle| {
        let refused = relay(&here, b).start().take_result().unwrap();
        assert!(refused.unwrap_err().is_invalid());
    };
    refused(&here);
    refused(&there);
    settle(&event_loop).unwrap();
    assert!(!here.is_closing() && !there.is_closing());
}

#[test]
fn a_relay_with_a_connection_that_is_gone_fails_and_closes_the_other() {
    let event_loop = memory_loop();
    let peer = Log::new();
    let here = connected(&event_loop, Link::Memory, Probe::new(&peer));
    let gone = connected(&event_loop, Link::Memory, Probe::new(&Log::new()));
    gone.abort();
    settle(&event_loop).unwrap();
    let refused = relay(&gone, &here).start().take_result().unwrap();
    assert!(refused.unwrap_err().is_closed());
    settle(&event_loop).unwrap();
    assert!(peer.is_lost());
}

#[test]
fn a_side_whose_write_end_was_ended_before_fails_the_relay_when_there_is_something_for_it() {
    let stage = Stage::with(Link::Memory, |relay| relay, |probe| probe, |probe| probe);
    stage.b.write_eof();
    stage.settle();
    stage.client.handle().write(b"for nobody");
    match stage.outcome().unwrap().end {
        RelayEnd::Failed(_, error) => assert!(error.is_closed()),
        end => panic!("{end:?}"),
    }
    stage.end();
}

#[test]
fn relays_join_connections_of_different_kinds() {
    let event_loop = system_loop();
    let kinds = [Link::Memory, Link::Unix, Link::Tcp];
    for (from, to) in kinds.iter().flat_map(|from| kinds.map(|to| (*from, to))) {
        for splicing in [Splicing::Automatic, Splicing::Always] {
            let (near, far) = (Log::new(), Log::new());
            let a = connected(&event_loop, from, Probe::new(&near));
            let b = connected(&event_loop, to, Probe::new(&far));
            let done = relay(a, b).splicing(splicing).start();
            let data = super::stage::pattern(1_000_000);
            near.handle().write(&data);
            near.handle().write_eof();
            crate::running::run_until(&event_loop, "the end", || done.is_done());
            assert!(far.received() == data, "{from:?} to {to:?}, {splicing:?}");
            assert!(matches!(done.take_result().unwrap().unwrap().end, RelayEnd::Finished));
        }
    }
}
