//! The same scripts over the loopback interface and in a simulation: each protocol is called in the same way.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::ErrorKind;

use crate::probe::{Call, End, Trace, traced};
use crate::simulated::Simulated;
use crate::stage::{Link, Stage, Tcp, Ways};
#[cfg(feature = "tls")]
use crate::stage::{Tls12, Tls13};

/// A link of the operating system, and the same in a simulation.
pub(crate) trait Pair {
    type Real: Link;
    type Simulated: Link;

    /// The server sends tickets after the handshake. An abort is a reset as long as its client has not read them, and later
    /// an end like others, which does not say so under TLS: those are not told apart.
    const TICKETS: bool = false;
}

pub(crate) struct OfTcp;

impl Pair for OfTcp {
    type Real = Tcp;
    type Simulated = Simulated;
}

#[cfg(feature = "tls")]
pub(crate) struct OfTls12;

#[cfg(feature = "tls")]
impl Pair for OfTls12 {
    type Real = Tls12<Tcp>;
    type Simulated = Tls12<Simulated>;
}

#[cfg(feature = "tls")]
pub(crate) struct OfTls13;

#[cfg(feature = "tls")]
impl Pair for OfTls13 {
    type Real = Tls13<Tcp>;
    type Simulated = Tls13<Simulated>;

    const TICKETS: bool = true;
}

