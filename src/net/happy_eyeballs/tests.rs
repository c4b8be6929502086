use super::*;

const DELAY: Duration = DEFAULT_ATTEMPT_DELAY;

#[test]
fn families_take_turns_beginning_with_the_first() {
    let resolved = list(&["6a", "6b", "6c", "4a", "4b"]);
    assert_eq!(interleave(&resolved, 1), list(&["6a", "4a", "6b", "4b", "6c"]));
    assert_eq!(interleave(&resolved, 2), list(&["6a", "6b", "4a", "6c", "4b"]));
    assert_eq!(interleave(&resolved, 3), list(&["6a", "6b", "6c", "4a", "4b"]));
    assert_eq!(interleave(&resolved, usize::MAX), resolved);
    assert_eq!(interleave(&resolved, 0), resolved);

    let resolved = list(&["4a", "6a", "4b", "4c", "4d"]);
    assert_eq!(interleave(&resolved, 1), list(&["4a", "6a", "4b", "4c", "4d"]));
    assert_eq!(interleave(&resolved, 2), list(&["4a", "4b", "6a", "4c", "4d"]));

    let one_family = list(&["4a", "4b", "4c"]);
    assert_eq!(interleave(&one_family, 1), one_family);
    assert!(interleave(&[], 1).is_empty());
}

#[test]
fn the_next_attempt_starts_after_the_delay() {
    let t0 = Instant::now();
    let mut race = Race::new(list(&["6a", "4a", "6b"]), Some(DELAY));
    assert_starts(race.start(t0), 0, "6a", Some(t0 + DELAY));
    // Too early a timer only says again when it is due.
    let early = t0 + DELAY - Duration::from_nanos(1);
    assert_waits(race.timer_expired(early), Some(t0 + DELAY));
    // A late one counts the next delay from the start, not from when that was due.
    let late = t0 + DELAY * 5;
    assert_starts(race.timer_expired(late), 1, "4a", Some(late + DELAY));
    assert_starts(race.timer_expired(late + DELAY), 2, "6b", None);
    assert_waits(race.timer_expired(late + DELAY * 2), None);
    assert_eq!(race.attempt_succeeded(AttemptId(1)), won(&[0, 2]));
}

#[test]
fn a_black_holed_first_address_costs_one_delay() {
    let t0 = Instant::now();
    let mut race = Race::new(list(&["6a", "4a"]), Some(DELAY));
    assert_starts(race.start(t0), 0, "6a", Some(t0 + DELAY));
    assert_starts(race.timer_expired(t0 + DELAY), 1, "4a", None);
    assert_eq!(race.attempt_succeeded(AttemptId(1)), won(&[0]));
}

#[test]
fn a_failure_of_the_latest_attempt_starts_the_next_at_once() {
    let t0 = Instant::now();
    let t1 = t0 + Duration::from_millis(3);
    let mut race = Race::new(list(&["6a", "4a", "6b"]), Some(DELAY));
    assert_starts(race.start(t0), 0, "6a", Some(t0 + DELAY));
    assert_starts(race.attempt_failed(AttemptId(0), refused(), t1), 1, "4a", Some(t1 + DELAY));
    // The timer of the first attempt has been replaced.
    assert_waits(race.timer_expired(t0 + DELAY), Some(t1 + DELAY));
    assert_starts(race.timer_expired(t1 + DELAY), 2, "6b", None);
}

#[test]
fn a_failure_of_an_overtaken_attempt_leaves_the_latest_its_delay() {
    let t0 = Instant::now();
    let t1 = t0 + DELAY;
    let mut race = Race::new(list(&["6a", "4a", "6b"]), Some(DELAY));
    assert_starts(race.start(t0), 0, "6a", Some(t1));
    assert_starts(race.timer_expired(t1), 1, "4a", Some(t1 + DELAY));
    let t2 = t1 + Duration::from_millis(1);
    assert_waits(race.attempt_failed(AttemptId(0), refused(), t2), Some(t1 + DELAY));
    assert_starts(race.timer_expired(t1 + DELAY), 2, "6b", None);
}

#[test]
fn when_all_fail_every_error_is_kept_in_the_order_of_attempts() {
    let t0 = Instant::now();
    let mut race = Race::new(list(&["6a", "4a", "6b"]), Some(DELAY));
    assert_starts(race.start(t0), 0, "6a", Some(t0 + DELAY));
    assert_starts(race.timer_expired(t0 + DELAY), 1, "4a", Some(t0 + DELAY * 2));
    assert_starts(race.timer_expired(t0 + DELAY * 2), 2, "6b", None);
    let t1 = t0 + DELAY * 3;
    assert_waits(race.attempt_failed(AttemptId(2), refused(), t1), None);
    assert_waits(race.attempt_failed(AttemptId(0), unreachable(), t1), None);
    let error = lost(race.attempt_failed(AttemptId(1), refused(), t1));
    let failures: Vec<_> = error.failures.iter().map(|(a, e)| (*a, e.kind())).collect();
    assert_eq!(
        failures,
        [
            (address("6a"), io::ErrorKind::NetworkUnreachable),
            (address("4a"), io::ErrorKind::ConnectionRefused),
            (address("6b"), io::ErrorKind::ConnectionRefused),
        ]
    );
    assert!(error.unfinished.is_empty() && error.not_started.is_empty());
    assert_eq!(
        error.to_string(),
        "[2001:db8::a]:80: network unreachable; 192.0.2.10:80: connection refused; \
         [2001:db8::b]:80: connection refused"
    );
}

