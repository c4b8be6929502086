//! What copies of the store may cost.

use std::time::Duration;

use futures_util::future::join;
use serde_json::json;

use super::{ADDRESS, Peer, run, serve};
use crate::client::{Client, ClientOptions};
use crate::serve::limits::MOST_COPIES;

#[test]
fn a_connection_takes_one_copy_part_by_part_and_so_many_connections_do_at_once() {
    run(async |event_loop| {
        let server = serve(&event_loop).await?;
        let taken = || server.shared.state.borrow().copies.taken();
        let mut first = Peer::client(&event_loop).await?;
        assert!(first.ask(json!({"read_back_up": 0})).await?["failed"].is_string());
        // Whatever is asked before an answer is refused, and the answer comes.
        let mut length = 0;
        for ask in [json!("back_up"), json!({"read_back_up": 0})] {
            for number in 0..100 {
                first.say(json!({"request": {"number": number, "ask": ask}})).await?;
            }
            let mut answered = Vec::new();
            for _ in 0..100 {
                let mut answer = first.hear().await?["answer"].take();
                if answer["answer"]["failed"].is_null() {
                    answered.push(answer["number"].take());
                    length = answer["answer"]["copied"].as_u64().unwrap_or(length);
                }
            }
            assert_eq!(answered, [0], "{ask}");
        }
        let mut others = Vec::new();
        for _ in 1..MOST_COPIES {
            let mut other = Peer::client(&event_loop).await?;
            assert!(other.ask(json!("back_up")).await?["copied"].is_u64());
            others.push(other);
        }
        let mut late = Peer::client(&event_loop).await?;
        let why = json!({"failed": "4 copies are being taken: ask again later"});
        assert_eq!(late.ask(json!("back_up")).await?, why);
        // A new one comes instead of the former.
        assert!(others[0].ask(json!("back_up")).await?["copied"].is_u64());
        // The copy ends with its last part, and with its connection.
        assert!(length > 0);
        first.ask(json!({"read_back_up": length - 1})).await?;
        assert!(late.ask(json!("back_up")).await?["copied"].is_u64());
        others.pop();
        event_loop.sleep(Duration::from_secs(1)).await;
        assert_eq!(taken(), MOST_COPIES - 1);
        // One who asks and goes leaves nothing behind.
        first.say(json!({"request": {"number": 1, "ask": "back_up"}})).await?;
        event_loop.sleep(Duration::ZERO).await;
        drop((first, others, late));
        while taken() > 0 {
            event_loop.sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    });
}

#[test]
fn a_client_takes_one_copy_at_a_time() {
    run(async |event_loop| {
        let _server = serve(&event_loop).await?;
        let options = ClientOptions { token: Some("secret".into()), ..ClientOptions::default() };
        let client = Client::start(&event_loop, [ADDRESS], options)?;
        let (mut one, mut other) = (Vec::new(), Vec::new());
        let (first, second) = join(client.back_up(&mut one), client.back_up(&mut other)).await;
        let refused = second.expect_err("one is being taken");
        assert_eq!(refused.to_string(), "this client takes a copy already");
        assert_eq!((first? as usize, other.len()), (one.len(), 0));
        assert_eq!(client.back_up(&mut Vec::new()).await? as usize, one.len());
        Ok(())
    });
}
