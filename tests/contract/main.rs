//! The contract: what is promised to users, a test for each promise (see `docs/guarantees.md`).

#[path = "../support/probe.rs"]
#[allow(dead_code, reason = "every test binary uses a part of it")]
mod probe;
#[path = "../support/running.rs"]
#[allow(dead_code, reason = "every test binary uses a part of it")]
mod running;

mod broadcast;
mod deadlines;
mod flow_control;
mod life_cycle;
mod writing;
