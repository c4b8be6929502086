use wharf::sim::Simulation;
use wharf::{Result, Timeout, Transport, scope};
use wharf_protocols::codec::Encoder as _;
use wharf_protocols::framing::{
    FrameProtocol, Framed, FramedReader, FramedWriter, LengthPrefix, LengthPrefixDecoder,
    LengthPrefixEncoder,
};

use super::{Client, SECOND, Serving, check, content};

#[test]
fn frames_come_whole_and_in_order_until_the_connection_ends() {
    check(scenario);
}

struct Echo;

impl FrameProtocol<LengthPrefixDecoder> for Echo {
    fn frame_received(&mut self, transport: &dyn Transport, frame: &[u8]) -> Result {
        LengthPrefixEncoder::new(LengthPrefix::U32).write_to(transport, frame)?;
        Ok(())
    }
}

fn scenario(simulation: &Simulation) -> Result {
    let serving = Serving::default();
    let kept = serving.clone();
    simulation.host("server").serve(async move |event_loop| {
        let factory = || Framed::new(Echo, LengthPrefixDecoder::new(LengthPrefix::U32));
        let server = event_loop
            .create_server(factory, "0.0.0.0:7")
            .connection_timeout(Timeout::Idle, 5 * SECOND)
            .connection_timeout(Timeout::WriteStall, 5 * SECOND);
        kept.serve(server.await?).await
    });
    for name in ["one", "other"] {
        Client::start(simulation, name, talk);
    }
    simulation.run()?;
    serving.check_empty(simulation, 30 * SECOND)
}

/// Comes back, until a conversation that began after the last fault has gone well.
async fn talk(client: Client) -> Result {
    loop {
        let is_calm = client.is_calm();
        match client.within(100 * SECOND, "a conversation", converse(&client)).await {
            Err(error) if is_calm => return Err(error),
            Ok(()) if is_calm => return Ok(()),
            _ => client.pause().await,
        }
    }
}

const FRAMES: u64 = 30;

async fn converse(client: &Client) -> Result {
    let connecting = client
        .event_loop
        .open_connection("server:7")
        .timeout(5 * SECOND)
        .connection_timeout(Timeout::Idle, 5 * SECOND)
        .connection_timeout(Timeout::WriteStall, 5 * SECOND);
    let (reader, writer) = connecting.await?;
    let mut frames = FramedReader::new(reader, LengthPrefixDecoder::new(LengthPrefix::U32));
    let mut writer = FramedWriter::new(writer, LengthPrefixEncoder::new(LengthPrefix::U32));
    scope(async |scope| {
        scope.spawn(async {
            for id in 0..FRAMES {
                writer.send(&content(id, length(id))[..]).await?;
                if client.random.chance(0.3) {
                    client.pause().await;
                }
            }
            Ok(())
        });
        scope.spawn(async {
            for id in 0..FRAMES {
                let frame = frames.next().await?.ok_or("the server has gone")?;
                assert!(frame == content(id, length(id)), "frame {id} is another one");
            }
            Ok(())
        });
        Ok(())
    })
    .await?;
    Ok(())
}

fn length(id: u64) -> usize {
    (id as usize * 7_919) % 30_000
}
