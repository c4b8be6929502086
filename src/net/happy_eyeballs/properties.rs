//! What holds for any race, on a simulated clock.

use proptest::prelude::*;

use super::*;

/// What becomes of an attempt in the simulation.
#[derive(Clone, Copy, Debug)]
enum Outcome {
    Never,
    FailsAtOnce,
    Fails(Duration),
    Succeeds(Duration),
}

fn outcome() -> impl Strategy<Value = Outcome> {
    // Few distinct times, so that several things happen in the same tick.
    let latency = (0..20_u64).prop_map(|n| Duration::from_millis(n * 25));
    prop_oneof![
        1 => Just(Outcome::Never),
        2 => Just(Outcome::FailsAtOnce),
        4 => latency.clone().prop_map(Outcome::Fails),
        1 => latency.prop_map(Outcome::Succeeds),
    ]
}

/// One run of a race on a simulated clock.
#[derive(Debug, Default)]
struct Simulation {
    outcomes: Vec<Outcome>,
    /// By attempt: when it was started.
    started: Vec<Instant>,
    /// By attempt: when the race was told of its failure.
    failed: Vec<Option<Instant>>,
    finishes_at: Vec<(Instant, AttemptId)>,
    wake_at: Option<Instant>,
    winners: Vec<AttemptId>,
    losers: Vec<AttemptId>,
    error: Option<RaceError>,
}

impl Simulation {
    fn run(race: &mut Race, outcomes: &[Outcome], lateness: &[Duration]) -> Self {
        let mut lateness = lateness.iter().copied().cycle();
        let mut simulation = Self { outcomes: outcomes.to_vec(), ..Self::default() };
        let mut now = Instant::now();
        let step = race.start(now);
        simulation.follow(race, step, now);
        // Late results of the losers are reported too, to see that they change nothing.
        while let Some(next) = simulation.next_event() {
            now = now.max(next + lateness.next().unwrap_or_default());
            simulation.finishes_at.sort();
            let due = simulation.finishes_at.partition_point(|(at, _)| *at <= now);
            for (_, id) in simulation.finishes_at.drain(..due).collect::<Vec<_>>() {
                if let Outcome::Succeeds(_) = simulation.outcomes[id.0] {
                    if let Finish::Won { losers } = race.attempt_succeeded(id) {
                        simulation.winners.push(id);
                        simulation.losers = losers;
                        simulation.wake_at = None;
                    }
                } else {
                    simulation.failed[id.0] = Some(now);
                    let step = race.attempt_failed(id, refused(), now);
                    simulation.follow(race, step, now);
                }
            }
            if simulation.wake_at.is_some_and(|wake_at| wake_at <= now) {
                let step = race.timer_expired(now);
                simulation.follow(race, step, now);
            }
        }
        simulation
    }

    fn next_event(&self) -> Option<Instant> {
        self.finishes_at.iter().map(|(at, _)| *at).chain(self.wake_at).min()
    }

