//! An echo server that is replaced while it serves: start it again with the same control path, and
//! the new process takes the place of the old one. No client is refused. Those who are connected stay
//! with the old process, which ends with the last of them.
//!
//! ```text
//! cargo run --release --example hot_restart -- --listen 127.0.0.1:7000 --control /tmp/hot_restart
//! ```
//!
//! Then the same in a second terminal, as often as you like, with clients at work meanwhile.
#![forbid(unsafe_code)]

use std::future::poll_fn;
use std::io::{self, Write};
use std::path::PathBuf;
use std::pin::pin;
use std::process::ExitCode;
use std::task::Poll;
use std::time::Duration;

use lexopt::ValueExt;
use wharf::{EventLoop, Handover, Protocol, Result, Server, Transport};

use wharf_examples::command_line::{listen_address, missing, path, run, seconds, set_once};
use wharf_examples::race::within;
use wharf_examples::serving::{GRACE, announce, drain};
use wharf_examples::stopping::stop_signal;

const USAGE: &str = "
Sends back whatever it receives, until SIGINT or SIGTERM, or until it is started again.

usage: hot_restart --listen ADDRESS --control PATH [options]

  --listen ADDRESS    where the first one listens; its successors go on there
  --control PATH      the Unix socket over which one hands over to the next
  --drain SECONDS     how long one that was replaced waits for its connections to end, before it cuts
                      them off; unless given, as long as they take
  --patience SECONDS  how long to wait for the predecessor's answer; 10 unless given

exit code: 0 if all connections came to their end, 1 if not
";

/// By this name one process tells the next what its listeners are for.
const NAME: &str = "echo";

/// After this time of silence it says what it is waiting for.
const SILENCE: Duration = Duration::from_secs(1);

struct Echo;

impl Protocol for Echo {
    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
        transport.write(data);
        Ok(())
    }

    /// Whoever is connected may finish what it has begun, as long as the server waits for it.
    fn shutting_down(&mut self, _: &dyn Transport) -> Result {
        Ok(())
    }
}

struct Options {
    listen: String,
    control: PathBuf,
    drain: Option<Duration>,
    patience: Duration,
}

fn main() -> ExitCode {
    run(USAGE, |arguments| {
        let options = parse(arguments)?;
        EventLoop::new()?.run(async |event_loop| serve(&event_loop, &options).await)
    })
}

fn parse(mut arguments: lexopt::Parser) -> Result<Options, lexopt::Error> {
    let (mut listen, mut control, mut drain, mut patience) = (None, None, None, None);
    while let Some(argument) = arguments.next()? {
        match argument {
            lexopt::Arg::Long("listen") => {
                set_once(&mut listen, arguments.value()?.parse_with(listen_address)?)?;
            }
            lexopt::Arg::Long("control") => {
                set_once(&mut control, arguments.value()?.parse_with(path)?)?;
            }
            lexopt::Arg::Long("drain") => drain = Some(arguments.value()?.parse_with(seconds)?),
            lexopt::Arg::Long("patience") => {
                patience = Some(arguments.value()?.parse_with(seconds)?);
            }
            other => return Err(other.unexpected()),
        }
    }
    Ok(Options {
        listen: listen.ok_or_else(|| missing("--listen ADDRESS"))?,
        control: control.ok_or_else(|| missing("--control PATH"))?,
        drain,
        patience: patience.unwrap_or(Duration::from_secs(10)),
    })
}

async fn serve(event_loop: &EventLoop, options: &Options) -> Result {
    let began = within(event_loop, options.patience, begin(event_loop, options)).await;
    let (server, handover) = began.unwrap_or_else(|| {
        let control = options.control.display();
        Err(format!(
            "the process that serves at {control} gave no answer in {:?}; it may be stopped, or busy. \
             It goes on as before. To start without it, end it first",
            options.patience
        )
        .into())
    })?;
    // It ends with a signal, or when a successor serves.
    let closed = server.clone();
    let stopped = stop_signal(event_loop)?;
    stopped.add_done_callback(move |_| closed.close());
    announce(&server);
    server.serve_forever().await?;
    if stopped.is_done() {
        return drain(&server, GRACE).await;
    }
    handover.taken().await?;
    let drain_time = options.drain.unwrap_or(Duration::MAX);
    say_what_is_open(&server);
    match within(event_loop, drain_time, first(server.wait_closed(), stopped)).await {
        // Either all are gone, or a signal came: then a few seconds have to do.
        Some(()) => drain(&server, GRACE).await,
        None => Err(format!("{} connections had to be cut off", server.abort_clients()).into()),
    }
}

fn say_what_is_open(server: &Server) {
    let open = server.connections();
    if open > 0 {
        let _ = writeln!(
            io::stderr(),
            "hot_restart: replaced; {open} connections go on here until they end"
        );
    }
}

/// Begins in the place of a running process, or as the first.
async fn begin(event_loop: &EventLoop, options: &Options) -> Result<(Server, Handover)> {
    let control = &options.control;
    let waiting = format!("hot_restart: waiting for the process at {}", control.display());
    let notice = event_loop.call_later(SILENCE, move || {
        let _ = writeln!(io::stderr(), "{waiting}");
    });
    let outcome = match event_loop.take_over(control).await? {
        Some(mut inherited) => {
            let listeners = inherited.take_listeners(NAME);
            let server = event_loop.create_server_on(|| Echo, listeners).await?;
            let handover = inherited.serving([(NAME, &server)]).await?;
            // Nobody may be reading: that is no failure.
            let _ = writeln!(io::stdout(), "taken over");
            (server, handover)
        }
        None => {
            let server = event_loop.create_server(|| Echo, &options.listen).await?;
            let handover = event_loop.offer_handover(control, [(NAME, &server)]).await?;
            (server, handover)
        }
    };
    notice.cancel();
    Ok(outcome)
}

/// Completes with the first of the two.
async fn first(one: impl Future, other: impl Future) {
    let (mut one, mut other) = (pin!(one), pin!(other));
    poll_fn(|context| {
        let is_done =
            one.as_mut().poll(context).is_ready() || other.as_mut().poll(context).is_ready();
        if is_done { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}
