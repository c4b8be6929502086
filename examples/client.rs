//! A client that has many requests under way at once, and gives each caller its own answer.
//!
//! ```text
//! cargo run --release --example key_value -- --listen 127.0.0.1:7000
//! cargo run --release --example client -- --connect 127.0.0.1:7000 'SET tea green' 'GET tea'
//! ```
//!
//! The server answers in the order of the requests, so [`Requests`] matches them. Where answers carry the
//! numbers of their requests, `RequestsById` takes its place.
#![forbid(unsafe_code)]

use std::cell::Cell;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use lexopt::{Arg, ValueExt};
use wharf::{Connection, Error, EventLoop, Requests, Result, Transport, scope};
use wharf_protocols::line::{LineEncoder, LineProtocol, Lines, WriteLine};

use wharf_examples::command_line::{address, missing, run, seconds, set_once};
use wharf_examples::text::shown;

const USAGE: &str = "
Sends requests to a key-value server (the example key_value), all at once, and shows the answers.

usage: client --connect ADDRESS [--timeout SECONDS] REQUEST...

  --timeout SECONDS  how long an answer may take; 10 unless given

exit code: 0 if all requests were answered, 1 if not
";

/// At most so many requests wait for their answers; who asks more waits, too.
const MOST_REQUESTS: usize = 1024;

/// A connection to the server, for any number of callers on the loop.
struct Client {
    connection: Connection<Lines<Answers>>,
    requests: Requests<String>,
}

impl Client {
    async fn connect(event_loop: &EventLoop, address: &str, timeout: Duration) -> Result<Self> {
        let requests = Requests::new(event_loop).limit(MOST_REQUESTS).deadline(timeout);
        let answers = Answers(requests.clone());
        let connection = event_loop.create_connection(|| Lines::new(answers), address).await?;
        Ok(Self { connection, requests })
    }

    /// Sends a request, and gives its answer, or says why there is none.
    async fn ask(&self, request: &str) -> Result<String> {
        // It refuses what would be several lines: the answers would be matched wrongly from there on.
        LineEncoder::new().check(request.as_bytes())?;
        self.requests.room().await?;
        let answer = self.requests.begin()?;
        self.connection.write_line(request)?;
        Ok(answer.await?)
    }
}

/// The protocol: it hands each answer to the caller who has waited longest.
struct Answers(Requests<String>);

impl LineProtocol for Answers {
    fn line_received(&mut self, _: &dyn Transport, line: &[u8]) -> Result {
        self.0.answer(shown(line))?;
        Ok(())
    }

    /// However the connection ended, everybody who still waits is told why.
    fn connection_lost(&mut self, _: &dyn Transport, error: Option<&Error>) -> Result {
        self.0.end(error);
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
    let code = Cell::new(ExitCode::SUCCESS);
    scope(async |scope| {
        let asked =
            requests.iter().map(|request| (request, scope.spawn_infallible(client.ask(request))));
        for (request, answer) in asked.collect::<Vec<_>>() {
            match answer.await? {
                Ok(answer) => writeln!(io::stdout(), "{request}: {answer}")?,
                Err(error) => {
                    code.set(ExitCode::FAILURE);
                    writeln!(io::stderr(), "client: {request}: {error:#}")?;
                }
            }
        }
        Ok(())
    })
    .await?;
    Ok(code.get())
}
