//! Who is asked, and who has a turn.

use super::*;

/// A loop that counts how often it was asked what it has to do, and has its turn as it was told.
struct Told {
    next: Cell<NextTurn>,
    can_take_turn: Cell<bool>,
    asked: Cell<usize>,
    turns: Cell<usize>,
}

impl NetworkLoop for Told {
    fn can_take_turn(&self) -> bool {
        self.can_take_turn.get()
    }

    fn next_turn(&self) -> NextTurn {
        self.asked.set(self.asked.get() + 1);
        self.next.get()
    }

    fn is_called(&self) -> bool {
        false
    }

    fn take_turn(self: Rc<Self>) -> io::Result<bool> {
        self.turns.set(self.turns.get() + 1);
        self.next.set(NextTurn::Unknown);
        Ok(true)
    }
}

struct World {
    loops: Loops,
    told: Vec<(Rc<Told>, Rc<Participant>)>,
}

impl World {
    /// So many that nobody looks in passing whether all are asked. The first waits for the others.
    fn new() -> Self {
        let loops = Loops::default();
        let told = (0..100).map(|_| {
            let told = Rc::new(Told {
                next: Cell::new(NextTurn::Unknown),
                can_take_turn: Cell::new(true),
                asked: Cell::new(0),
                turns: Cell::new(0),
            });
            let known: Rc<dyn NetworkLoop> = Rc::<Told>::clone(&told);
            (told, loops.add(Rc::downgrade(&known), None, at(0)))
        });
        let told = told.collect();
        Self { loops, told }
    }

    fn take(&self, now: u64) -> Taken {
        let Some(turns) = self.loops.begin_turns(&self.told[0].1) else { unreachable!() };
        turns.take(&Order::default(), at(now)).unwrap()
    }

    fn asked(&self) -> usize {
        self.told.iter().map(|(told, _)| told.asked.take()).sum()
    }
}

fn at(nanoseconds: u64) -> Moment {
    Moment::default().plus_nanoseconds(nanoseconds)
}

#[test]
fn a_loop_that_asks_for_turns_in_the_middle_of_them_ends_nothing() {
    let world = World::new();
    let (loops, own) = (&world.loops, &world.told[0].1);
    let turns = loops.begin_turns(own);
    assert!(turns.is_some());
    assert!(loops.begin_turns(own).is_none());
    assert!(loops.begin_turns(own).is_none(), "the first that was refused has ended the turns");
    drop(turns);
    assert!(loops.begin_turns(own).is_some());
}

#[test]
fn loops_that_wait_are_not_asked_and_those_that_were_marked_have_their_turn() {
    let world = World::new();
    assert!(!world.take(0).any);
    assert_eq!(world.asked(), 99, "each is asked once");
    for round in 1..=10 {
        let (told, participant) = &world.told[7];
        told.next.set(NextTurn::Now);
        participant.mark();
        assert!(world.take(round).any);
        assert!(!world.take(round).any);
        assert_eq!(told.turns.get() as u64, round);
        assert!(world.asked() < 10, "others were asked, too");
    }
}

#[test]
fn a_timer_is_known_until_it_goes_off_is_moved_or_cancelled() {
    let world = World::new();
    for (place, deadline) in [(3, 30), (4, 40), (5, 50)] {
        world.told[place].0.next.set(NextTurn::At(deadline));
    }
    assert_eq!(world.take(0).next_timer, Some(at(30)));
    assert_eq!(world.take(29).next_timer, Some(at(30)));
    assert!(world.take(30).any);
    assert_eq!(world.told[3].0.turns.get(), 1);
    // Nobody tells of one that is cancelled, or is later now.
    world.told[4].0.next.set(NextTurn::At(45));
    assert_eq!(world.take(31).next_timer, Some(at(45)));
    world.told[4].0.next.set(NextTurn::Unknown);
    assert_eq!(world.take(32).next_timer, Some(at(50)));
    // Of one that is sooner, somebody does.
    world.told[6].0.next.set(NextTurn::At(35));
    world.told[6].1.mark();
    assert_eq!(world.take(33).next_timer, Some(at(35)));
    assert!(world.asked() < 200, "all were asked each time");
}

#[test]
fn one_that_cannot_have_a_turn_has_it_later_and_time_passes_without_it() {
    let world = World::new();
    for (place, next) in [(3, NextTurn::Now), (4, NextTurn::At(10)), (5, NextTurn::At(20))] {
        world.told[place].0.next.set(next);
        world.told[place].0.can_take_turn.set(place == 5);
    }
    let taken = world.take(0);
    assert!(!taken.any);
    assert_eq!(taken.next_timer, Some(at(20)));
    assert!(!world.take(15).any);
    for place in [3, 4] {
        world.told[place].0.can_take_turn.set(true);
    }
    assert!(world.take(15).any);
    assert_eq!([3, 4, 5].map(|place| world.told[place].0.turns.get()), [1, 1, 0]);
}

#[test]
fn a_loop_that_is_gone_is_forgotten_with_its_timer() {
    let mut world = World::new();
    world.told[3].0.next.set(NextTurn::At(10));
    assert_eq!(world.take(0).next_timer, Some(at(10)));
    let (told, participant) = world.told.remove(3);
    participant.mark();
    drop(told);
    world.loops.remove(&participant);
    assert_eq!(world.take(0).next_timer, None);
    assert_eq!(Rc::strong_count(&participant), 1);
}

#[test]
fn a_call_of_another_thread_has_all_asked() {
    let world = World::new();
    world.take(0);
    world.asked();
    world.told[9].0.next.set(NextTurn::Now);
    world.loops.called().store(true, std::sync::atomic::Ordering::Release);
    assert!(world.take(0).any);
    assert_eq!(world.told[9].0.turns.get(), 1);
}
