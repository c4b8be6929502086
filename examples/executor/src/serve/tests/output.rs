//! What tasks write, and those who follow it.

use serde_json::{Value, json};

use super::{CoordinatorServer, Peer, Result, run, serve};
use crate::serve::limits::{MOST_FOLLOWED, MOST_UNKEPT};

/// A worker that has a task, and the fence of that.
async fn given(event_loop: &wharf::EventLoop, client: &mut Peer) -> Result<(Peer, Value)> {
    client.ask(json!({"submit": [{"kind": "a", "id": "x"}]})).await?;
    let mut worker = Peer::worker(event_loop, &[]).await?;
    let fence = worker.hear().await?["assign"]["fence"].clone();
    Ok((worker, fence))
}

async fn write(worker: &mut Peer, fence: &Value, offset: u64, text: &str) -> Result {
    let pieces = json!([{"stdout": text}]);
    worker.say(json!({"output": {"fence": fence, "offset": offset, "pieces": pieces}})).await?;
    assert_eq!(worker.hear().await?, json!({"kept": fence}));
    Ok(())
}

fn follow(offset: u64) -> Value {
    json!({"output": {"id": "x", "offset": offset, "follow": true}})
}

#[test]
fn one_connection_follows_so_many_outputs_and_they_are_forgotten_with_it() {
    run(async |event_loop| {
        let server = serve(&event_loop).await?;
        let mut client = Peer::client(&event_loop).await?;
        let (mut worker, fence) = given(&event_loop, &mut client).await?;
        for _ in 0..MOST_FOLLOWED {
            client.say(json!({"request": {"number": 7, "ask": follow(0)}})).await?;
        }
        let told = client.ask(follow(0)).await?;
        assert_eq!(told, json!({"failed": "a connection follows 10000 outputs at most"}));
        // Those that are answered do not count.
        write(&mut worker, &fence, 0, "x").await?;
        for _ in 0..MOST_FOLLOWED {
            client.hear().await?;
        }
        client.say(json!({"request": {"number": 7, "ask": follow(1)}})).await?;
        event_loop.sleep(std::time::Duration::from_secs(1)).await;
        let key = crate::store::Key(1);
        assert!(server.shared.state.borrow().followers.has(key));
        drop(client);
        event_loop.sleep(std::time::Duration::from_secs(1)).await;
        assert!(!server.shared.state.borrow().followers.has(key));
        Ok(())
    });
}

#[test]
fn a_worker_that_does_not_wait_until_its_output_is_kept_is_sent_away() {
    run(async |event_loop| {
        let server = serve(&event_loop).await?;
        let mut client = Peer::client(&event_loop).await?;
        let (mut worker, fence) = given(&event_loop, &mut client).await?;
        let pretend = |on| server.shared.state.borrow_mut().commits.pretend_to_write(on);
        let answers = || server.shared.state.borrow().later.values().map(Vec::len).sum::<usize>();
        let mut offset = 0;
        let mut say = async |worker: &Peer| {
            offset += 2;
            let pieces = json!([{"stdout": "x"}]);
            worker
                .say(json!({"output": {"fence": fence, "offset": offset, "pieces": pieces}}))
                .await
        };
        for _ in 0..2 {
            // A disk that does not answer.
            pretend(true);
            for _ in 0..MOST_UNKEPT {
                say(&worker).await?;
            }
            event_loop.sleep(std::time::Duration::from_secs(1)).await;
            assert_eq!(answers(), MOST_UNKEPT);
            pretend(false);
            server.shared.commit();
            for _ in 0..MOST_UNKEPT {
                assert_eq!(worker.hear().await?, json!({"kept": fence}));
            }
        }
        pretend(true);
        for _ in 0..1_000 {
            say(&worker).await?;
        }
        let told = worker.hear().await?;
        let why = "a worker waits until what a task has written is kept";
        assert_eq!(told, json!({"refused": why}));
        drop(worker);
        event_loop.sleep(std::time::Duration::from_secs(1)).await;
        assert_eq!(answers(), 0, "nobody is there to be told");
        Ok(())
    });
}

#[test]
fn an_offset_that_none_can_be_is_kept_nowhere() {
    run(async |event_loop| {
        let _server = serve(&event_loop).await?;
        let mut client = Peer::client(&event_loop).await?;
        let (mut worker, fence) = given(&event_loop, &mut client).await?;
        for offset in [u64::MAX, u64::MAX - 2, 1 << 63] {
            let pieces = json!([{"stdout": "x"}]);
            let said = json!({"output": {"fence": fence, "offset": offset, "pieces": pieces}});
            worker.say(said).await?;
            assert_eq!(worker.hear().await?, json!({"stale": fence}));
        }
        write(&mut worker, &fence, 0, "x").await?;
        Ok(())
    });
}

