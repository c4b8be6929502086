//! Keep-alive: who only listens hears of a peer that is gone.

use std::io::ErrorKind;
use std::time::Duration;

use crate::driver::Keepalive;
use crate::sim::{Fault, Host, LinkOptions, Simulation};
use crate::testing::{Record, RecordingProtocol};
use crate::transport::{Connection, Transport as _};

const SECOND: Duration = Duration::from_secs(1);

const KEEPALIVE: Keepalive =
    Keepalive::new().time(Duration::from_secs(60)).interval(Duration::from_secs(10)).retries(3);

/// A server and a client, each with a record of the connection between them.
struct World {
    simulation: Simulation,
    server: Host,
    client: Host,
    server_record: Record,
    client_record: Record,
    connection: Connection<RecordingProtocol>,
}

impl World {
    /// Which of them watch over it: the server, the client.
    fn new(watching: [bool; 2]) -> Self {
        let simulation = Simulation::new(1);
        simulation.limit(10_000 * SECOND);
        let (server, client) = (simulation.host("server"), simulation.host("client"));
        let (server_record, client_record) = (Record::new(), Record::new());
        let record = server_record.clone();
        server.serve(async move |event_loop| {
            let server = event_loop.create_server(record.factory(), "0.0.0.0:7");
            let server = if watching[0] { server.keepalive(KEEPALIVE) } else { server };
            server.await?.serve_forever().await?;
            Ok(())
        });
        let record = client_record.clone();
        let connection = client.run(async move |event_loop| {
            let connecting = event_loop.create_connection(move || record.protocol(), "server:7");
            Ok(if watching[1] { connecting.keepalive(KEEPALIVE) } else { connecting }.await?)
        });
        let connection = connection.unwrap();
        Self { simulation, server, client, server_record, client_record, connection }
    }

    #[track_caller]
    fn run(&self, seconds: u32) {
        self.simulation.run_for(seconds * SECOND).unwrap();
    }

    fn cut(&self, from: &str, to: &str) {
        self.simulation.apply(&Fault::Cut(from.into(), to.into()));
    }
}

fn kind(record: &Record) -> Option<ErrorKind> {
    record.error().and_then(|error| error.io_kind())
}

#[test]
fn a_peer_that_is_gone_is_noticed_after_the_time_and_the_probes_of_keep_alive() {
    let gone: [fn(&World); 4] = [
        |world| world.server.crash(),
        |world| world.cut("client", "server"),
        |world| world.cut("server", "client"),
        |world| world.simulation.apply(&Fault::Clog("server".into(), "client".into())),
    ];
    for gone in gone {
        let world = World::new([false, true]);
        world.run(5);
        gone(&world);
        // 60 s since it was heard of, and 10 s for each probe.
        world.run(84);
        assert!(!world.client_record.is_lost());
        world.run(2);
        assert_eq!(kind(&world.client_record), Some(ErrorKind::TimedOut));
    }
    // The other way round.
    let world = World::new([true, false]);
    world.client.crash();
    world.run(89);
    assert!(!world.server_record.is_lost());
    world.run(2);
    assert_eq!(kind(&world.server_record), Some(ErrorKind::TimedOut));
}

#[test]
fn a_peer_that_is_there_is_asked_now_and_then_and_nothing_is_lost() {
    let world = World::new([true, true]);
    world.simulation.record_packets();
    world.simulation.links(LinkOptions::new().loss(0.05));
    // Its kernel answers.
    world.server.pause();
    world.run(3600);
    assert!(!world.client_record.is_lost() && !world.server_record.is_lost());
    let text = world.simulation.trace().to_string();
    let probes = |text: &str, from: &str| {
        let of = |line: &&str| line.contains(from) && line.ends_with(": probe");
        text.lines().filter(of).count()
    };
    // About one a minute that arrives.
    for from in ["client:", "server:"] {
        let count = probes(&text, &format!(" {from}"));
        assert!((30..=90).contains(&count), "{count} from {from}");
    }
    let mut packets = Vec::new();
    world.simulation.trace().write_packets(&mut packets).unwrap();
    assert!(packets.len() > 4_000, "{}", packets.len());
}

#[test]
fn a_machine_that_was_restarted_answers_a_probe_with_a_reset() {
    let world = World::new([true, true]);
    world.server.crash();
    world.server.restart();
    world.run(59);
    assert!(!world.client_record.is_lost());
    world.run(2);
    assert_eq!(kind(&world.client_record), Some(ErrorKind::ConnectionReset));
}

#[test]
fn nobody_waits_for_keep_alive_when_a_simulation_settles() {
    let world = World::new([true, true]);
    world.simulation.settle().unwrap();
    let before = world.simulation.elapsed();
    world.simulation.settle().unwrap();
    assert_eq!(world.simulation.elapsed(), before);
    // And what is closed is not watched over any more.
    world.connection.handle().close();
    world.run(3600);
    assert!(!world.simulation.trace().to_string().contains("probe"));
}
