//! Streams that are given up.

use std::time::Duration;

use wharf::Result;
use wharf::testing::stream_pair;
use wharf_test_support::serving::echo;

use crate::operations::{Begin, Started, both, fifo};
use crate::stage::Stage;

fn run(stage: &Stage, steps: impl Future<Output = Result> + 'static) -> Box<dyn Started> {
    Box::new(stage.event_loop.create_task(steps))
}

pub(crate) fn of_any_loop() -> Vec<(&'static str, Begin)> {
    #[cfg_attr(not(feature = "tls"), expect(unused_mut))]
    let mut operations: Vec<(&'static str, Begin)> = vec![
        ("a stream that is opened", |stage| {
            Box::new(stage.event_loop.open_connection(stage.tcp).start())
        }),
        ("a stream that waits for input", |stage| {
            let opening = stage.event_loop.open_connection(stage.tcp);
            run(stage, async move {
                let (mut reader, _writer) = opening.await?;
                reader.read_line().await?;
                Ok(())
            })
        }),
        ("a stream that is echoed and closed", |stage| {
            let opening = stage.event_loop.open_connection(stage.tcp);
            run(stage, async move {
                let (mut reader, writer) = opening.await?;
                writer.write_all(b"hello").await?;
                reader.read_exactly(5).await?;
                writer.close();
                writer.wait_closed().await?;
                Ok(())
            })
        }),
        ("a stream whose peer takes nothing", |stage| {
            let event_loop = stage.event_loop.clone();
            run(stage, async move {
                let (near, far) = stream_pair(&event_loop, 1024)?;
                let (writer, data) = (near.writer(), vec![1; 1 << 20]);
                let (waiting, flushing) = (writer.write_all(&data), writer.flush());
                futures_lite::future::zip(waiting, flushing).await.0?;
                drop(far);
                Ok(())
            })
        }),
        ("a listener", |stage| Box::new(stage.event_loop.listen("127.0.0.1:0").start())),
        ("a connection that is accepted", |stage| {
            let event_loop = stage.event_loop.clone();
            run(stage, async move {
                let listener = event_loop.listen("127.0.0.1:0").await?;
                let opening = event_loop.open_connection(listener.local_address()?).start();
                let (_reader, writer) = listener.accept().await?;
                let (mut reader, _writer) = opening.await?;
                writer.write_all(b"hello").await?;
                reader.read_exactly(5).await?;
                Ok(())
            })
        }),
        ("a server of handlers that shuts down", |stage| {
            let event_loop = stage.event_loop.clone();
            run(stage, async move {
                let server = event_loop.start_server(echo, "127.0.0.1:0").await?;
                // However it ends: nobody serves any more.
                let _close = Close(server.clone());
                let to = server.local_address()?;
                let (mut reader, writer) = event_loop.open_connection(to).await?;
                writer.write_all(b"hello").await?;
                reader.read_exactly(5).await?;
                server.shutdown(Duration::from_millis(1)).await?;
                Ok(())
            })
        }),
        ("a datagram that is waited for", |stage| {
            let to = stage.udp.as_ip().expect("an IP address");
            let opening = stage.event_loop.open_datagram_endpoint().peer_address(to);
            run(stage, async move {
                let mut stream = opening.await?;
                stream.send(b"hello").await?;
                stream.next().await;
                Ok(())
            })
        }),
    ];
    #[cfg(feature = "tls")]
    operations.push(("an upgrade to TLS", |stage| {
        let event_loop = stage.event_loop.clone();
        let tls = &stage.encrypted[1].0;
        let (client, server) = (tls.client.clone(), tls.server.clone());
        run(stage, async move {
            let (mut near, mut far) = stream_pair(&event_loop, 64 * 1024)?;
            let client = near.start_tls(client.server_name("localhost"));
            let (one, two) = futures_lite::future::zip(client, far.start_tls(&server)).await;
            one?;
            two?;
            Ok(())
        })
    }));
    operations
}

pub(crate) fn of_the_system() -> Vec<(&'static str, Begin)> {
    vec![
        ("a FIFO for a reader", |stage| {
            Box::new(stage.event_loop.open_read_fifo(fifo(stage)).start())
        }),
        ("a FIFO for a writer", |stage| {
            let path = fifo(stage);
            let opening = stage.event_loop.open_write_fifo(path);
            Box::new(opening.start())
        }),
        ("two FIFOs that are joined", |stage| {
            let reader = stage.event_loop.open_read_fifo(fifo(stage)).start();
            let writer = stage.event_loop.open_write_fifo(fifo(stage)).start();
            run(stage, async move {
                let both = both(reader, writer).await;
                drop(both);
                Ok(())
            })
        }),
        ("a child with which is communicated", |stage| {
            let starting = stage.event_loop.create_subprocess_exec("cat");
            run(stage, async move {
                let mut child = starting.await?;
                child.communicate(b"hello", 100).await?;
                Ok(())
            })
        }),
    ]
}

struct Close(wharf::Server);

impl Drop for Close {
    fn drop(&mut self) {
        self.0.close();
        self.0.abort_clients();
    }
}