#[test]
fn addresses_that_fail_while_they_are_started_need_no_recursion() {
    let t0 = Instant::now();
    let addresses: Vec<_> = (0..1000).map(|n| SocketAddr::from(([127, 0, 0, 1], n))).collect();
    let mut race = Race::new(addresses.clone(), Some(DELAY));
    let mut step = race.start(t0);
    let mut started = Vec::new();
    let error = loop {
        match step {
            Step::Start { attempt, .. } => {
                started.push(attempt.address);
                step = race.attempt_failed(attempt.id, refused(), t0);
            }
            Step::Lost(error) => break error,
            step => panic!("{step:?}"),
        }
    };
    assert_eq!(started, addresses);
    assert_eq!(error.failures.len(), addresses.len());
}

#[test]
fn of_two_successes_in_one_tick_the_first_wins() {
    let t0 = Instant::now();
    let mut race = Race::new(list(&["6a", "4a", "6b", "4b"]), Some(DELAY));
    assert_starts(race.start(t0), 0, "6a", Some(t0 + DELAY));
    assert_starts(race.timer_expired(t0 + DELAY), 1, "4a", Some(t0 + DELAY * 2));
    assert_starts(race.timer_expired(t0 + DELAY * 2), 2, "6b", Some(t0 + DELAY * 3));
    let t1 = t0 + DELAY * 3;
    assert_waits(race.attempt_failed(AttemptId(0), refused(), t1), Some(t1));
    assert_eq!(race.attempt_succeeded(AttemptId(2)), won(&[1]));
    assert_eq!(race.attempt_succeeded(AttemptId(1)), Finish::TooLate);
    // Nor does anything else that comes late start an attempt.
    assert!(matches!(race.attempt_failed(AttemptId(1), refused(), t1), Step::Over));
    assert!(matches!(race.timer_expired(t1), Step::Over));
    assert!(matches!(race.start(t1), Step::Over));
    assert!(race.give_up().is_none());
}

#[test]
fn one_address_needs_no_timer() {
    let t0 = Instant::now();
    let mut race = Race::new(list(&["4a"]), Some(DELAY));
    assert_starts(race.start(t0), 0, "4a", None);
    assert_eq!(race.attempt_succeeded(AttemptId(0)), won(&[]));

    let mut race = Race::new(list(&["4a"]), Some(DELAY));
    assert_starts(race.start(t0), 0, "4a", None);
    let error = lost(race.attempt_failed(AttemptId(0), refused(), t0));
    assert_eq!(error.to_string(), "192.0.2.10:80: connection refused");
    assert_eq!(race.attempt_succeeded(AttemptId(0)), Finish::TooLate);
}

#[test]
fn no_address_is_an_error_of_its_own() {
    let error = lost(Race::new(vec![], Some(DELAY)).start(Instant::now()));
    assert_eq!(error.to_string(), "no address to connect to");
}

#[test]
fn without_a_delay_attempts_are_strictly_sequential() {
    let t0 = Instant::now();
    let mut race = Race::new(list(&["6a", "4a"]), None);
    assert_starts(race.start(t0), 0, "6a", None);
    assert_waits(race.timer_expired(t0 + DELAY * 1000), None);
    let t1 = t0 + DELAY * 1001;
    assert_starts(race.attempt_failed(AttemptId(0), refused(), t1), 1, "4a", None);
    assert_eq!(race.attempt_succeeded(AttemptId(1)), won(&[]));
}

#[test]
fn the_delay_is_not_below_the_minimum() {
    let t0 = Instant::now();
    let mut race = Race::new(list(&["6a", "4a"]), Some(Duration::ZERO));
    assert_starts(race.start(t0), 0, "6a", Some(t0 + MINIMUM_ATTEMPT_DELAY));
    assert_waits(race.timer_expired(t0), Some(t0 + MINIMUM_ATTEMPT_DELAY));
}

#[test]
fn a_delay_beyond_the_clock_never_ends() {
    let t0 = Instant::now();
    let mut race = Race::new(list(&["6a", "4a"]), Some(Duration::MAX));
    assert_starts(race.start(t0), 0, "6a", None);
    assert_starts(race.attempt_failed(AttemptId(0), refused(), t0), 1, "4a", None);
}

