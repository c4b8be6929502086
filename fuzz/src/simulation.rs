//! Clients and a server on a simulated network: the input is the network, its faults, and how they talk.
//!
//! | bytes | meaning |
//! |---|---|
//! | 1 | what is said, counted round: echo, an answer to all of it, lines, streams, an upgrade to TLS, datagrams |
//! | 1 | plain, TLS 1.2 or 1.3 (two bits); how many clients, less 1 (two); how many conversations each has, less 1 (two); whether what happens at one instant is shuffled |
//! | 1 | the seed |
//! | 1 | latency: the least (four bits), and how much more (four) |
//! | 1 | loss (four bits), and duplication of datagrams (four) |
//! | 1 | how often what is written is split (four bits), and bandwidth (four; 0 is no limit) |
//! | 1 | how much each client says in a conversation: twice its square |
//! | 1 | clients rest (1), close (2) or end their side first; low water marks (4); how much is written at a time (four bits) |
//! | 1 | how often the server ends and begins anew (two bits), how (two), and after how long (four) |
//! | 1 | how long a client waits before each conversation, times 20 ms |
//! | 3 each | a fault: after how long (six bits of a unit, which two bits say), which, and where |
//!
//! After the last fault all is whole. The simulation is run twice.

mod clients;
mod cover;
mod ledger;
mod plan;
mod servers;
mod speech;
mod watched;
mod world;

use self::plan::Plan;

/// Simulates the input.
///
/// Checked: nothing panics, and a loop reports nothing; callbacks come in their order, whatever becomes of hosts; what
/// is heard is what was said, up to where it ends; each client comes through with all of it in the end, and at once if
/// nothing fails; servers end, with all their connections; two runs are equal to the last callback.
///
/// # Panics
/// If a promise is broken.
pub fn run(data: &[u8]) {
    let plan = Plan::read(data);
    let played = world::play(&plan);
    let last = || tail(&played.text);
    assert!(played.broken.is_empty(), "{:?}\n{plan:?}\n{}", played.broken, last());
    let again = world::play(&plan);
    if again.fingerprint != played.fingerprint {
        let lines = played.text.lines().zip(again.text.lines());
        let parts = lines.into_iter().find(|(one, other)| one != other);
        panic!("two runs differ: {parts:?}\n{plan:?}");
    }
    assert_eq!(wharf::testing::unfenced_panics(), 0, "a panic was not caught where it should be");
}

/// The last lines; all that were kept, if `WHARF_SIM_TRACE` is set.
fn tail(text: &str) -> &str {
    let most = if std::env::var_os("WHARF_SIM_TRACE").is_some() { usize::MAX } else { 60 };
    let begin = text.rmatch_indices('\n').nth(most).map_or(0, |(index, _)| index + 1);
    &text[begin..]
}
