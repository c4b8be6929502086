//! What pages are told of an overview: the parts of it that have changed.

use std::fmt::Write as _;

use serde::Serialize;

use crate::coordinator::Overview;

/// How many there are.
pub(super) const SECTIONS: usize = 6;
/// The most slots whose tasks are told.
const MOST_RUNNING: usize = 1_000;

/// Parts of an overview, each with a version that says when it changed. They are made once for all pages.
#[derive(Debug, Default)]
pub(super) struct Sections {
    parts: [Part; SECTIONS],
    version: u64,
    now: u64,
}

#[derive(Debug, Default)]
struct Part {
    name: &'static str,
    json: String,
    version: u64,
}

#[derive(Serialize)]
struct Health<'a> {
    draining: bool,
    store: Option<&'a str>,
    workers: usize,
}

impl Sections {
    /// Something may have changed. Workers are told of less often: they are the most.
    pub(super) fn put(&mut self, overview: &mut Overview, with_workers: bool) {
        self.version += 1;
        self.now = overview.now.0;
        let health = Health {
            draining: overview.is_draining,
            store: overview.store_error.as_deref(),
            workers: overview.worker_count,
        };
        self.set(0, "tasks", &overview.tasks);
        self.set(1, "totals", &overview.totals);
        self.set(2, "rate", &overview.per_second);
        self.set(3, "kinds", &overview.kinds);
        self.set(4, "health", &health);
        if with_workers {
            let mut left = MOST_RUNNING;
            for worker in &mut overview.workers {
                worker.running.truncate(left);
                left -= worker.running.len();
            }
            self.set(5, "workers", &overview.workers);
        }
    }

    /// Adds what has changed after a version to an object of JSON that has begun.
    pub(super) fn write_since(&self, version: u64, json: &mut String) {
        let _ = write!(json, "\"now\":{}", self.now);
        for part in self.parts.iter().filter(|part| part.version > version) {
            let _ = write!(json, ",\"{}\":{}", part.name, part.json);
        }
    }

    /// Whether anything has.
    pub(super) fn is_newer_than(&self, version: u64) -> bool {
        self.parts.iter().any(|part| part.version > version)
    }

    pub(super) fn version(&self) -> u64 {
        self.version
    }

    fn set(&mut self, index: usize, name: &'static str, value: &impl Serialize) {
        // All of it can be told in JSON.
        let Ok(json) = serde_json::to_string(value) else { return };
        let part = &mut self.parts[index];
        if part.json != json {
            *part = Part { name, json, version: self.version };
        }
    }
}
