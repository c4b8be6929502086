//! Where everything is in a diagram.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Selection, TraceEvent, known_fault};
use crate::sim::trace::Delivery;

/// Where the first row is, below the hosts' names.
const TOP: f64 = 84.0;
/// Where the columns begin, right of the times.
const LEFT: f64 = 96.0;
/// From one event to the next.
const ROW: f64 = 26.0;
/// From an event to something that arrives when nothing else happens.
const STEP: f64 = 14.0;
/// After so much the hosts' names are told again.
const PAGE: f64 = 1_000.0;
/// What that takes.
const NAMES: f64 = 40.0;

/// Where everything is.
pub(super) struct Layout<'a> {
    pub(super) selection: &'a Selection,
    pub(super) names: &'a [String],
    /// The middles of the columns of the hosts that are drawn.
    pub(super) columns: BTreeMap<usize, f64>,
    pub(super) column_width: f64,
    /// Where each event is.
    pub(super) rows: Vec<f64>,
    /// Where the hosts' names are told again.
    pub(super) pages: Vec<f64>,
    /// Where each instant begins at which something happens or arrives.
    instants: BTreeMap<Duration, f64>,
    pub(super) width: f64,
    pub(super) height: f64,
}

impl<'a> Layout<'a> {
    pub(super) fn new(names: &'a [String], selection: &'a Selection) -> Self {
        let hosts = hosts(names, selection);
        let column_width = if hosts.len() > 6 { 170.0 } else { 220.0 };
        let middle = |index: usize| LEFT + column_width * (index as f64 + 0.5);
        let columns: BTreeMap<usize, f64> =
            hosts.iter().enumerate().map(|(index, host)| (*host, middle(index))).collect();
        let mut layout = Self {
            selection,
            names,
            width: LEFT + column_width * columns.len().max(2) as f64 + 24.0,
            columns,
            column_width,
            rows: Vec::new(),
            pages: Vec::new(),
            instants: BTreeMap::new(),
            height: 0.0,
        };
        layout.place();
        layout
    }

    /// Places the rows: an instant begins below the one before, and events within it are below each other.
    fn place(&mut self) {
        let mut at: BTreeMap<Duration, usize> = BTreeMap::new();
        for event in &self.selection.events {
            *at.entry(event.at()).or_default() += 1;
            if let TraceEvent::Sent { at: sent, delivery: Delivery::After(time), .. } = event {
                at.entry(sent.saturating_add(*time)).or_default();
            }
        }
        let mut y = TOP - ROW;
        let mut page = TOP;
        let mut before = at.keys().next().copied().unwrap_or_default();
        for (instant, events) in at {
            y += if events > 0 { ROW } else { STEP } + stretch(instant - before);
            before = instant;
            if y - page > PAGE {
                self.pages.push(y + NAMES / 2.0);
                y += NAMES;
                page = y;
            }
            self.instants.insert(instant, y);
            for index in 0..events {
                y += if index > 0 { ROW } else { 0.0 };
                self.rows.push(y);
            }
        }
        self.height = y.max(TOP) + 64.0;
    }

    /// Where something is that was sent in a row, and arrives at this time.
    pub(super) fn arrival(&self, row: f64, at: Duration) -> f64 {
        self.instants.get(&at).map_or(row, |y| y.max(row))
    }

    /// The times to tell, and where.
    pub(super) fn times(&self) -> impl Iterator<Item = (Duration, f64)> {
        let events = self.selection.events.iter().zip(&self.rows);
        let mut last = None;
        events.filter_map(move |(event, row)| {
            (last.replace(event.at()) != Some(event.at())).then_some((event.at(), *row))
        })
    }
}

/// More room after a longer time: some pixels each time that it is twice as long.
fn stretch(time: Duration) -> f64 {
    let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    f64::from((u64::BITS - micros.leading_zeros()).min(40)) * 0.8
}

/// Those that something is drawn of; all, if it is of none.
fn hosts(names: &[String], selection: &Selection) -> Vec<usize> {
    let mut drawn = vec![false; names.len()];
    let mut draw = |host: usize| {
        if let Some(drawn) = drawn.get_mut(host) {
            *drawn = true;
        }
    };
    for event in &selection.events {
        match event {
            TraceEvent::Sent { from, to, .. } => [*from, *to].into_iter().for_each(&mut draw),
            TraceEvent::Kernel { host, .. } | TraceEvent::Ended { host, .. } => draw(*host),
            TraceEvent::Note { .. } => {}
            TraceEvent::Fault { fault, .. } => {
                let fault = known_fault(fault);
                let hosts = fault.iter().flat_map(|fault| fault.hosts());
                hosts
                    .filter_map(|host| names.iter().position(|name| name == host))
                    .for_each(&mut draw);
            }
        }
    }
    let is_any = drawn.contains(&true);
    (0..names.len()).filter(|host| drawn[*host] || !is_any).collect()
}