#[test]
fn a_race_given_up_tells_how_far_it_got() {
    let t0 = Instant::now();
    let addresses = list(&["6a", "4a", "6b", "4b"]);

    let mut race = Race::new(addresses.clone(), Some(DELAY));
    let (under_way, error) = race.give_up().unwrap();
    assert!(under_way.is_empty());
    assert_eq!(error.to_string(), "no attempt started");
    assert_eq!(error.not_started, addresses);

    let mut race = Race::new(addresses.clone(), Some(DELAY));
    assert_starts(race.start(t0), 0, "6a", Some(t0 + DELAY));
    let (under_way, error) = race.give_up().unwrap();
    assert_eq!(under_way, [AttemptId(0)]);
    assert_eq!(
        error.to_string(),
        "no attempt finished: [2001:db8::a]:80: no answer; 3 more not tried"
    );

    let mut race = Race::new(addresses, Some(DELAY));
    assert_starts(race.start(t0), 0, "6a", Some(t0 + DELAY));
    assert_starts(race.attempt_failed(AttemptId(0), refused(), t0), 1, "4a", Some(t0 + DELAY));
    assert_starts(race.timer_expired(t0 + DELAY), 2, "6b", Some(t0 + DELAY * 2));
    let (under_way, error) = race.give_up().unwrap();
    assert_eq!(under_way, [AttemptId(1), AttemptId(2)]);
    assert_eq!(
        error.to_string(),
        "[2001:db8::a]:80: connection refused; 192.0.2.10:80: no answer; \
         [2001:db8::b]:80: no answer; 1 more not tried"
    );
    assert_eq!(race.attempt_succeeded(AttemptId(1)), Finish::TooLate);
    assert!(matches!(race.timer_expired(t0 + DELAY * 2), Step::Over));
}

#[test]
fn an_address_given_twice_is_tried_once() {
    let t0 = Instant::now();
    let mut race = Race::new(list(&["4a", "4a", "6a", "4a"]), None);
    assert_starts(race.start(t0), 0, "4a", None);
    assert_starts(race.attempt_failed(AttemptId(0), refused(), t0), 1, "6a", None);
    assert_eq!(lost(race.attempt_failed(AttemptId(1), refused(), t0)).failures.len(), 2);
}

#[test]
fn reports_that_make_no_sense_change_nothing() {
    let t0 = Instant::now();
    let mut race = Race::new(list(&["6a", "4a", "6b"]), Some(DELAY));
    assert_waits(race.timer_expired(t0), None);
    assert_eq!(race.attempt_succeeded(AttemptId(0)), Finish::TooLate);
    assert_waits(race.attempt_failed(AttemptId(0), refused(), t0), None);
    assert_starts(race.start(t0), 0, "6a", Some(t0 + DELAY));
    assert_waits(race.start(t0), Some(t0 + DELAY));
    assert_waits(race.attempt_failed(AttemptId(7), refused(), t0), Some(t0 + DELAY));
    assert_starts(race.attempt_failed(AttemptId(0), refused(), t0), 1, "4a", Some(t0 + DELAY));
    assert_waits(race.attempt_failed(AttemptId(0), unreachable(), t0), Some(t0 + DELAY));
    assert_eq!(race.attempt_succeeded(AttemptId(0)), Finish::TooLate);
    assert_eq!(race.attempt_succeeded(AttemptId(1)), won(&[]));
}

#[track_caller]
fn assert_starts(step: Step, id: usize, name: &str, wake_at: Option<Instant>) {
    let Step::Start { attempt, wake_at: actual } = step else { panic!("{step:?}") };
    assert_eq!(attempt, Attempt { id: AttemptId(id), address: address(name) });
    assert_eq!(actual, wake_at);
}

#[track_caller]
fn assert_waits(step: Step, wake_at: Option<Instant>) {
    let Step::Wait { wake_at: actual } = step else { panic!("{step:?}") };
    assert_eq!(actual, wake_at);
}

#[track_caller]
fn lost(step: Step) -> RaceError {
    let Step::Lost(error) = step else { panic!("{step:?}") };
    error
}

fn won(losers: &[usize]) -> Finish {
    Finish::Won { losers: losers.iter().copied().map(AttemptId).collect() }
}

fn list(names: &[&str]) -> Vec<SocketAddr> {
    names.iter().map(|name| address(name)).collect()
}

/// `6a` is an IPv6 address, `4a` an IPv4 address.
fn address(name: &str) -> SocketAddr {
    let number = u16::from_str_radix(&name[1..], 16).unwrap();
    match &name[..1] {
        "6" => ([0x2001, 0xdb8, 0, 0, 0, 0, 0, number], 80).into(),
        _ => ([192, 0, 2, number as u8], 80).into(),
    }
}

fn refused() -> io::Error {
    io::ErrorKind::ConnectionRefused.into()
}

fn unreachable() -> io::Error {
    io::ErrorKind::NetworkUnreachable.into()
}
