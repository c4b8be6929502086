//! A WebSocket client that sends back whatever it receives; and what a test suite of such clients needs.
//!
//! ```text
//! cargo run --release --example websocket_client -- --url ws://127.0.0.1:9001/
//! cargo run --release --example websocket_client -- --url ws://127.0.0.1:9001/ --autobahn
//! ```
#![forbid(unsafe_code)]

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use lexopt::{Arg, ValueExt};
use wharf::{Error, EventLoop, Promise, Result};
use wharf_protocols::websocket::{
    Closure, DeflateOptions, OwnedMessage, WebSocket, WebSocketClient, WebSocketOptions,
    WebSocketProtocol, WebSocketStream, WebSocketUrl,
};

use wharf_examples::command_line::{missing, run, set_once};

const USAGE: &str = "
Connects to a WebSocket, and sends back whatever messages it receives, until the server closes.

usage: websocket_client --url URL [OPTIONS]    such as ws://127.0.0.1:9001/ or wss://example.org/

OPTIONS are --deflate       offer to compress messages
            --send TEXT     begin with this message; without --autobahn, and then end after the first answer,
                            which is printed
            --autobahn      URL is a fuzzing server of the Autobahn test suite: run all of its cases, and say
                            how each ended
            --agent NAME    as what to be reported there; by default wharf

exit code: 0 if the server closed as it should, or all cases ended well; 1 if not
";

fn main() -> ExitCode {
    run(USAGE, |mut arguments| {
        let (mut url, mut send, mut agent) = (None, None, None);
        let (mut deflates, mut is_suite) = (false, false);
        while let Some(argument) = arguments.next()? {
            match argument {
                Arg::Long("url") => {
                    set_once(&mut url, arguments.value()?.parse::<WebSocketUrl>()?)?;
                }
                Arg::Long("send") => set_once(&mut send, arguments.value()?.string()?)?,
                Arg::Long("agent") => set_once(&mut agent, arguments.value()?.string()?)?,
                Arg::Long("deflate") => deflates = true,
                Arg::Long("autobahn") => is_suite = true,
                other => return Err(other.unexpected().into()),
            }
        }
        let url = url.ok_or_else(|| missing("--url URL"))?;
        let client = Client { url, deflates };
        wharf::run(async |event_loop| {
            if is_suite {
                client.run_suite(&event_loop, &agent.unwrap_or_else(|| "wharf".to_owned())).await
            } else if let Some(text) = send {
                client.ask(&event_loop, &text).await
            } else {
                client.echo(&event_loop, client.url.clone()).await
            }
        })
    })
}

struct Client {
    url: WebSocketUrl,
    deflates: bool,
}

impl Client {
    /// Sends back what comes, until the server closes.
    async fn echo(&self, event_loop: &EventLoop, url: WebSocketUrl) -> Result {
        let (promise, ended) = event_loop.create_future();
        let echo = Echo { ended: Some(promise) };
        let options = WebSocketOptions::new().max_message_length(64 << 20);
        let client = self.client(event_loop).options(options);
        client.create_connection(echo, &url.to_string()).await?;
        let how = ended.await?;
        how.map_err(Into::into)
    }

    /// Sends one message, and prints the answer.
    async fn ask(&self, event_loop: &EventLoop, text: &str) -> Result {
        let mut socket = self.client(event_loop).connect(&self.url.to_string()).await?;
        socket.send(text).await?;
        match socket.next().await.transpose()? {
            Some(OwnedMessage::Text(answer)) => say(&answer),
            Some(OwnedMessage::Binary(answer)) => say(&answer.escape_ascii().to_string()),
            None => return Err("the server has closed without an answer".into()),
        }
        socket.close(wharf_protocols::websocket::CloseCode::NORMAL, "").await?;
        Ok(())
    }

    /// Runs the cases of a fuzzing server one after the other.
    async fn run_suite(&self, event_loop: &EventLoop, agent: &str) -> Result {
        let at = |target: String| -> Result<WebSocketUrl> {
            Ok(format!("ws://{}/{target}", self.url.address()).parse::<WebSocketUrl>()?)
        };
        let count = message(event_loop, &at("getCaseCount".to_owned())?).await?;
        let count = count.trim().parse::<u32>()?;
        let mut failed = 0;
        for case in 1..=count {
            let url = at(format!("runCase?case={case}&agent={agent}"))?;
            // How it ends is for the server to judge.
            let _ = self.echo(event_loop, url).await;
            let id = message(event_loop, &at(format!("getCaseInfo?case={case}"))?).await?;
            let url = at(format!("getCaseStatus?case={case}&agent={agent}"))?;
            let status = message(event_loop, &url).await?;
            let is_well = ["\"OK\"", "\"INFORMATIONAL\""].iter().any(|good| status.contains(good));
            if !is_well {
                failed += 1;
                say(&format!("case {case} of {count}: {status} {id}"));
            }
        }
        // The server answers by closing.
        let _ = message(event_loop, &at(format!("updateReports?agent={agent}"))?).await;
        say(&format!("{count} cases, {failed} not as they should be"));
        if failed == 0 { Ok(()) } else { Err("there are differences".into()) }
    }

    fn client(&self, event_loop: &EventLoop) -> WebSocketClient {
        let client = WebSocketClient::new(event_loop);
        if self.deflates { client.deflate(DeflateOptions::new()) } else { client }
    }
}

/// The first message that a server sends by itself.
async fn message(event_loop: &EventLoop, url: &WebSocketUrl) -> Result<String> {
    let options = WebSocketOptions::new();
    let mut socket = WebSocketStream::connect(event_loop, &url.to_string(), options).await?;
    match wharf::timeout(Duration::from_secs(60), socket.next()).await? {
        Some(Ok(OwnedMessage::Text(text))) => Ok(text),
        Some(Err(error)) => Err(error.into()),
        _ => Err("the server has sent no text".into()),
    }
}

struct Echo {
    ended: Option<Promise<Result<(), String>>>,
}

impl Echo {
    fn end(&mut self, how: Result<(), String>) -> Result {
        if let Some(promise) = self.ended.take() {
            let _ = promise.set_result(how);
        }
        Ok(())
    }
}

impl WebSocketProtocol for Echo {
    fn text_received(&mut self, socket: &WebSocket, text: &str) -> Result {
        socket.send_text(text)?;
        Ok(())
    }

    fn binary_received(&mut self, socket: &WebSocket, bytes: &[u8]) -> Result {
        socket.send_binary(bytes)?;
        Ok(())
    }

    fn connection_lost(
        &mut self,
        _: &WebSocket,
        closure: &Closure,
        error: Option<&Error>,
    ) -> Result {
        let how = match error {
            _ if closure.is_clean => Ok(()),
            Some(error) => Err(error.to_string()),
            None => Err(format!("the connection has ended with {}", closure.code)),
        };
        self.end(how)
    }
}

fn say(line: &str) {
    // Nobody may be reading: that is no failure.
    let _ = writeln!(io::stdout(), "{line}");
}
