//! `top`: a live view in the terminal.

mod screen;
mod terminal;

use std::io::{self, IsTerminal as _, Write as _};
use std::pin::pin;
use std::time::Duration;

use clap::Args;
use futures_util::future::{Either, select};
use serde::Serialize;
use wharf::signal::{SIGINT, SIGTERM, SIGWINCH};
use wharf::{EventLoop, Result, SignalStream, StreamReader};

use super::connect::Connect;
use super::output::{Output, say};
use super::parse;
use crate::client::Client;
use crate::coordinator::{Filter, Overview, TaskView};
use crate::task::Phase;
use screen::Screen;
use terminal::Terminal;

/// How many failed tasks are asked for.
const MOST_FAILED: usize = 20;

#[derive(Debug, Args)]
pub(super) struct Top {
    #[command(flatten)]
    connect: Connect,
    /// How often it is drawn: 1s
    #[arg(long, default_value = "1s", value_parser = parse::duration)]
    interval: Duration,
}

/// What is seen of a coordinator.
#[derive(Debug, Serialize)]
struct Seen {
    overview: Overview,
    /// The last ones, the newest first.
    failed: Vec<TaskView>,
}

/// On a terminal until `q` or a signal; else once.
pub(super) fn run(arguments: &Top, output: Output) -> Result {
    wharf::run(async |event_loop| {
        let client = arguments.connect.client(&event_loop).await?;
        if output.json || !io::stdout().is_terminal() {
            let seen = look(&client).await?;
            return match output.json {
                true => output.print(&seen, ""),
                false => say(Screen::default().text(&seen, None).trim_end()),
            };
        }
        // A wait of nothing would only make the coordinator busy.
        let interval = arguments.interval.max(Duration::from_millis(100));
        show(&event_loop, &client, interval).await
    })
}

async fn show(event_loop: &EventLoop, client: &Client, interval: Duration) -> Result {
    let mut signals = event_loop.signals([SIGINT, SIGTERM, SIGWINCH])?;
    let terminal = Terminal::new()?;
    let mut keys = match io::stdin().is_terminal() {
        true => Some(event_loop.open_stdin().await?),
        false => None,
    };
    let mut screen = Screen::default();
    loop {
        // A coordinator that starts again is waited for, and the keys work meanwhile.
        let seen = match until(look(client), &mut signals, &mut keys).await? {
            Next::Done(seen) => seen?,
            Next::Redraw => continue,
            Next::End => return Ok(()),
        };
        screen.add(&seen);
        loop {
            let text = screen.text(&seen, Some(terminal.size()));
            draw(&text)?;
            match until(wharf::sleep(interval), &mut signals, &mut keys).await? {
                Next::Done(()) => break,
                Next::Redraw => {}
                Next::End => return Ok(()),
            }
        }
    }
}

/// What comes first.
enum Next<T> {
    /// What was waited for.
    Done(T),
    /// The terminal has another size.
    Redraw,
    /// The user has had enough.
    End,
}

async fn until<T>(
    waited: impl Future<Output = T>,
    signals: &mut SignalStream,
    keys: &mut Option<StreamReader>,
) -> Result<Next<T>> {
    let pressed = async {
        let Some(reader) = keys else { return std::future::pending().await };
        loop {
            let bytes = reader.read_chunk().await?;
            // The end of the keyboard, q, or Ctrl-C where it is no signal.
            if bytes.is_empty() || bytes.iter().any(|byte| b"qQ\x03".contains(byte)) {
                return wharf::Result::<()>::Ok(());
            }
        }
    };
    let signal = pin!(signals.next());
    let pressed = pin!(pressed);
    let told = select(signal, pressed);
    Ok(match select(pin!(waited), told).await {
        Either::Left((value, _)) => Next::Done(value),
        Either::Right((Either::Left((SIGWINCH, _)), _)) => Next::Redraw,
        Either::Right((Either::Left(_), _)) => Next::End,
        Either::Right((Either::Right((pressed, _)), _)) => {
            pressed?;
            Next::End
        }
    })
}

async fn look(client: &Client) -> Result<Seen> {
    let filter = Filter { state: Some(Phase::Failed), ..Filter::default() };
    let overview = client.overview().await?;
    let failed = client.list(filter, MOST_FAILED, None).await?.tasks;
    Ok(Seen { overview, failed })
}

fn draw(text: &str) -> Result {
    let mut output = io::stdout().lock();
    output.write_all(text.as_bytes())?;
    output.flush()?;
    Ok(())
}
