//! What holds for every planted bug.

use std::time::Duration;

use wharf::sim::{Check, Simulation, SimulationFailure};
use wharf::{EventLoop, Result, StreamReader, StreamWriter};

pub(crate) const MS: Duration = Duration::from_millis(1);
pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// A bug is found within 1,000 seeds and again by its seed and by its script, and nothing is found without it: in 10
/// seeds, or as many as `WHARF_SIM_SEEDS` says.
pub(crate) fn is_found(
    check: &Check,
    scenario: impl Fn(&Simulation, bool) -> Result + Sync,
) -> SimulationFailure {
    let with_bug = |simulation: &Simulation| scenario(simulation, true);
    let find = |check: Check| check.find(with_bug).expect_err("it is found");
    let failure = find(check.clone().seeds(1_000));
    let again = find(check.clone().first_seed(failure.seed).seeds(1));
    assert_eq!(again.to_string(), failure.to_string(), "by its seed");

    let simulation = Simulation::new(failure.seed);
    simulation.script(failure.script.to_string().parse().unwrap());
    let error = with_bug(&simulation).expect_err("it is found by its script");
    assert_eq!(format!("{error:#}"), failure.error, "by its script");
    assert_eq!(simulation.trace().tail(40), failure.events, "by its script");

    check.clone().seeds(10).run(|simulation| scenario(simulation, false));
    failure
}

/// Until there is a connection, whatever happens.
pub(crate) async fn connect(
    event_loop: &EventLoop,
    address: &'static str,
) -> (StreamReader, StreamWriter) {
    loop {
        if let Ok(connection) = event_loop.open_connection(address).await {
            return connection;
        }
        event_loop.sleep(100 * MS).await;
    }
}

/// Asks something on a connection of its own. `None`: the connection came to nothing.
pub(crate) async fn ask(
    event_loop: &EventLoop,
    address: &'static str,
    question: &str,
) -> Option<String> {
    let (mut reader, writer) = event_loop.open_connection(address).await.ok()?;
    writer.write_all(format!("{question}\n").as_bytes()).await.ok()?;
    Some(reader.read_line().await.ok()??.to_owned())
}

/// Answers each line of each connection.
pub(crate) async fn answer(
    event_loop: EventLoop,
    address: &'static str,
    answer: impl Fn(&str) -> String + Clone + 'static,
) -> Result {
    let listener = event_loop.listen(address).await?;
    loop {
        let (mut reader, writer) = listener.accept().await?;
        let answer = answer.clone();
        let serve = async move {
            // Whoever breaks off is gone.
            while let Ok(Some(line)) = reader.read_line().await {
                let answer = format!("{}\n", answer(line));
                if writer.write_all(answer.as_bytes()).await.is_err() {
                    break;
                }
            }
        };
        event_loop.create_task(serve).detach();
    }
}
