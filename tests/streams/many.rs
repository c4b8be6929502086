//! Very many streams, used and dropped at random points.

use std::env;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use allocation_counter::measure;
use wharf::testing::MemoryNetwork;
use wharf::{ByteStream, EventLoop, Result, StreamReader, StreamWriter, Transport as _};

const ADDRESS: &str = "10.0.0.1:7";

/// How many streams are opened: 100,000 with `WHARF_STREAMS=100000`.
fn count() -> usize {
    env::var("WHARF_STREAMS").map_or(3_000, |text| text.parse().expect("WHARF_STREAMS is a number"))
}

#[test]
fn streams_that_are_dropped_at_random_points_leave_nothing() {
    let event_loop = MemoryNetwork::new().event_loop();
    event_loop.set_exception_handler(|_, _| {});
    let mut random = Random::new(7);
    let seed = random.next();
    let handler = async move |reader: StreamReader, writer: StreamWriter| {
        let own = writer.info().peer_address().and_then(|peer| peer.port()).unwrap_or_default();
        use_it(
            &writer.transport().event_loop(),
            &mut Random::new(seed ^ u64::from(own)),
            reader,
            writer,
        )
        .await
    };
    let server = event_loop.start_server(handler, ADDRESS).start();
    let server = event_loop.run_until_complete(server).unwrap().unwrap();
    // The memory that a loop keeps: lists, pools, the wheel.
    open_many(&event_loop, &mut random, count() / 2);
    let info = measure(|| open_many(&event_loop, &mut random, count()));
    // Pieces of memory that the thread keeps for all its streams: no more for more of them.
    assert!(info.count_current < 200 && info.bytes_current < 1 << 20, "{info:?}");
    assert_eq!(server.connections(), 0);
    let statistics = event_loop.statistics();
    assert_eq!((statistics.connections_open, statistics.tasks, statistics.lingering), (0, 0, 0));
}

fn open_many(event_loop: &EventLoop, random: &mut Random, count: usize) {
    let done = event_loop.run(async |event_loop| {
        for _ in 0..count.div_ceil(20) {
            let mut tasks = Vec::new();
            for _ in 0..20 {
                let mut random = Random::new(random.next());
                let own = event_loop.clone();
                tasks.push(event_loop.create_task(async move {
                    let opening = own.open_connection(ADDRESS);
                    let Ok((reader, writer)) = opening.await else { return };
                    // Its errors are those of the peer, which does anything, too.
                    let _ = use_it(&own, &mut random, reader, writer).await;
                }));
            }
            for task in tasks {
                // Some are cancelled, wherever they are.
                if random.below(4) == 0 {
                    event_loop.sleep(Duration::from_micros(random.below(50))).await;
                    task.cancel();
                } else {
                    let _ = task.await;
                }
            }
        }
        // What lingers is given up.
        event_loop.sleep(Duration::from_secs(120)).await;
        Ok(())
    });
    done.unwrap();
}

/// Does anything with a stream, and leaves it as it is.
async fn use_it(
    event_loop: &EventLoop,
    random: &mut Random,
    mut reader: StreamReader,
    writer: StreamWriter,
) -> Result {
    for _ in 0..random.below(12) {
        let steps = random.below(4);
        match random.below(14) {
            0 => drop(writer.write(&vec![b'x'; random.below(100_000) as usize])),
            1 => drop(writer.write(b"a line\n")),
            2 => drop(for_steps(event_loop, steps, writer.write_all(&[b'y'; 2000])).await),
            3 => drop(for_steps(event_loop, steps, writer.drain()).await),
            4 => drop(for_steps(event_loop, steps, writer.flush()).await),
            5 => drop(for_steps(event_loop, steps, reader.read_line()).await.transpose()?),
            6 => drop(for_steps(event_loop, steps, reader.read_chunk()).await.transpose()?),
            7 => drop(for_steps(event_loop, steps, reader.read_exactly(5000)).await.transpose()?),
            8 => drop(for_steps(event_loop, steps, reader.read(&mut [0; 100])).await.transpose()?),
            9 => drop(for_steps(event_loop, steps, reader.read_to_end(50_000)).await.transpose()?),
            10 if random.below(3) == 0 => writer.write_eof(),
            11 if random.below(3) == 0 => writer.close(),
            12 if random.below(3) == 0 => writer.abort(),
            _ => event_loop.sleep(Duration::from_micros(random.below(20))).await,
        }
    }
    match random.below(6) {
        0 => drop(reader),
        1 => drop(writer),
        2 => drop(for_steps(event_loop, 3, writer.wait_closed()).await),
        3 => return Err("no luck".into()),
        4 => drop(ByteStream::join(reader, writer)),
        _ => {}
    }
    Ok(())
}

async fn for_steps<T>(
    event_loop: &EventLoop,
    steps: u64,
    future: impl Future<Output = T>,
) -> Option<T> {
    let mut future = pin!(future);
    for _ in 0..steps {
        let polled = poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await;
        if let Poll::Ready(output) = polled {
            return Some(output);
        }
        event_loop.sleep(Duration::ZERO).await;
    }
    None
}

/// Numbers that look random, the same for the same seed.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}
