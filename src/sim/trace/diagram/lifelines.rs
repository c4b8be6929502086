//! How hosts are while time passes.

use std::collections::BTreeMap;

use super::layout::Layout;
use super::{TraceEvent, known_fault};
use crate::sim::fault::Fault;

/// How a host is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    On,
    Off,
    Paused,
}

/// A part of a host's line.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) host: usize,
    pub(super) from: f64,
    pub(super) to: f64,
    pub(super) condition: Condition,
}

/// The lines of all hosts that are drawn, from `top` to `bottom`.
pub(super) fn lifelines(layout: &Layout<'_>, top: f64, bottom: f64) -> Vec<Segment> {
    let mut conditions: BTreeMap<usize, (Condition, f64)> =
        layout.columns.keys().map(|host| (*host, (Condition::On, top))).collect();
    let mut segments = Vec::new();
    let selection = layout.selection;
    let before = selection.before.iter().map(|event| (event, top));
    let drawn = selection.events.iter().zip(layout.rows.iter().copied());
    for (event, y) in before.chain(drawn) {
        let Some((host, condition)) = change(layout.names, event) else { continue };
        if let Some(known) = conditions.get_mut(&host) {
            let (former, from) = std::mem::replace(known, (condition, y));
            segments.push(Segment { host, from, to: y, condition: former });
        }
    }
    let last = conditions.into_iter().map(|(host, (condition, from))| Segment {
        host,
        from,
        to: bottom,
        condition,
    });
    segments.extend(last);
    segments.retain(|segment| segment.to > segment.from);
    segments
}

/// Which host is otherwise from now on, and how.
fn change(names: &[String], event: &TraceEvent) -> Option<(usize, Condition)> {
    let TraceEvent::Fault { fault, .. } = event else { return None };
    let (name, condition) = match known_fault(fault)? {
        Fault::Crash(name) | Fault::Kill(name) => (name, Condition::Off),
        Fault::Restart(name) | Fault::Resume(name) => (name, Condition::On),
        Fault::Pause(name) => (name, Condition::Paused),
        _ => return None,
    };
    Some((names.iter().position(|known| *known == name)?, condition))
}
