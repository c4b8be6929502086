//! Publishes, subscribes, asks and answers over NATS.
//!
//! ```text
//! nats-server &
//! cargo run --release --example nats_pubsub -- --server localhost:4222 subscribe 'orders.>'
//! cargo run --release --example nats_pubsub -- --server localhost:4222 publish orders.7 paid
//! cargo run --release --example nats_pubsub -- --server localhost:4222 answer time 'half past'
//! cargo run --release --example nats_pubsub -- --server localhost:4222 request time
//! ```
//!
//! The client connects again by itself: stop the server while it subscribes, and start it again.
#![forbid(unsafe_code)]

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use lexopt::{Arg, ValueExt};
use wharf::signal::{SIGINT, SIGTERM};
use wharf::{EventLoop, Result};
use wharf_examples::command_line::{count, missing, run, seconds, set_once};
use wharf_examples::text::shown;
use wharf_protocols::nats::{Client, Credentials, Event, NatsError, Options, Publish};

const USAGE: &str = "
Publishes, subscribes, asks and answers over NATS.

usage: nats_pubsub --server ADDRESS... [option]... COMMAND

  subscribe SUBJECT         shows messages, until SIGINT or SIGTERM; * and > are wildcards
  publish SUBJECT TEXT...   publishes each text
  request SUBJECT [TEXT]    asks, and shows the answer
  answer SUBJECT TEXT       answers each request, until SIGINT or SIGTERM

  --server ADDRESS   such as localhost:4222 or nats://user:password@localhost; several: a cluster
  --token TOKEN      logs in with a token
  --group NAME       subscribes or answers as one of a group: each message goes to one of its members
  --count NUMBER     ends after so many messages
  --timeout SECONDS  how long an answer may take; 5 unless given
";

enum Command {
    Subscribe(String),
    Publish(String, Vec<String>),
    Request(String, String),
    Answer(String, String),
}

struct Arguments {
    servers: Vec<String>,
    token: Option<String>,
    group: Option<String>,
    count: Option<usize>,
    timeout: Duration,
    command: Command,
}

fn main() -> ExitCode {
    run(USAGE, |mut parser| {
        let (mut servers, mut words) = (Vec::new(), Vec::new());
        let (mut token, mut group, mut most) = (None, None, None);
        let mut timeout = Duration::from_secs(5);
        while let Some(argument) = parser.next()? {
            match argument {
                Arg::Long("server") => servers.push(parser.value()?.string()?),
                Arg::Long("token") => set_once(&mut token, parser.value()?.string()?)?,
                Arg::Long("group") => set_once(&mut group, parser.value()?.string()?)?,
                Arg::Long("count") => set_once(&mut most, parser.value()?.parse_with(count)?)?,
                Arg::Long("timeout") => timeout = parser.value()?.parse_with(seconds)?,
                Arg::Value(word) => words.push(word.string()?),
                other => return Err(other.unexpected().into()),
            }
        }
        if servers.is_empty() {
            return Err(missing("--server ADDRESS").into());
        }
        let command = command(words)?;
        let arguments = Arguments { servers, token, group, count: most, timeout, command };
        wharf::run(async |event_loop| connect_and_run(&event_loop, arguments).await)
    })
}

fn command(words: Vec<String>) -> Result<Command, lexopt::Error> {
    let mut words = words.into_iter();
    let name = words.next().ok_or_else(|| missing("a COMMAND"))?;
    let subject = words.next().ok_or_else(|| missing("a SUBJECT"))?;
    let texts: Vec<_> = words.collect();
    Ok(match (name.as_str(), &texts[..]) {
        ("subscribe", []) => Command::Subscribe(subject),
        ("publish", [_, ..]) => Command::Publish(subject, texts),
        ("request", []) => Command::Request(subject, String::new()),
        ("request", [text]) => Command::Request(subject, text.clone()),
        ("answer", [text]) => Command::Answer(subject, text.clone()),
        _ => return Err(missing("a COMMAND with what belongs to it")),
    })
}

async fn connect_and_run(event_loop: &EventLoop, arguments: Arguments) -> Result {
    let mut options = Options::new().name("nats_pubsub").on_event(tell);
    if let Some(token) = arguments.token {
        options = options.credentials(Credentials::Token(token));
    }
    let client = options.connect(event_loop, &arguments.servers).await?;
    match arguments.command {
        Command::Publish(subject, texts) => {
            for text in texts {
                client.publish(&subject, text)?;
            }
            // Everything is there when it ends.
            client.flush().await?;
        }
        Command::Request(subject, text) => {
            let message = Publish::new(&subject, &text);
            let answer = client.request_message(message, arguments.timeout).await?;
            writeln!(io::stdout(), "{}", shown(answer.payload()))?;
        }
        Command::Subscribe(subject) => {
            receive(event_loop, &client, subject, arguments.group, arguments.count, None).await?;
        }
        Command::Answer(subject, text) => {
            receive(event_loop, &client, subject, arguments.group, arguments.count, Some(text))
                .await?;
        }
    }
    match client.drain().await {
        // A signal has done so.
        Err(NatsError::Closed) => client.close(),
        drained => drained?,
    }
    client.closed().await?;
    Ok(())
}

/// Shows messages, and answers them if there is an answer.
async fn receive(
    event_loop: &EventLoop,
    client: &Client,
    subject: String,
    group: Option<String>,
    most: Option<usize>,
    answer: Option<String>,
) -> Result {
    let mut builder = client.subscription(subject);
    if let Some(group) = group {
        builder = builder.queue_group(group);
    }
    let mut messages = builder.start()?;
    client.flush().await?;
    writeln!(io::stdout(), "subscribed to {}", messages.subject())?;
    let mut signals = event_loop.signals([SIGINT, SIGTERM])?;
    let stopping = client.clone();
    // Draining ends the subscription, after what the server has sent already. The task is cancelled when this returns.
    let _stop = event_loop.create_task(async move {
        signals.next().await;
        stopping.drain().await
    });
    let mut count = 0;
    while most.is_none_or(|most| count < most) {
        let Some(message) = messages.next().await else { break };
        count += 1;
        writeln!(io::stdout(), "{}: {}", message.subject(), shown(message.payload()))?;
        if let (Some(answer), Some(_)) = (&answer, message.reply()) {
            client.respond(&message, answer)?;
        }
    }
    Ok(())
}

/// What happens to the connection goes to standard error.
fn tell(event: &Event) {
    let text = match event {
        Event::Connected { address } => format!("connected to {address}"),
        Event::Disconnected { error: Some(error) } => format!("not connected: {error:#}"),
        Event::Disconnected { error: None } => "not connected".to_owned(),
        Event::ServerError(text) => format!("the server says: {text}"),
        Event::SlowConsumer { subject } => format!("messages of {subject} come too fast"),
        _ => return,
    };
    // Nobody reads it, perhaps.
    let _ = writeln!(io::stderr(), "nats_pubsub: {text}");
}
