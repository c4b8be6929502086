//! Numbers for Prometheus, in its text format.

use std::fmt::{Display, Write as _};

use crate::coordinator::Overview;
use crate::task::Phase;

/// Of the text.
pub(super) const KIND: &str = "text/plain; version=0.0.4; charset=utf-8";

const PREFIX: &str = "wharf_executor";

/// What an overview is to Prometheus. Kinds have no character that would have to be escaped.
pub(super) fn text(overview: &Overview) -> String {
    let mut text = String::new();
    head(&mut text, "tasks", "gauge", "Tasks that the coordinator keeps, by state");
    for phase in Phase::ALL {
        line(&mut text, "tasks", &format!("{{state=\"{phase}\"}}"), overview.tasks.of(phase));
    }
    head(&mut text, "kind_tasks", "gauge", "The same, by kind; 100 kinds at most");
    for view in &overview.kinds {
        for phase in Phase::ALL {
            let labels = format!("{{kind=\"{}\",state=\"{phase}\"}}", view.kind);
            line(&mut text, "kind_tasks", &labels, view.tasks.of(phase));
        }
    }
    let totals = &overview.totals;
    head(&mut text, "ended_total", "counter", "Tasks that ended, by how");
    for (outcome, count) in [
        ("succeeded", totals.succeeded),
        ("failed", totals.failed),
        ("cancelled", totals.cancelled),
    ] {
        line(&mut text, "ended_total", &format!("{{outcome=\"{outcome}\"}}"), count);
    }
    for (name, help, count) in [
        ("submitted_total", "Tasks that were submitted", totals.submitted),
        ("assigned_total", "How often a task was given to a worker", totals.assigned),
        ("retried_total", "How often a task was to be tried again", totals.retried),
        ("lost_total", "How often a task's worker was lost", totals.lost),
    ] {
        head(&mut text, name, "counter", help);
        line(&mut text, name, "", count);
    }
    let slots: usize = overview.workers.iter().map(|worker| worker.slots).sum();
    let busy: usize = overview.workers.iter().map(|worker| worker.running.len()).sum();
    for (name, help, count) in [
        ("workers", "Workers that are connected", overview.worker_count),
        ("slots", "Their slots", slots),
        ("slots_busy", "Slots in which a task runs", busy),
        ("draining", "1: no new tasks are taken", usize::from(overview.is_draining)),
        (
            "store_failed",
            "1: the store cannot be written",
            usize::from(overview.store_error.is_some()),
        ),
    ] {
        head(&mut text, name, "gauge", help);
        line(&mut text, name, "", count);
    }
    text
}

fn head(text: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(text, "# HELP {PREFIX}_{name} {help}.\n# TYPE {PREFIX}_{name} {kind}");
}

fn line(text: &mut String, name: &str, labels: &str, value: impl Display) {
    let _ = writeln!(text, "{PREFIX}_{name}{labels} {value}");
}
