//! `list`: tasks, the newest first.

use clap::Args;
use wharf::Result;

use super::connect::Connect;
use super::output::Output;
use super::parse;
use crate::client::Client;
use crate::coordinator::{Filter, TaskView};
use crate::task::{Kind, Phase, State};

/// The most of a text in a line.
const MOST_TEXT: usize = 60;

#[derive(Debug, Args)]
pub(super) struct List {
    #[command(flatten)]
    connect: Connect,
    /// Those that are blocked, delayed, queued, running, succeeded, failed, or cancelled
    #[arg(long)]
    state: Option<Phase>,
    /// The dead-letter list: those whose last attempt has failed
    #[arg(long, conflicts_with = "state")]
    failed: bool,
    /// Those that do this
    #[arg(long, value_parser = parse::kind)]
    kind: Option<Kind>,
    /// At most so many
    #[arg(long, default_value_t = 50)]
    limit: usize,
}

pub(super) fn run(arguments: List, output: Output) -> Result {
    wharf::run(async move |event_loop| {
        let client = arguments.connect.client(&event_loop).await?;
        let state = if arguments.failed { Some(Phase::Failed) } else { arguments.state };
        let filter = Filter { state, kind: arguments.kind };
        show(&client, &filter, arguments.limit, output).await
    })
}

async fn show(client: &Client, filter: &Filter, limit: usize, output: Output) -> Result {
    let (mut left, mut before) = (limit, None);
    while left > 0 {
        let page = client.list(filter.clone(), left, before).await?;
        left -= page.tasks.len().min(left);
        for task in &page.tasks {
            output.print(task, line(task))?;
        }
        let Some(next) = page.next else { break };
        before = Some(next);
    }
    Ok(())
}

/// Its id, where it is, how often it was tried, what it does, and what is to be said of that.
fn line(task: &TaskView) -> String {
    let TaskView { id, kind, attempts, args, .. } = task;
    let phase = Phase::from(&task.state);
    let note = match (&task.state, &task.error, &task.result) {
        (State::Running { worker, .. }, ..) => format!("on {}", shown(worker)),
        (_, Some(error), _) => shown(error),
        (_, _, Some(result)) => shown(result),
        _ => String::new(),
    };
    let line =
        format!("{:<32} {phase:<9} {attempts:>3}  {kind} {}  {note}", id.as_str(), shown(args));
    line.trim_end().to_owned()
}

/// The beginning of a text, without what would move the cursor of a terminal.
fn shown(text: &str) -> String {
    let printed = |letter: char| if letter.is_control() { ' ' } else { letter };
    let mut letters = text.chars().map(printed);
    let mut shown: String = letters.by_ref().take(MOST_TEXT).collect();
    if letters.next().is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn a_line_stays_a_line() {
        assert_eq!(shown("a\nb\u{1b}[2J\u{9b}c"), "a b [2J c");
        assert_eq!(shown(&"é".repeat(61)), format!("{}…", "é".repeat(60)));
    }
}
