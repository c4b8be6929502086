//! Messages to and from nats-py.

use std::process::{Command, Stdio};

use wharf::Result;
use wharf_protocols::nats::codec::Headers;
use wharf_protocols::nats::{Options, Publish};

use crate::server::{Server, is_missing, run};

/// Answers each request with its payload and headers, until it is told to stop.
const ANSWERING: &str = r#"
import asyncio, sys, nats

async def main():
    nc = await nats.connect("nats://" + sys.argv[1])
    done = asyncio.Event()
    async def answer(msg):
        if msg.data == b"stop":
            done.set()
        else:
            await nc.publish(msg.reply, msg.data.upper(), headers={"Seen": (msg.headers or {}).get("Trace", "")})
    await nc.subscribe("python.*", cb=answer)
    await nc.flush()
    reply = await nc.request("rust", b"from python", timeout=5, headers={"Trace": "p"})
    assert reply.data == b"from python, p", reply.data
    js = nc.jetstream()
    await js.add_stream(name="S", subjects=["s.*"])
    await js.publish("s.1", b"kept")
    await done.wait()
    kv = await js.key_value("bucket")
    assert (await kv.get("key")).value == b"from rust"
    await kv.put("other", b"from python")
    await nc.drain()

asyncio.run(main())
"#;

#[test]
fn both_understand_each_other() -> Result {
    use wharf_protocols::nats::jetstream::{ConsumerConfig, JetStream, KeyValue, KeyValueConfig};
    if is_missing() {
        return Ok(());
    }
    let has_it = Command::new("python3").args(["-c", "import nats"]).stderr(Stdio::null()).status();
    if !has_it.is_ok_and(|status| status.success()) {
        let may_be_missing = std::env::var_os("CI").is_none()
            || std::env::var_os("WHARF_WITHOUT_PYTHON_PEERS").is_some();
        assert!(may_be_missing, "nats-py is missing");
        eprintln!("nats-py is missing: not tested");
        return Ok(());
    }
    let server = Server::start();
    run(async |event_loop| {
        let client = Options::new().connect(&event_loop, [&server.address]).await?;
        let jetstream = JetStream::new(&client);
        let bucket = KeyValue::create_bucket(&jetstream, &KeyValueConfig::new("bucket")).await?;
        let answering = client.clone();
        let handle = client.subscription("rust").on_message(move |message| {
            let text = String::from_utf8_lossy(message.payload()).into_owned();
            let answer = format!("{text}, {}", message.header("Trace").unwrap_or_default());
            answering.respond(&message, answer).unwrap();
        })?;
        client.flush().await?;
        let mut python =
            Command::new("python3").args(["-c", ANSWERING, &server.address]).spawn()?;
        let mut headers = Headers::new();
        headers.append("Trace", "r")?;
        let answer = loop {
            let message = Publish::new("python.1", "hello").headers(&headers);
            match client.request_message(message, std::time::Duration::from_secs(2)).await {
                Ok(answer) => break answer,
                // It begins.
                Err(_) => wharf::sleep(std::time::Duration::from_millis(50)).await,
            }
        };
        assert_eq!((answer.payload(), answer.header("Seen")), (&b"HELLO"[..], Some("r")));
        let kept = loop {
            match jetstream.create_consumer("S", &ConsumerConfig::ephemeral()).await {
                Ok(consumer) => break consumer.fetch(1, std::time::Duration::from_secs(5)).await?,
                Err(_) => wharf::sleep(std::time::Duration::from_millis(50)).await,
            }
        };
        assert_eq!(kept[0].payload(), b"kept");
        bucket.put("key", "from rust").await?;
        client.publish("python.1", "stop")?;
        client.flush().await?;
        let status = event_loop.run_in_executor(move || python.wait()).await??;
        assert!(status.success());
        assert_eq!(bucket.get("other").await?.unwrap().value, "from python");
        drop(handle);
        Ok(())
    })
}