/// What is not compared of a check, and why.
struct Difference {
    check: &'static str,
    of: &'static [Aspect],
    because: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Aspect {
    /// How much is received.
    Amount,
    /// How often writing is paused and resumed.
    Flow,
    /// How the connection ends.
    Ending,
    /// Which of several protocols it is that something happens to.
    Which,
    /// Anything.
    All,
}

use Aspect::{All, Amount, Ending, Flow, Which};

const BUFFERS: &str = "how much is under way when a connection is cut is what buffers hold; a kernel's grow and shrink";
const PACE: &str =
    "how often a writer waits depends on when the other side reads, which a kernel decides";

const DIFFERENCES: &[Difference] = &[
    Difference { check: "joined_echoes_do_not_deadlock", of: &[All], because: BUFFERS },
    Difference {
        check: "callbacks_never_run_inside_others",
        of: &[Amount, Flow],
        because: BUFFERS,
    },
    Difference { check: "abort_after_close_discards_the_rest", of: &[Amount], because: BUFFERS },
    Difference { check: "abort_discards_what_is_not_sent", of: &[Amount], because: BUFFERS },
    Difference {
        check: "failing_resume_writing_aborts_the_connection",
        of: &[Amount],
        because: BUFFERS,
    },
    Difference {
        check: "write_cap_refuses_the_write_and_ends_the_connection",
        of: &[Ending],
        because: "the error says how much waits, which is what a kernel's buffer has not taken",
    },
    Difference {
        check: "dropped_output_never_looks_complete",
        of: &[Amount, Ending],
        because: "how much passes is what two kernels' buffers hold, and the error says how much is left",
    },
    Difference {
        check: "panics_are_caught_in_every_callback",
        of: &[Amount, Ending],
        because: "it aborts both sides: a reset that takes no time comes before the other's own end",
    },
    Difference {
        check: "zero_limits_pause_on_any_byte_and_resume_when_empty",
        of: &[Amount, Flow],
        because: BUFFERS,
    },
    Difference {
        check: "cancelled_file_stops_and_what_is_behind_it_follows",
        of: &[Amount],
        because: BUFFERS,
    },
    Difference {
        check: "cancelling_the_only_file_lets_a_close_go_on",
        of: &[Amount],
        because: BUFFERS,
    },
    Difference {
        check: "file_that_became_shorter_ends_the_connection",
        of: &[Amount],
        because: BUFFERS,
    },
    Difference {
        check: "peer_that_goes_midway_is_told_to_the_future_and_to_the_protocol",
        of: &[Flow],
        because: BUFFERS,
    },
    Difference {
        check: "writing_pauses_above_high_and_resumes_at_low",
        of: &[Amount, Flow],
        because: BUFFERS,
    },
    Difference { check: "lowering_the_limits_pauses", of: &[Amount], because: BUFFERS },
    Difference { check: "raising_the_limits_resumes", of: &[Amount, Flow], because: BUFFERS },
    Difference {
        check: "paused_protocol_that_is_aborted_gets_no_resume_writing",
        of: &[Flow],
        because: BUFFERS,
    },
    Difference { check: "pause_and_resume_alternate", of: &[Flow], because: PACE },
    Difference {
        check: "writer_that_was_told_above_high_water_is_always_resumed",
        of: &[Flow],
        because: PACE,
    },
    Difference {
        check: "several_files_and_writes_keep_their_order",
        of: &[Flow],
        because: BUFFERS,
    },
    Difference {
        check: "answering_with_files_is_bounded_by_the_default_hold",
        of: &[Flow],
        because: PACE,
    },
    Difference { check: "overriding_only_pause_writing_works", of: &[Flow], because: PACE },
    Difference { check: "overriding_only_resume_writing_works", of: &[Flow], because: PACE },
    Difference {
        check: "echo_returns_every_byte_to_a_client_that_writes_first",
        of: &[Flow],
        because: PACE,
    },
    Difference {
        check: "already_polled_input_is_not_delivered_after_the_loss",
        of: &[Which],
        because: "of two sockets that are ready at once a kernel names one first",
    },
    Difference {
        check: "pausing_suppresses_input_that_was_polled_already",
        of: &[Which],
        because: "of two sockets that are ready at once a kernel names one first",
    },
    Difference {
        check: "urgent_data_in_the_middle_stops_no_reader",
        of: &[All],
        because: "nobody can send urgent data in a simulation",
    },
];

/// Runs a check over both links, and compares the callbacks of each protocol.
pub(crate) fn callbacks_are_the_same_over_loopback_and_in_simulation<P: Pair>(
    needed: Ways,
    name: &str,
    real: fn(&mut Stage<P::Real>),
    simulated: fn(&mut Stage<P::Simulated>),
) {
    let real = traced(|| Stage::run_and_then(needed, real, Stage::rest));
    let simulated = traced(|| Stage::run_and_then(needed, simulated, Stage::rest));
    let difference = DIFFERENCES.iter().find(|difference| difference.check == name);
    let not_compared = difference.map_or(&[][..], |difference| difference.of);
    if not_compared.contains(&All) {
        return;
    }
    assert_eq!(real.len(), simulated.len());
    let mut both = [real, simulated].map(|traces| {
        traces.into_iter().map(|trace| what_counts::<P>(trace, not_compared)).collect::<Vec<_>>()
    });
    if not_compared.contains(&Which) {
        both.iter_mut().for_each(|traces| traces.sort());
    }
    let [real, simulated] = both;
    let pairs = real.iter().zip(&simulated).enumerate().filter(|(_, (real, other))| real != other);
    let text = |(index, (real, simulated))| {
        format!("protocol {index}\n  over loopback: {real}\n  in simulation: {simulated}")
    };
    let wrong: Vec<String> = pairs.map(text).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A trace as it is compared.
fn what_counts<P: Pair>(mut trace: Trace, not_compared: &[Aspect]) -> String {
    if not_compared.contains(&Amount) {
        trace.received.clear();
        trace.order.retain(|call| *call != Call::Data);
    }
    if not_compared.contains(&Flow) {
        trace.order.retain(|call| !matches!(call, Call::Pause | Call::Resume));
        trace.order.dedup_by(|second, first| *first == Call::Data && *second == Call::Data);
    }
    let end = if not_compared.contains(&Ending) { None } else { trace.end };
    let end = match end {
        Some(End::Truncated) if P::TICKETS => Some(End::Io(ErrorKind::ConnectionReset)),
        end => end,
    };
    let mut hash = DefaultHasher::new();
    trace.received.hash(&mut hash);
    let (length, hash) = (trace.received.len(), hash.finish());
    format!("{:?}, {length} bytes ({hash:x}), {end:?}, {} drops", trace.order, trace.drops)
}

#[test]
fn each_difference_is_of_a_check_and_says_why() {
    let suite = include_str!("main.rs");
    for (index, difference) in DIFFERENCES.iter().enumerate() {
        let Difference { check, of, because } = difference;
        let listed = [",", ";"].iter().any(|end| suite.contains(&format!("{check}{end}")));
        assert!(listed, "there is no check {check}");
        assert!(!of.is_empty() && !because.is_empty(), "{check}");
        assert!(
            DIFFERENCES[..index].iter().all(|other| other.check != *check),
            "{check} is there twice"
        );
    }
}
