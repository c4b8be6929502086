use wharf::sim::Simulation;
use wharf::{Failure, Result, scope};
use wharf_protocols::websocket::{
    CloseCode, Message, OwnedMessage, ServerHandshake, WebSocket, WebSocketClient,
    WebSocketOptions, WebSocketProtocol, WebSocketReader, WebSocketSession, WebSocketWriter,
};

use super::{Client, SECOND, Serving, check, content};

#[test]
fn websocket_messages_come_whole_and_in_order_until_the_connection_ends() {
    check(scenario);
}

struct Echo;

impl WebSocketProtocol for Echo {
    fn binary_received(&mut self, socket: &WebSocket, bytes: &[u8]) -> Result {
        socket.send_binary(bytes)?;
        Ok(())
    }
}

/// Who says nothing for 4 s is asked, and given up after 2 more.
fn options() -> WebSocketOptions {
    WebSocketOptions::new()
        .opening_timeout(5 * SECOND)
        .ping_interval(2 * SECOND)
        .ping_timeout(2 * SECOND)
        .close_timeout(5 * SECOND)
        .max_fragment_length(10_000)
}

fn scenario(simulation: &Simulation) -> Result {
    let serving = Serving::default();
    let kept = serving.clone();
    simulation.host("server").serve(async move |event_loop| {
        let factory = || WebSocketSession::server(Echo, ServerHandshake::new(), options());
        kept.serve(event_loop.create_server(factory, "0.0.0.0:80").await?).await
    });
    for name in ["one", "other"] {
        Client::start(simulation, name, talk);
    }
    simulation.run()?;
    serving.check_empty(simulation, 30 * SECOND)
}

/// Comes back, until a conversation that began after the last fault has gone well.
async fn talk(client: Client) -> Result {
    let mut failures = 0;
    loop {
        let is_calm = client.is_calm();
        match client.within(100 * SECOND, "a conversation", converse(&client)).await {
            Ok(()) if is_calm => return Ok(()),
            Err(error) if is_calm => {
                failures += 1;
                if failures > 3 {
                    return Err(error);
                }
            }
            _ => {}
        }
        client.pause().await;
    }
}

const MESSAGES: u64 = 30;

/// Sends messages, waits for each to come back, and closes.
async fn converse(client: &Client) -> Result {
    let connecting =
        WebSocketClient::new(&client.event_loop).connect_timeout(5 * SECOND).options(options());
    let (mut reader, writer) = connecting.connect("ws://server/").await?.split();
    scope(async |scope| {
        let received = scope.spawn(receive(&mut reader));
        send(client, &writer).await?;
        received.await?;
        Ok(())
    })
    .await?;
    let closure = writer.close(CloseCode::NORMAL, "").await?;
    if closure.is_clean { Ok(()) } else { Err(format!("closed with {closure:?}").into()) }
}

async fn send(client: &Client, writer: &WebSocketWriter) -> Result {
    for id in 0..MESSAGES {
        writer.send(Message::Binary(&content(id, length(id)))).await?;
        if client.random.chance(0.3) {
            client.pause().await;
        }
    }
    Ok(())
}

/// Each message comes whole, in the order in which they were sent, and none is left out.
async fn receive(reader: &mut WebSocketReader) -> Result {
    for id in 0..MESSAGES {
        let message = reader.next().await.ok_or("the server has closed")??;
        let OwnedMessage::Binary(bytes) = message else { panic!("{message:?} was not sent") };
        assert!(bytes == content(id, length(id)), "message {id} is another one");
    }
    Ok::<_, Failure>(())
}

fn length(id: u64) -> usize {
    (id as usize * 7_919) % 30_000
}