    fn follow(&mut self, race: &mut Race, mut step: Step, now: Instant) {
        loop {
            let (id, wake_at) = match step {
                Step::Start { attempt, wake_at } => (attempt.id, wake_at),
                Step::Wait { wake_at } => {
                    self.wake_at = wake_at;
                    return;
                }
                Step::Lost(error) => {
                    assert!(self.error.replace(error).is_none() && self.winners.is_empty());
                    self.wake_at = None;
                    return;
                }
                Step::Over => {
                    assert!(self.error.is_some() || !self.winners.is_empty());
                    return;
                }
            };
            self.wake_at = wake_at;
            assert_eq!(id.0, self.started.len(), "attempts are in the order of addresses");
            self.started.push(now);
            self.failed.push(None);
            match self.outcomes[id.0] {
                Outcome::Never => return,
                Outcome::Fails(latency) | Outcome::Succeeds(latency) => {
                    self.finishes_at.push((now + latency, id));
                    return;
                }
                Outcome::FailsAtOnce => {
                    self.failed[id.0] = Some(now);
                    step = race.attempt_failed(id, refused(), now);
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(crate::testing::cases(2000)))]

    #[test]
    fn every_race_ends_with_one_winner_or_all_errors(
        outcomes in prop::collection::vec(outcome(), 0..12),
        delay in prop_oneof![
            Just(None),
            (0..20_u64).prop_map(|n| Some(Duration::from_millis(n * 25))),
        ],
        lateness in prop::collection::vec((0..40_u64).prop_map(Duration::from_millis), 0..6),
    ) {
        let addresses: Vec<_> =
            (0..outcomes.len()).map(|n| SocketAddr::from(([127, 0, 0, 1], n as u16))).collect();
        let mut race = Race::new(addresses.clone(), delay);
        let mut run = Simulation::run(&mut race, &outcomes, &lateness);
        let mut given_up = Vec::new();
        if run.winners.is_empty() && run.error.is_none() {
            // Nothing more happens by itself: it hangs on attempts that never finish.
            let (under_way, error) = race.give_up().unwrap();
            prop_assert!(!under_way.is_empty());
            given_up = under_way;
            run.error = Some(error);
        }

        // One winner, and it did connect; or an error that says all.
        prop_assert_eq!(run.winners.len() + usize::from(run.error.is_some()), 1);
        for winner in &run.winners {
            prop_assert!(matches!(outcomes[winner.0], Outcome::Succeeds(_)));
        }
        if let Some(error) = &run.error {
            let failures: Vec<_> = error.failures.iter().map(|(address, _)| *address).collect();
            let failed: Vec<_> = (0..run.started.len())
                .filter(|&n| run.failed[n].is_some())
                .map(|n| addresses[n])
                .collect();
            prop_assert_eq!(failures, failed);
            let unfinished: Vec<_> = given_up.iter().map(|id| addresses[id.0]).collect();
            prop_assert_eq!(&error.unfinished, &unfinished);
            prop_assert_eq!(&error.not_started, &addresses[run.started.len()..]);
            for id in given_up {
                prop_assert!(matches!(outcomes[id.0], Outcome::Never));
            }
            prop_assert!(!outcomes[..run.started.len()]
                .iter()
                .any(|outcome| matches!(outcome, Outcome::Succeeds(_))));
            // Only a sequential race hangs before it has tried everything.
            prop_assert!(error.not_started.is_empty() || delay.is_none());
        }
        // Whatever was under way when the race was won is to be closed.
        if let [winner] = run.winners[..] {
            let mut closed = run.losers.clone();
            closed.push(winner);
            closed.sort_unstable();
            closed.dedup();
            prop_assert_eq!(closed.len(), run.losers.len() + 1);
            for n in 0..run.started.len() {
                let is_closed = closed.contains(&AttemptId(n));
                prop_assert!(is_closed || run.failed[n].is_some());
            }
        }
        // When attempts start: after the delay, or when the one before has failed.
        for n in 1..run.started.len() {
            let (before, start) = (run.started[n - 1], run.started[n]);
            let due = delay.map(|delay| before + delay.max(MINIMUM_ATTEMPT_DELAY));
            let failed = run.failed[n - 1].filter(|failed| *failed <= start);
            match failed {
                Some(failed) if due.is_none_or(|due| failed < due) => {
                    prop_assert_eq!(start, failed);
                }
                _ => {
                    let late = start.duration_since(due.unwrap());
                    prop_assert!(late <= Duration::from_millis(40), "{:?} late", late);
                }
            }
        }
    }

    #[test]
    fn interleaving_keeps_the_addresses_and_their_order_within_a_family(
        families in prop::collection::vec(any::<bool>(), 0..12),
        count in 0..5_usize,
    ) {
        let addresses: Vec<SocketAddr> = families
            .iter()
            .enumerate()
            .map(|(n, is_ipv4)| match is_ipv4 {
                true => ([192, 0, 2, 1], n as u16).into(),
                false => ([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1], n as u16).into(),
            })
            .collect();
        let ordered = interleave(&addresses, count);
        prop_assert_eq!(ordered.first(), addresses.first());
        for is_ipv4 in [true, false] {
            let of_family = |list: &[SocketAddr]| -> Vec<SocketAddr> {
                list.iter().copied().filter(|address| address.is_ipv4() == is_ipv4).collect()
            };
            prop_assert_eq!(of_family(&ordered), of_family(&addresses));
        }
        // The families alternate for as long as there are both.
        if count > 0 && let Some(first) = addresses.first() {
            let of_first = families.iter().filter(|&&f| f == first.is_ipv4()).count();
            let of_other = families.len() - of_first;
            let lead = (count - 1).min(of_first);
            prop_assert!(ordered[..lead].iter().all(|a| a.is_ipv4() == first.is_ipv4()));
            for (n, address) in ordered[lead..].iter().take(2 * of_other.min(of_first - lead)).enumerate() {
                prop_assert_eq!(address.is_ipv4() == first.is_ipv4(), n % 2 == 0);
            }
        }
    }
}

fn refused() -> io::Error {
    io::ErrorKind::ConnectionRefused.into()
}
