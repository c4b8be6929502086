//! What monitoring gets of a loop, serialised. With the feature `serde`.
#![forbid(unsafe_code)]

use std::time::Duration;

use serde_json::{Value, json, to_value};
use wharf::testing::MemoryNetwork;
use wharf::{
    DatagramTransport, Executor, PausedProtocol, Result, Transport, sleep, spawn, yield_now,
};

#[test]
fn a_dump_can_be_serialised() -> Result {
    MemoryNetwork::new().event_loop().run(async |event_loop| {
        let line = line!() + 1;
        let parent = spawn(async { spawn(sleep(Duration::from_secs(60))).await }).named("parent");
        yield_now().await;
        event_loop.create_server(PausedProtocol::new, "10.0.0.1:7").await?;
        let client = event_loop.create_connection(PausedProtocol::new, "10.0.0.1:7").await?;
        sleep(Duration::from_millis(2500)).await;

        let dump = to_value(event_loop.dump())?;
        assert_eq!(keys(&dump), ["age", "connections", "listeners", "next_timer", "tasks", "timers"]);
        assert_eq!(dump["age"], json!({"secs": 2, "nanos": 500_000_000}));
        assert_eq!(dump["timers"], 1);
        assert_eq!(dump["next_timer"], json!({"secs": 57, "nanos": 500_000_000}));
        let tasks = [
            json!({
                "id": 1, "name": "parent", "place": format!("{}:{line}:22", file!()), "parent": null,
                "age": {"secs": 2, "nanos": 500_000_000}, "steps": 1,
                "longest_step": {"secs": 0, "nanos": 0}, "waits_for": "task 2", "awaits": 2,
            }),
            json!({
                "id": 2, "name": null, "place": format!("{}:{line}:36", file!()), "parent": 1,
                "age": {"secs": 2, "nanos": 500_000_000}, "steps": 1,
                "longest_step": {"secs": 0, "nanos": 0},
                "waits_for": "a time, 57.5s from now", "awaits": null,
            }),
        ];
        assert_eq!(dump["tasks"], Value::from(tasks.to_vec()));
        let connections = dump["connections"].as_array().ok_or("a list")?;
        let id = client.id().to_string();
        let known = connections.iter().find(|one| one["id"] == id).ok_or("the connection")?;
        assert_eq!(known["peer_address"], "10.0.0.1:7");
        assert_eq!((&known["is_reading"], &known["write_buffer_size"]), (&json!(false), &json!(0)));
        let listeners = json!([{"address": "10.0.0.1:7", "is_serving": true, "connections": 1}]);
        assert_eq!(dump["listeners"], listeners);
        drop(parent);
        Ok(())
    })
}

#[test]
fn statistics_can_be_serialised() -> Result {
    MemoryNetwork::new().event_loop().run(async |event_loop| {
        let statistics = to_value(event_loop.statistics())?;
        assert_eq!((&statistics["tasks"], &statistics["connections_open"]), (&json!(0), &json!(0)));
        assert_eq!(statistics["max_lag"], json!({"secs": 0, "nanos": 0}));

        let executor = to_value(Executor::new(1).statistics())?;
        assert_eq!(executor, json!({"threads": 0, "running": 0, "waiting": 0}));

        let endpoint = event_loop.open_datagram_endpoint().local_address("10.0.0.1:53").await?;
        endpoint.send_to(b"hello", &endpoint.local_address()?).await?;
        sleep(Duration::from_secs(1)).await;
        let datagrams = to_value(endpoint.transport().statistics())?;
        assert_eq!(datagrams["sent"], 1);
        Ok(())
    })
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().into_iter().flatten().map(|(key, _)| key.as_str()).collect()
}