/// How much waits to be sent to its peers.
fn unsent(server: &CoordinatorServer) -> usize {
    let state = server.shared.state.borrow();
    state.peers.values().map(wharf::Transport::write_buffer_size).sum()
}

#[test]
fn what_a_task_writes_is_told_to_those_who_ask_and_those_who_follow() {
    run(async |event_loop| {
        let _server = serve(&event_loop).await?;
        let mut client = Peer::client(&event_loop).await?;
        assert_eq!(client.ask(follow(0)).await?, json!({"output": null}));
        let (mut worker, fence) = given(&event_loop, &mut client).await?;
        client.say(json!({"request": {"number": 7, "ask": follow(0)}})).await?;
        write(&mut worker, &fence, 0, "one ").await?;
        let part = |offset: u64, text: &str| json!({"offset": offset, "attempt": 1, "pieces": [{"stdout": text}]});
        let page = json!({"parts": [part(0, "one ")], "next": 4, "ended": false});
        let answer = json!({"answer": {"number": 7, "answer": {"output": page}}});
        assert_eq!(client.hear().await?, answer);
        write(&mut worker, &fence, 4, "two").await?;
        // From the middle of what is kept.
        let page = json!({"parts": [part(2, "e two")], "next": 7, "ended": false});
        assert_eq!(client.ask(follow(2)).await?, json!({"output": page}));
        // How far it is counts as news, and is not kept.
        client.say(json!({"request": {"number": 8, "ask": follow(7)}})).await?;
        let progress = json!({"done": 3, "of": 9});
        let said = json!({"output": {"fence": fence, "offset": 7, "progress": progress}});
        worker.say(said).await?;
        assert_eq!(worker.hear().await?, json!({"kept": fence}));
        let page = json!({"parts": [], "next": 7, "ended": false, "progress": progress});
        assert_eq!(client.hear().await?["answer"]["answer"], json!({"output": page}));
        let known =
            json!({"output": {"id": "x", "offset": 7, "follow": true, "progress": progress}});
        client.say(json!({"request": {"number": 9, "ask": known}})).await?;
        worker.say(json!({"report": {"fence": fence, "outcome": {"succeeded": 1}}})).await?;
        assert_eq!(worker.hear().await?, json!({"recorded": fence}));
        let page = json!({"parts": [], "next": 7, "ended": true});
        assert_eq!(client.hear().await?["answer"]["answer"], json!({"output": page}));
        let last = json!({"output": {"id": "x", "last": 1}});
        assert_eq!(client.ask(last).await?["output"]["ended"], true);
        Ok(())
    });
}

#[test]
fn who_lost_a_task_can_write_nothing_any_more() {
    run(async |event_loop| {
        let _server = serve(&event_loop).await?;
        let mut client = Peer::client(&event_loop).await?;
        let (mut worker, fence) = given(&event_loop, &mut client).await?;
        write(&mut worker, &fence, 0, "before").await?;
        let mut second = Peer::worker(&event_loop, &[]).await?;
        drop(worker);
        let again = second.hear().await?["assign"]["fence"].clone();
        let pieces = json!([{"stdout": "after"}]);
        let said = json!({"output": {"fence": fence, "offset": 6, "pieces": pieces}});
        second.say(said).await?;
        assert_eq!(second.hear().await?, json!({"stale": fence}));
        write(&mut second, &again, 0, "again").await?;
        let output = client.ask(json!({"output": {"id": "x"}})).await?;
        let parts = json!([
            {"offset": 0, "attempt": 1, "pieces": [{"stdout": "before"}]},
            {"offset": 6, "attempt": 2, "pieces": [{"stdout": "again"}]},
        ]);
        assert_eq!(output["output"]["parts"], parts);
        Ok(())
    });
}

#[test]
fn who_follows_and_does_not_read_costs_the_coordinator_one_answer() {
    run(async |event_loop| {
        let server = serve(&event_loop).await?;
        let mut client = Peer::client(&event_loop).await?;
        let (mut worker, fence) = given(&event_loop, &mut client).await?;
        // It asks for much more than it reads.
        let mut slow = Peer::client(&event_loop).await?;
        for number in 0..50 {
            slow.say(json!({"request": {"number": number, "ask": follow(0)}})).await?;
        }
        let text = "x".repeat(64 * 1024);
        let mut most = 0;
        for number in 0..50 {
            write(&mut worker, &fence, number * text.len() as u64, &text).await?;
            most = most.max(unsent(&server));
        }
        assert!(most > 0 && most < 256 * 1024, "{most}");
        let output = client.ask(json!({"output": {"id": "x", "last": 10}})).await?;
        assert_eq!(output["output"]["next"], 50 * 64 * 1024);
        // When it reads, it gets all that it asked for.
        for _ in 0..50 {
            let answer = slow.hear().await?;
            assert_eq!(answer["answer"]["answer"]["output"]["parts"][0]["offset"], 0);
        }
        assert_eq!(unsent(&server), 0);
        Ok(())
    });
}
