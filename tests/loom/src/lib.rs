//! What wharf's threads share, run by loom in every order that threads can have.
//!
//! The files of the library that synchronize are compiled here with loom's atomics and locks, so
//! the models run the code that ships. A model that can wait for ever fails as a deadlock.
//!
//! ```text
//! cargo test -p wharf-loom
//! ```

#![forbid(unsafe_code)]
#![cfg(test)]

mod cancel_models;
mod channel;
mod channel_models;
mod event_loop;
mod queue_models;
mod remote;
mod scope;
mod scope_models;

/// Runs `body` in every order in which threads are interrupted at most twice, or as often as
/// `LOOM_MAX_PREEMPTIONS` says. More would take for ever, and seldom finds more.
fn model(body: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound.get_or_insert(2);
    builder.check(body);
}
