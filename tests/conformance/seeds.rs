//! The suite in a simulation, with one seed after the other, over links with faults.
//!
//! `WHARF_SIM_SEEDS=10000 cargo test --release --all-features --test conformance seeds` tries 10,000;
//! `WHARF_SIM_SEED=n` tries one.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use wharf::sim::{Fault, KernelFault, KernelOptions, LinkOptions, Random, Script, Simulation};

use crate::probe::assert_rules_were_kept;
use crate::simulated::Faulty;
use crate::stage::{Link, Stage, Ways};

/// A check and its name.
pub(crate) type Check<L> = (&'static str, fn(&mut Stage<L>));

/// What links do to what passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Links {
    /// It is late, waits, and shares a bandwidth; nothing is lost, and what was sent together arrives together.
    Slow,
    /// It is lost, too, and sent again.
    Lossy,
    /// It is cut apart, too.
    Splitting,
}

/// What kernels do to the calls of both ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kernels {
    Well,
    /// They report what is not there.
    Spurious,
    /// They move less than they could and say "it would block", too.
    Short,
}

/// What the next simulation is made of.
#[derive(Clone, Copy, Debug)]
struct Conditions {
    seed: u64,
    links: Links,
    kernels: Kernels,
}

/// Checks that need to be told of a reset. A reset that is lost is not sent again: who sends nothing never hears of it.
const NEED_RESETS: &[&str] = &[
    "a_failed_write_is_followed_by_no_resume_writing",
    "a_failed_write_while_input_waits_leaves_it_to_be_read",
    "a_reset_at_every_step_of_closing_ends_it_once",
    "abort_after_close_discards_the_rest",
    "abort_discards_what_is_not_sent",
    "abort_in_connection_made_is_followed_by_connection_lost",
    "abort_with_nothing_to_drop_is_an_end_like_others",
    "already_polled_input_is_not_delivered_after_the_loss",
    "callbacks_never_run_inside_others",
    "close_never_destroys_the_last_reply",
    "connection_lost_is_told_none_after_close_abort_and_the_peers_end",
    "connection_with_panic_aborts_and_goes_on_in_the_caller",
    "dropped_output_never_looks_complete",
    "empty_buffer_of_a_buffered_protocol_is_an_error",
    "failing_connection_made_aborts_the_connection",
    "failing_data_received_aborts_the_connection",
    "failing_get_buffer_or_buffer_updated_aborts_the_connection",
    "failing_write_is_told_in_connection_lost",
    "file_that_became_shorter_ends_the_connection",
    "input_before_an_error_is_delivered_first",
    "input_is_delivered_before_the_error_of_a_write",
    "joined_echoes_do_not_deadlock",
    "peer_that_goes_midway_is_told_to_the_future_and_to_the_protocol",
    "reset_is_connection_losts_error_and_not_reported",
    "reset_while_paused_is_delivered_at_once",
    "two_ends_that_close_with_much_to_send_do_not_wait_for_each_other",
];

/// Checks whose sockets linger for a peer that is not silent for a second, as it is when something of it is lost often, or
/// that count turns until an answer has come.
const NEED_STEADY_LINKS: &[&str] =
    &["input_after_close_is_discarded_and_not_delivered", "long_file_leaves_others_their_turn"];

/// Checks that count what was read at once, or have it that what was written has gone out and what has come was accepted.
const NEED_WHOLE_CALLS: &[&str] = &[
    "a_reset_at_every_step_of_closing_ends_it_once",
    "abort_in_connection_made_is_followed_by_connection_lost",
    "already_polled_input_is_not_delivered_after_the_loss",
    "buffered_protocol_is_read_into_its_own_buffer",
    "connection_post_runs_in_a_later_round",
    "connection_with_is_busy_inside_the_protocols_callbacks",
    "connection_with_reaches_the_protocol",
    "end_of_the_peers_side_while_paused_is_delivered_after_the_resume",
    "failing_connection_made_aborts_the_connection",
    "file_goes_out_between_what_is_written_before_and_after",
    "hold_and_users_pause_are_independent",
    "hold_is_granted_only_for_output_of_own_input",
    "input_before_an_error_is_delivered_first",
    "large_writes_go_out_at_once",
    "last_of_several_protocols_gets_all_that_was_left",
    "leftover_comes_first_and_fills_buffered_protocols",
    "leftover_waits_while_reading_is_paused",
    "long_file_leaves_others_their_turn",
    "long_leftover_comes_before_what_the_socket_has",
    "no_connection_keeps_the_loop_to_itself",
    "panics_are_caught_in_every_callback",
    "pausing_and_resuming_are_idempotent_and_harmless_when_closed",
    "pausing_suppresses_input_that_was_polled_already",
    "stale_handles_are_harmless",
    "switching_to_a_buffered_protocol_and_back_is_immediate",
    "vectored_writes_are_joined_and_skip_empty_slices",
    "waiting_file_counts_little_and_what_is_behind_it_in_full",
    "writes_of_a_callback_go_out_when_it_returns",
    "zero_limits_pause_on_any_byte_and_resume_when_empty",
];

