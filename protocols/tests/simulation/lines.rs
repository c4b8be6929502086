use std::cell::Cell;
use std::rc::Rc;

use wharf::sim::Simulation;
use wharf::{Failure, Result, Timeout, Transport};
use wharf_protocols::line::{LineProtocol, Lines, WriteLine as _};
use wharf_protocols::reconnect::Reconnecting;

use super::{Client, SECOND, Serving, check};

#[test]
fn a_client_that_reconnects_gets_whole_lines_and_is_there_again_when_faults_are_over() {
    check(scenario);
}

/// Answers each line, with what makes it longer.
struct Answers;

impl LineProtocol for Answers {
    fn line_received(&mut self, transport: &dyn Transport, line: &[u8]) -> Result {
        transport.write_line([b"you said ", line].concat())?;
        Ok(())
    }
}

/// Asks the next question when the last one is answered, and has three under way.
struct Asks {
    next: u32,
    answered: u32,
    /// How many answers there were over all connections.
    total: Rc<Cell<u32>>,
}

const UNDER_WAY: u32 = 3;

fn question(number: u32) -> String {
    format!("question {number} {}", "x".repeat(number as usize * 37 % 2_000))
}

impl Asks {
    fn ask(&mut self, transport: &dyn Transport) -> Result {
        transport.write_line(question(self.next))?;
        self.next += 1;
        Ok(())
    }
}

impl LineProtocol for Asks {
    fn connection_made(&mut self, transport: &dyn Transport) -> Result {
        (0..UNDER_WAY).try_for_each(|_| self.ask(transport))
    }

    fn line_received(&mut self, transport: &dyn Transport, line: &[u8]) -> Result {
        let expected = format!("you said {}", question(self.answered));
        assert!(line == expected.as_bytes(), "the answer to {} is another one", self.answered);
        self.answered += 1;
        self.total.set(self.total.get() + 1);
        self.ask(transport)
    }
}

fn scenario(simulation: &Simulation) -> Result {
    let serving = Serving::default();
    let kept = serving.clone();
    simulation.host("server").serve(async move |event_loop| {
        let server = event_loop
            .create_server(|| Lines::new(Answers), "0.0.0.0:7")
            .connection_timeout(Timeout::Idle, 5 * SECOND);
        kept.serve(server.await?).await
    });
    for name in ["one", "other"] {
        Client::start(simulation, name, ask_on);
    }
    simulation.run()?;
    serving.check_empty(simulation, 30 * SECOND)
}

/// Until there are answers after the last fault.
async fn ask_on(client: Client) -> Result {
    let total = Rc::new(Cell::new(0));
    let counted = Rc::clone(&total);
    let factory =
        move |_: &_| Lines::new(Asks { next: 0, answered: 0, total: Rc::clone(&counted) });
    let asking = Reconnecting::builder(&client.event_loop, ["server:7"], factory)
        .attempt_timeout(2 * SECOND)
        .backoff(SECOND / 10, 2 * SECOND)
        .jitter_seed(client.random.next_u64())
        .configure(|connecting, _| connecting.connection_timeout(Timeout::Idle, 5 * SECOND))
        .start()?;
    while !client.is_calm() {
        client.pause().await;
    }
    let before = total.get();
    let answered = async {
        while total.get() < before + 10 {
            asking.connected().await?;
            client.pause().await;
        }
        Ok::<_, Failure>(())
    };
    // A silent connection ends after 5 s, the next is there 2 s and an attempt later.
    client.within(20 * SECOND, "a client that reconnects", answered).await?;
    asking.shutdown(5 * SECOND).await?;
    Ok(())
}
