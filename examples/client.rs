//! A client that has many requests under way at once, and gives each caller its own answer.
//!
//! ```text
//! cargo run --release --example key_value -- --listen 127.0.0.1:7000
//! cargo run --release --example client -- --connect 127.0.0.1:7000 'SET tea green' 'GET tea'
//! ```
//!
//! The server answers in the order of the requests, so a queue matches them. Where answers carry the
//! numbers of their requests, a map takes its place.
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use lexopt::{Arg, ValueExt};
use wharf::{
    Connection, Error, EventLoop, LoopFuture, Promise, Result, Timeout, TimeoutKind, Transport,
};
use wharf_protocols::line::{LineEncoder, LineProtocol, Lines, WriteLine};

use wharf_examples::command_line::{address, missing, run, seconds, set_once};
use wharf_examples::text::shown;

const USAGE: &str = "
Sends requests to a key-value server (the example key_value), all at once, and shows the answers.

usage: client --connect ADDRESS [--timeout SECONDS] REQUEST...

  --timeout SECONDS  how long an answer may take; 10 unless given

exit code: 0 if all requests were answered, 1 if not
";

/// A connection to the server, for any number of callers on the loop.
struct Client {
    connection: Connection<Lines<Answers>>,
}

impl Client {
    async fn connect(event_loop: &EventLoop, address: &str, timeout: Duration) -> Result<Self> {
        let answers = move || Lines::new(Answers { callers: VecDeque::new(), timeout });
        let connection = event_loop.create_connection(answers, address).await?;
        Ok(Self { connection })
    }

    /// Sends a request; the future gives its answer, or says why there is none.
    fn ask(&self, request: &str) -> LoopFuture<String> {
        let event_loop = self.connection.handle().event_loop();
        let (promise, answer) = event_loop.create_future();
        // It refuses what would be several lines: the answers would be matched wrongly from there on.
        if let Err(error) = LineEncoder::new().check(request.as_bytes()) {
            let _ = promise.set_error(error);
            return answer;
        }
        let mut promise = Some(promise);
        let sent = self.connection.with(|lines, transport| {
            if lines.protocol.callers.is_empty() {
                transport.set_timeout(Timeout::User, Some(lines.protocol.timeout));
            }
            lines.protocol.callers.extend(promise.take());
            transport.write_line(request)
        });
        if let (Err(error), Some(promise)) = (sent, promise) {
            // The connection is gone already.
            let _ = promise.set_error(error);
        }
        answer
    }
}

/// The protocol: it hands each answer to the caller who has waited longest.
struct Answers {
    /// A caller that gives up stays in here, since its answer comes all the same.
    callers: VecDeque<Promise<String>>,
    timeout: Duration,
}

impl LineProtocol for Answers {
    fn line_received(&mut self, transport: &dyn Transport, line: &[u8]) -> Result {
        let caller = self.callers.pop_front().ok_or("an answer came that nobody asked for")?;
        // Refused when the caller has given up, which is fine.
        let _ = caller.set_result(shown(line));
        // From now on the next answer is due, whatever comes of it meanwhile.
        let timeout = (!self.callers.is_empty()).then_some(self.timeout);
        transport.set_timeout(Timeout::User, timeout);
        Ok(())
    }

    /// However the connection ended, everybody who still waits is told why.
    fn connection_lost(&mut self, _: &dyn Transport, error: Option<&Error>) -> Result {
        for caller in self.callers.drain(..) {
            // Refused when the caller has given up, which is fine.
            let _ = match error {
                Some(error) if error.timeout_kind() == Some(TimeoutKind::User) => {
                    caller.set_error("no answer came in time")
                }
                Some(error) => caller.set_error(error.clone()),
                None => caller.set_error("the server ended the connection"),
            };
        }
        Ok(())
    }
}

fn main() -> ExitCode {
    run(USAGE, |mut arguments| {
        let (mut connect, mut timeout, mut requests) = (None, Duration::from_secs(10), Vec::new());
        while let Some(argument) = arguments.next()? {
            match argument {
                Arg::Long("connect") => {
                    set_once(&mut connect, arguments.value()?.parse_with(address)?)?;
                }
                Arg::Long("timeout") => timeout = arguments.value()?.parse_with(seconds)?,
                Arg::Value(request) => requests.push(request.string()?),
                other => return Err(other.unexpected().into()),
            }
        }
        let address = connect.ok_or_else(|| missing("--connect ADDRESS"))?;
        if requests.is_empty() {
            return Err(missing("a REQUEST").into());
        }
        wharf::run(async |event_loop| {
            let client = Client::connect(&event_loop, &address, timeout).await?;
            ask_all(&client, &requests).await
        })
    })
}

async fn ask_all(client: &Client, requests: &[String]) -> Result<ExitCode> {
    // All are sent before the first answer comes.
    let answers: Vec<_> = requests.iter().map(|request| client.ask(request)).collect();
    let mut code = ExitCode::SUCCESS;
    for (request, answer) in requests.iter().zip(answers) {
        match answer.await {
            Ok(answer) => writeln!(io::stdout(), "{request}: {answer}")?,
            Err(error) => {
                code = ExitCode::FAILURE;
                writeln!(io::stderr(), "client: {request}: {error:#}")?;
            }
        }
    }
    Ok(code)
}
