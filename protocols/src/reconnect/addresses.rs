//! Where a client can connect to, in turn.

use std::collections::HashSet;

/// Addresses in a circle: those that were given, and those that were learned.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    given: Vec<String>,
    learned: Vec<String>,
    next: usize,
}

impl Addresses {
    pub(super) fn new(given: Vec<String>) -> Self {
        Self { given, ..Self::default() }
    }

    pub(super) fn len(&self) -> usize {
        self.given.len() + self.learned.len()
    }

    /// The next one.
    pub(super) fn next(&mut self) -> Option<String> {
        let count = self.len();
        if count == 0 {
            return None;
        }
        let at = self.next % count;
        self.next = at + 1;
        let address = self.given.get(at).or_else(|| self.learned.get(at - self.given.len()));
        address.cloned()
    }

    /// Replaces those that were learned, and keeps the place in the circle.
    pub(super) fn learn(&mut self, learned: impl IntoIterator<Item = String>) {
        // A peer may tell of very many.
        let mut known: HashSet<String> = self.given.iter().cloned().collect();
        self.learned =
            learned.into_iter().filter(|address| known.insert(address.clone())).collect();
    }

    pub(super) fn all(&self) -> Vec<String> {
        self.given.iter().chain(&self.learned).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_in_turn() {
        let mut addresses = Addresses::new(vec!["a".to_owned(), "b".to_owned()]);
        addresses.learn(["b".to_owned(), "c".to_owned(), "c".to_owned()]);
        let turns: Vec<_> = (0..5).filter_map(|_| addresses.next()).collect();
        assert_eq!(turns, ["a", "b", "c", "a", "b"]);
        addresses.learn([]);
        assert_eq!(addresses.next().as_deref(), Some("a"));
        assert_eq!(addresses.all(), ["a", "b"]);
        assert_eq!(Addresses::default().next(), None);
    }
}
