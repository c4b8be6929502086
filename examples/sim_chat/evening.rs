//! What was said and heard in one evening, and whether that goes together.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use wharf::Result;

/// Which of all visits, in the order in which they began.
pub(crate) type VisitId = usize;

/// A line that was said: the visit in which it was, and its number there, from 0.
type Said = (VisitId, usize);

/// All visits of all members.
#[derive(Default)]
pub(crate) struct Evening {
    visits: RefCell<Vec<Visit>>,
    /// Nobody leaves any more.
    is_late: Cell<bool>,
    /// How many visits there were when all had to be well.
    settled: Cell<Option<VisitId>>,
    /// The first thing that was wrong.
    failure: RefCell<Option<String>>,
}

/// A connection to the server, and what went over it.
#[derive(Default)]
struct Visit {
    name: &'static str,
    /// How long each line was that was said, without its number.
    said: Vec<usize>,
    /// How many lines were said when all had to be well.
    said_before: usize,
    heard: Vec<Said>,
    has_quit: bool,
}

impl Evening {
    pub(crate) fn begin(&self, name: &'static str) -> VisitId {
        let mut visits = self.visits.borrow_mut();
        visits.push(Visit { name, ..Visit::default() });
        visits.len() - 1
    }

    /// A new line to say, of which nobody else says the same.
    pub(crate) fn says(&self, visit: VisitId, length: usize) -> String {
        let said = &mut self.visits.borrow_mut()[visit].said;
        said.push(length);
        text((visit, said.len() - 1), length)
    }

    /// Whether it may leave, which it does then.
    pub(crate) fn quits(&self, visit: VisitId) -> bool {
        let may = !self.is_late.get();
        self.visits.borrow_mut()[visit].has_quit |= may;
        may
    }

    /// Takes a line that the server has sent.
    pub(crate) fn hears(&self, visit: VisitId, line: &[u8]) {
        let line = String::from_utf8_lossy(line);
        // What the server says itself, and what it does not like.
        if line.starts_with("* ") || line.starts_with("! ") {
            return;
        }
        let mut visits = self.visits.borrow_mut();
        let said = parse(&line).filter(|(said, text_heard)| {
            let length = visits.get(said.0).and_then(|visit| visit.said.get(said.1));
            length.is_some_and(|length| text(*said, *length) == *text_heard)
        });
        match said {
            Some((said, _)) => visits[visit].heard.push(said),
            None => self.fails(format!("{} heard what nobody said: {line:?}", visits[visit].name)),
        }
    }

    /// A visit is over.
    pub(crate) fn end(&self, visit: VisitId, outcome: Result) {
        let Visit { name, has_quit, .. } = self.visits.borrow()[visit];
        if outcome.is_ok() && !has_quit {
            self.fails(format!("{name} left without a wish to"));
        }
    }

    /// From here on nobody leaves.
    pub(crate) fn grow_late(&self) {
        self.is_late.set(true);
    }

    /// From here on nobody comes or goes, and everybody hears everybody.
    pub(crate) fn settle(&self) {
        let mut visits = self.visits.borrow_mut();
        self.settled.set(Some(visits.len()));
        for visit in &mut *visits {
            visit.said_before = visit.said.len();
        }
    }

    /// Whether everything goes together.
    pub(crate) fn check(&self, members: &[&str]) -> Result {
        if let Some(failure) = self.failure.take() {
            return Err(failure.into());
        }
        let visits = self.visits.borrow();
        for (number, visit) in visits.iter().enumerate() {
            visit.check_order(visits.len())?;
            for other in number + 1..visits.len() {
                check_pair(&visits, number, other)?;
            }
        }
        self.check_settled(&visits, members)
    }

    /// Whether everybody hears everybody in the end, and nobody had to come back.
    fn check_settled(&self, visits: &[Visit], members: &[&str]) -> Result {
        if let Some(late) = self.settled.get().and_then(|settled| visits.get(settled)) {
            return Err(format!("{} lost the server when all was well", late.name).into());
        }
        let last = |name: &str| visits.iter().rposition(|visit| visit.name == name);
        for hears in members {
            for says in members.iter().filter(|says| *says != hears) {
                let (Some(hearer), Some(speaker)) = (last(hears), last(says)) else {
                    return Err("somebody was never there".into());
                };
                let is_recent =
                    |said: &Said| said.0 == speaker && said.1 >= visits[speaker].said_before;
                if !visits[hearer].heard.iter().any(is_recent) {
                    return Err(format!("in the end {hears} does not hear {says}").into());
                }
            }
        }
        Ok(())
    }

    fn fails(&self, failure: String) {
        self.failure.borrow_mut().get_or_insert(failure);
    }
}

impl Visit {
    /// Whether the lines of each visit are heard in the order in which they were said, each once, and none left out.
    fn check_order(&self, visits: usize) -> Result {
        let mut next = vec![None; visits];
        for (visit, number) in &self.heard {
            if next[*visit].is_some_and(|expected| expected != *number) {
                let name = self.name;
                return Err(
                    format!("{name} heard line {number} of visit {visit} out of turn").into()
                );
            }
            next[*visit] = Some(number + 1);
        }
        Ok(())
    }

    /// What was heard but for the lines of one visit.
    fn heard_but(&self, of: VisitId) -> Vec<Said> {
        self.heard.iter().copied().filter(|said| said.0 != of).collect()
    }
}

/// Whether two visits heard the same in the same order, for as long as both were there. Nobody hears what they say
/// themselves: so what either of them said does not count.
fn check_pair(visits: &[Visit], one: VisitId, other: VisitId) -> Result {
    let [first, second] = [visits[one].heard_but(other), visits[other].heard_but(one)];
    let places: BTreeMap<_, _> =
        second.iter().zip(0..).map(|(said, place)| (*said, place)).collect();
    let mut common =
        first.iter().zip(0..).filter_map(|(said, place)| Some((place, *places.get(said)?)));
    // They were not there at the same time.
    let Some((begin, begin_second)) = common.next() else { return Ok(()) };
    let count = 1 + common.count();
    let both = first[begin..].iter().zip(&second[begin_second..]);
    let equal = both.take_while(|(heard, instead)| heard == instead).count();
    // The part that both have heard begins where the later of them came, and ends where the first of them left.
    let is_whole = count == equal
        && (begin == 0 || begin_second == 0)
        && (begin + equal == first.len() || begin_second + equal == second.len());
    if is_whole {
        return Ok(());
    }
    let (one, other) = (visits[one].name, visits[other].name);
    Err(format!("{one} and {other} heard different things: {first:?} and {second:?}").into())
}

/// `visit.number:`, and so many letters.
fn text((visit, number): Said, length: usize) -> String {
    format!("{visit}.{number}:{}", "x".repeat(length))
}

/// Which line it was that somebody said: `<nickname> visit.number:xxx`.
fn parse(line: &str) -> Option<(Said, &str)> {
    let (_, said) = line.strip_prefix('<')?.split_once("> ")?;
    let said = said.strip_suffix('\n')?;
    let (visit, number) = said.split_once(':')?.0.split_once('.')?;
    Some(((visit.parse().ok()?, number.parse().ok()?), said))
}