thread_local! {
    /// This thread's next simulation.
    static NEXT: Cell<Conditions> = const {
        Cell::new(Conditions { seed: 0, links: Links::Slow, kernels: Kernels::Well })
    };
}

#[test]
fn the_suite_passes_with_many_seeds_over_links_with_faults() {
    let checks = [
        crate::faulty::making::CHECKS,
        crate::faulty::closing::CHECKS,
        crate::faulty::ending::CHECKS,
        crate::faulty::failing::CHECKS,
        crate::faulty::reading::CHECKS,
        crate::faulty::switching::CHECKS,
        crate::faulty::writing::CHECKS,
        crate::faulty::flow_control::CHECKS,
        crate::faulty::back_pressure::CHECKS,
        crate::faulty::send_file::CHECKS,
        crate::faulty::beyond::CHECKS,
    ];
    run::<Faulty>(1, &checks.concat());
}

#[cfg(feature = "tls")]
#[test]
fn the_suite_passes_under_tls12_with_many_seeds_over_links_with_faults() {
    let checks = [
        crate::tls12_faulty::making::CHECKS,
        crate::tls12_faulty::closing::CHECKS,
        crate::tls12_faulty::ending::CHECKS,
        crate::tls12_faulty::failing::CHECKS,
        crate::tls12_faulty::reading::CHECKS,
        crate::tls12_faulty::switching::CHECKS,
        crate::tls12_faulty::writing::CHECKS,
        crate::tls12_faulty::flow_control::CHECKS,
        crate::tls12_faulty::back_pressure::CHECKS,
        crate::tls12_faulty::send_file::CHECKS,
        crate::tls12_faulty::beyond::CHECKS,
    ];
    run::<crate::stage::Tls12<Faulty>>(3, &checks.concat());
}

#[cfg(feature = "tls")]
#[test]
fn the_suite_passes_under_tls_with_many_seeds_over_links_with_faults() {
    let checks = [
        crate::tls13_faulty::making::CHECKS,
        crate::tls13_faulty::closing::CHECKS,
        crate::tls13_faulty::ending::CHECKS,
        crate::tls13_faulty::failing::CHECKS,
        crate::tls13_faulty::reading::CHECKS,
        crate::tls13_faulty::switching::CHECKS,
        crate::tls13_faulty::writing::CHECKS,
        crate::tls13_faulty::flow_control::CHECKS,
        crate::tls13_faulty::back_pressure::CHECKS,
        crate::tls13_faulty::send_file::CHECKS,
        crate::tls13_faulty::beyond::CHECKS,
    ];
    run::<crate::stage::Tls13<Faulty>>(3, &checks.concat());
}

