//! What is on the screen.

use std::collections::VecDeque;
use std::time::Duration;

use super::Seen;
use crate::commands::one_task::time;
use crate::commands::output::printable;
use crate::coordinator::{Overview, WorkerView};
use crate::task::Timestamp;

/// For how many looks the throughput is shown.
const MOST_RATES: usize = 60;
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// What is on the screen, and what was.
#[derive(Debug, Default)]
pub(super) struct Screen {
    rates: VecDeque<f64>,
}

impl Screen {
    /// A look at the coordinator.
    pub(super) fn add(&mut self, seen: &Seen) {
        if self.rates.len() == MOST_RATES {
            self.rates.pop_front();
        }
        self.rates.push_back(seen.overview.per_second);
    }

    /// Its lines: all of them, or those that a terminal of so many columns and rows has, drawn over what is there.
    pub(super) fn text(&self, seen: &Seen, size: Option<(usize, usize)>) -> String {
        let lines = self.lines(seen);
        let Some((columns, rows)) = size else { return lines.join("\n") };
        let cut = |line: String| line.chars().take(columns).collect::<String>();
        let shown: Vec<_> = lines.into_iter().take(rows).map(cut).collect();
        // Each line is cleared behind its end, and what is below the last: nothing flickers.
        format!("\x1b[H{}\x1b[K\x1b[J", shown.join("\x1b[K\r\n"))
    }

    fn lines(&self, seen: &Seen) -> Vec<String> {
        let Overview { tasks, totals, .. } = &seen.overview;
        let mut lines = vec![head(&seen.overview)];
        lines.push(format!(
            "waiting   {} queued, {} delayed, {} blocked",
            tasks.queued, tasks.delayed, tasks.blocked
        ));
        lines.push(format!("running   {}", tasks.running));
        lines.push(format!(
            "ended     {} succeeded, {} failed, {} cancelled",
            tasks.succeeded, tasks.failed, tasks.cancelled
        ));
        lines.push(format!(
            "in all    {} submitted, {} given to workers, {} tried again, {} lost with their worker",
            totals.submitted, totals.assigned, totals.retried, totals.lost
        ));
        lines.push(format!(
            "rate      {:.1} tasks/s  {}",
            seen.overview.per_second,
            bars(&self.rates)
        ));
        lines.push(String::new());
        lines.push(format!("{:<20} {:>7} {:>7}  RUNS", "WORKER", "SLOTS", "WAITING"));
        let now = seen.overview.now;
        lines.extend(seen.overview.workers.iter().map(|worker| of_worker(worker, now)));
        if !seen.failed.is_empty() {
            lines.push(String::new());
            lines.push(format!("{:<32} {:<16} ERROR", "FAILED", "KIND"));
        }
        for task in &seen.failed {
            let error = task.error.as_deref().unwrap_or("no reason");
            let (id, kind) = (task.id.as_str(), task.kind.as_str());
            lines.push(one(&format!("{id:<32} {kind:<16} {error}")));
        }
        lines
    }
}

fn head(overview: &Overview) -> String {
    let workers = overview.worker_count;
    let plural = if workers == 1 { "" } else { "s" };
    let mut head = format!("{}  {workers} worker{plural}", time(overview.now));
    if overview.is_draining {
        head.push_str("  DRAINING");
    }
    if let Some(error) = &overview.store_error {
        head.push_str(&one(&format!("  NOTHING CAN BE WRITTEN: {error}")));
    }
    head
}

fn of_worker(worker: &WorkerView, now: Timestamp) -> String {
    let runs = worker.running.iter().map(|slot| {
        let since = Duration::from_millis(now.0.saturating_sub(slot.since.0)).as_secs();
        format!("{} {} {since}s", slot.kind, slot.id)
    });
    let runs = runs.collect::<Vec<_>>().join(", ");
    let slots = format!("{}/{}", worker.running.len(), worker.slots);
    one(&format!("{:<20} {slots:>7} {:>7}  {runs}", worker.name, worker.waiting))
}

/// The throughput of the last looks, as a row of bars.
fn bars(rates: &VecDeque<f64>) -> String {
    let most = rates.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
    let bar = |rate: &f64| BARS[((rate / most * 7.0).round() as usize).min(7)];
    rates.iter().map(bar).collect()
}

/// A line that is one.
fn one(text: &str) -> String {
    printable(text).replace(['\n', '\t'], " ").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use serde_json::json;

    use super::{Screen, bars};
    use crate::commands::top::Seen;

    fn seen() -> Seen {
        let counts = json!({
            "blocked": 1, "delayed": 2, "queued": 3, "running": 1, "succeeded": 5, "failed": 1, "cancelled": 7,
        });
        let running = json!([{"slot": 0, "id": "x", "kind": "sleep", "since": 1_000}]);
        let worker = json!({
            "key": 1, "name": "w\u{1b}[2J", "kinds": ["sleep"], "slots": 2, "capacity": 4, "waiting": 1,
            "running": running,
        });
        let overview = json!({
            "now": 8_000, "tasks": counts, "kinds": [], "per_second": 12.34, "workers": [worker], "worker_count": 1,
            "totals": {
                "submitted": 9, "assigned": 8, "succeeded": 5, "failed": 1, "cancelled": 7, "retried": 3, "lost": 2,
            },
            "is_draining": true,
        });
        let failed = json!([{
            "key": 1, "id": "y", "kind": "fail", "args": "null", "priority": 5, "submitted": 1, "attempts": 1,
            "losses": 0, "state": {"state": "ended", "outcome": "failed", "at": 2}, "error": "no\nand no",
        }]);
        Seen {
            overview: serde_json::from_value(overview).unwrap(),
            failed: serde_json::from_value(failed).unwrap(),
        }
    }

    #[test]
    fn a_screen_has_counts_workers_with_what_they_run_and_failed_tasks() {
        let text = Screen::default().text(&seen(), None);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "1970-01-01T00:00:08.000Z  1 worker  DRAINING");
        assert_eq!(lines[1], "waiting   3 queued, 2 delayed, 1 blocked");
        assert_eq!(lines[5].trim_end(), "rate      12.3 tasks/s");
        assert_eq!(lines[8], "w [2J                    1/2       1  sleep x 7s");
        assert_eq!(lines[11], format!("{:<32} {:<16} no and no", "y", "fail"));
    }

    #[test]
    fn a_screen_is_no_larger_than_the_terminal() {
        let text = Screen::default().text(&seen(), Some((9, 3)));
        assert_eq!(text, "\x1b[H1970-01-0\x1b[K\r\nwaiting  \x1b[K\r\nrunning  \x1b[K\x1b[J");
    }

    #[test]
    fn the_throughput_is_a_row_of_bars() {
        assert_eq!(bars(&VecDeque::from([0.0, 1.0, 3.5, 7.0])), "▁▂▅█");
        assert_eq!(bars(&VecDeque::from([0.0])), "▁");
        let mut screen = Screen::default();
        for _ in 0..100 {
            screen.add(&seen());
        }
        assert_eq!(screen.rates.len(), 60);
    }
}
