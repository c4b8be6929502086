//! In which order names get threads.

use std::collections::BTreeMap;
use std::rc::Rc;

/// Names that wait, by domain. Domains take turns, the names of one are first come first served.
#[derive(Default)]
pub(super) struct Turns {
    domains: BTreeMap<Rc<str>, Domain>,
    /// Domains that have names that wait and may have one more thread, each once.
    order: BTreeMap<u64, Rc<str>>,
    /// How many names have a thread.
    running: usize,
    next: u64,
}

#[derive(Default)]
struct Domain {
    waiting: BTreeMap<u64, Rc<str>>,
    running: usize,
    /// Its place in the order.
    turn: Option<u64>,
}

impl Turns {
    /// Appends a name; its place, by which it can be removed.
    pub(super) fn push(&mut self, host: &Rc<str>) -> u64 {
        let place = self.next;
        self.next += 1;
        let key: Rc<str> = domain_of(host).to_ascii_lowercase().into();
        let domain = self.domains.entry(Rc::clone(&key)).or_default();
        domain.waiting.insert(place, Rc::clone(host));
        self.give_turn(&key);
        place
    }

    /// The next name that gets one of `threads` threads; `None`: nobody, for now.
    pub(super) fn begin(&mut self, threads: usize) -> Option<Rc<str>> {
        while self.running < threads {
            let (_, key) = self.order.pop_first()?;
            let Some(domain) = self.domains.get_mut(&key) else { continue };
            domain.turn = None;
            if domain.running >= share(threads) {
                // It gets a turn when one of its names is done.
                continue;
            }
            let Some((_, host)) = domain.waiting.pop_first() else { continue };
            domain.running += 1;
            self.running += 1;
            self.give_turn(&key);
            return Some(host);
        }
        None
    }

    /// A name that had a thread is done.
    pub(super) fn end(&mut self, host: &str) {
        let key = &*domain_of(host).to_ascii_lowercase();
        let Some(domain) = self.domains.get_mut(key) else { return };
        domain.running -= 1;
        self.running -= 1;
        self.give_turn(key);
        self.forget_if_idle(key);
    }

    /// A name does not wait any more.
    pub(super) fn remove(&mut self, host: &str, place: u64) {
        let key = &*domain_of(host).to_ascii_lowercase();
        if let Some(domain) = self.domains.get_mut(key) {
            domain.waiting.remove(&place);
            if domain.waiting.is_empty()
                && let Some(turn) = domain.turn.take()
            {
                self.order.remove(&turn);
            }
            self.forget_if_idle(key);
        }
    }

    /// Puts a domain at the end of the order that has names that wait, and is not in it.
    fn give_turn(&mut self, key: &str) {
        let Some((key, _)) = self.domains.get_key_value(key) else { return };
        let key = Rc::clone(key);
        if let Some(domain) = self.domains.get_mut(&key)
            && domain.turn.is_none()
            && !domain.waiting.is_empty()
        {
            domain.turn = Some(self.next);
            self.order.insert(self.next, key);
            self.next += 1;
        }
    }

    fn forget_if_idle(&mut self, key: &str) {
        let is_idle = |domain: &Domain| domain.waiting.is_empty() && domain.running == 0;
        if self.domains.get(key).is_some_and(is_idle) {
            self.domains.remove(key);
        }
    }
}

/// How many of the threads the names of one domain may have at once.
fn share(threads: usize) -> usize {
    threads.div_ceil(4)
}

/// The last two labels, which mostly have servers of their own. Names registered under two labels,
/// as under `co.uk`, share one domain: we keep no list of such suffixes. An address is a domain of
/// its own.
fn domain_of(host: &str) -> &str {
    if host.contains(':') {
        return host;
    }
    let name = host.strip_suffix('.').unwrap_or(host);
    let mut dots = name.rmatch_indices('.');
    match dots.nth(1) {
        Some((dot, _)) => &name[dot + 1..],
        None => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(turns: &mut Turns, threads: usize) -> Vec<Rc<str>> {
        std::iter::from_fn(|| turns.begin(threads)).collect()
    }

    #[test]
    fn a_domain_is_the_last_two_labels() {
        for (host, domain) in [
            ("a.b.example.org", "example.org"),
            ("b.example.org.", "example.org"),
            ("example.org", "example.org"),
            ("localhost", "localhost"),
            ("", ""),
            (".", ""),
            ("..", "."),
            ("fe80::1%eth0.1.2", "fe80::1%eth0.1.2"),
        ] {
            assert_eq!(domain_of(host), domain, "{host}");
        }
    }

    #[test]
    fn domains_take_turns_and_none_has_more_than_a_quarter() {
        let mut turns = Turns::default();
        for number in 0..6 {
            let domain = if number % 2 == 0 { "dead.example" } else { "Dead.Example" };
            turns.push(&format!("{number}.{domain}").into());
        }
        turns.push(&"www.one.example".into());
        turns.push(&"www.two.example".into());
        let begun = all(&mut turns, 8);
        let expected = ["0.dead.example", "www.one.example", "www.two.example", "1.Dead.Example"];
        assert!(begun.iter().map(|host| &**host).eq(expected), "{begun:?}");
        turns.end("www.one.example");
        assert_eq!(turns.begin(8), None);
        turns.end("0.dead.example");
        assert_eq!(turns.begin(8).as_deref(), Some("2.dead.example"));
    }

    #[test]
    fn no_more_names_than_threads_have_one() {
        let mut turns = Turns::default();
        for number in 0..5 {
            turns.push(&format!("www.{number}.example").into());
        }
        assert_eq!(all(&mut turns, 2).len(), 2);
        turns.end("www.1.example");
        assert_eq!(turns.begin(2).as_deref(), Some("www.2.example"));
        assert_eq!(turns.begin(2), None);
    }

    #[test]
    fn what_is_removed_or_done_leaves_nothing() {
        let mut turns = Turns::default();
        for round in 0..1_000 {
            let host: Rc<str> = format!("www.{round}.example").into();
            let place = turns.push(&host);
            turns.remove(&host, place);
            assert!(turns.domains.is_empty() && turns.order.is_empty());
            turns.push(&host);
            assert_eq!(turns.begin(1), Some(Rc::clone(&host)));
            turns.end(&host);
            assert!(turns.domains.is_empty() && turns.order.is_empty());
        }
        assert_eq!(turns.running, 0);
    }
}