/// Runs the checks with as many seeds as the environment says, on as many threads as there are cores. Otherwise with
/// one seed: one check of `share`.
fn run<L: Link>(share: usize, checks: &[Check<L>]) {
    for needs in NEED_RESETS.iter().chain(NEED_STEADY_LINKS).chain(NEED_WHOLE_CALLS) {
        assert!(checks.iter().any(|(name, _)| name == needs), "there is no check {needs}");
    }
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse().expect("a number"));
    let only: Option<u64> = number("WHARF_SIM_SEED");
    let wanted = number("WHARF_SIM_SEEDS");
    let seeds = if only.is_some() { 1 } else { wanted.unwrap_or(1) };
    let share = if only.or(wanted).is_some() { 1 } else { share };
    let next = AtomicU64::new(0);
    let failed = Mutex::new(Vec::new());
    let work = || {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= seeds || failed.lock().is_ok_and(|failed| failed.len() >= 200) {
                break;
            }
            let seed = only.unwrap_or(index);
            for (name, check) in checks.iter().step_by(share) {
                NEXT.set(conditions(seed, name));
                let run = || Stage::run(Ways::any(), *check);
                if let Err(panic) = catch_unwind(AssertUnwindSafe(run)) {
                    let text = panic.downcast_ref::<String>().cloned();
                    let text =
                        text.or_else(|| panic.downcast_ref().map(|text: &&str| (*text).into()));
                    let text = text.unwrap_or_default();
                    let Conditions { seed, links, kernels } = NEXT.get();
                    let line = format!(
                        "{name}, WHARF_SIM_SEED={seed}, links {links:?}, kernels {kernels:?}: {text}"
                    );
                    failed.lock().expect("no panic").push(line);
                    // What it has broken off is not the next one's fault.
                    let _ = catch_unwind(assert_rules_were_kept);
                }
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        (1..threads).for_each(|_| drop(scope.spawn(work)));
        work();
    });
    let failed = failed.into_inner().expect("no panic");
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// One kind of links for each third of the checks, one of kernels for each third of these, and others with the next seed,
/// as far as the check bears them.
fn conditions(seed: u64, name: &str) -> Conditions {
    let needs_all = NEED_RESETS.contains(&name) || NEED_STEADY_LINKS.contains(&name);
    let needs_whole_calls = NEED_WHOLE_CALLS.contains(&name);
    let number = seed + name.len() as u64;
    let links = match number % 3 {
        1 if !needs_all => Links::Lossy,
        2 if !needs_all && !needs_whole_calls => Links::Splitting,
        _ => Links::Slow,
    };
    let kernels = match number / 3 % 3 {
        0 => Kernels::Well,
        1 if !needs_whole_calls => Kernels::Short,
        _ => Kernels::Spurious,
    };
    Conditions { seed, links, kernels }
}

/// The next simulation of this thread's check.
pub(crate) fn simulation() -> Simulation {
    let Conditions { seed, links, kernels } = NEXT.get();
    let simulation = Simulation::new(seed);
    let random = simulation.random().fork();
    let least = random.duration(micros(10)..=micros(5_000));
    let most = least + random.duration(micros(0)..=micros(20_000));
    let mut options = LinkOptions::new().latency(least..=most);
    if random.chance(0.3) {
        options = options.bandwidth(2_000_000 + random.below(50_000_000) as u64);
    }
    if links != Links::Slow {
        options = options.loss(0.01);
    }
    if links == Links::Splitting {
        options = options.split(0.5);
    }
    simulation.links(options);
    simulation.kernels(kernel_options(&random, kernels));
    simulation.script(script(&random, links));
    simulation
}

/// What kernels do as long as the check runs.
fn kernel_options(random: &Random, kernels: Kernels) -> KernelOptions {
    use KernelFault::{ShortReads, ShortWrites, SpuriousReadiness, WouldBlock};
    let faults: &[KernelFault] = match kernels {
        Kernels::Well => &[],
        Kernels::Spurious => &[SpuriousReadiness],
        Kernels::Short => &[ShortReads, ShortWrites, WouldBlock, SpuriousReadiness],
    };
    faults.iter().fold(KernelOptions::new(), |options, fault| {
        options.fault(*fault, (5 + random.below(46)) as f64 / 100.0)
    })
}

/// Faults for a second. All of them are over then, and what they have lost is there before any deadline of a connection.
fn script(random: &Random, links: Links) -> Script {
    let every = random.duration(micros(2_000)..=micros(200_000));
    let mut events = Vec::new();
    let mut at = Duration::ZERO;
    loop {
        at += random.duration(Duration::ZERO..=2 * every);
        if at >= END {
            break;
        }
        let until = (at + random.duration(micros(100)..=2 * every)).min(END);
        let (from, to) = if random.chance(0.5) { ("near", "far") } else { ("far", "near") };
        let (from, to) = (from.to_owned(), to.to_owned());
        let begin = match random.below(if links == Links::Slow { 1 } else { 3 }) {
            0 => Fault::Clog(from.clone(), to.clone()),
            1 => Fault::Cut(from.clone(), to.clone()),
            _ => Fault::Loss(0.3),
        };
        let over = match begin {
            Fault::Loss(_) => Fault::Loss(0.0),
            _ => Fault::Join(from, to),
        };
        events.extend([(at, begin), (until, over)]);
    }
    events.push((END, Fault::Recover));
    events.sort_by_key(|(at, _)| *at);
    events.into_iter().fold(Script::new(), |script, (at, fault)| script.at(at, fault))
}

const END: Duration = Duration::from_secs(1);

const fn micros(count: u64) -> Duration {
    Duration::from_micros(count)
}
