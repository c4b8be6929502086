//! The tasks of a group or a scope, by number.

/// A list that was longer gives its memory back when it is empty.
const KEPT: usize = 1024;

/// A place for each task that has not ended. A number that was given back is never given again, but for one that is four
/// thousand million uses of its place old.
pub(super) struct Members<T> {
    places: Vec<Place<T>>,
    free: Vec<u32>,
    /// The generation of places that are new.
    base: u32,
    /// The highest one there was.
    highest: u32,
}

struct Place<T> {
    generation: u32,
    is_used: bool,
    value: Option<T>,
}

impl<T> Members<T> {
    pub(super) fn new() -> Self {
        Self { places: Vec::new(), free: Vec::new(), base: 0, highest: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.places.len() == self.free.len()
    }

    /// The number of a new member, whose value is not there yet. `None` if there are too many.
    pub(super) fn reserve(&mut self) -> Option<u64> {
        let index = match self.free.pop() {
            Some(index) => index,
            None => {
                let index =
                    u32::try_from(self.places.len()).ok().filter(|&index| index != u32::MAX)?;
                self.places.push(Place { generation: self.base, is_used: false, value: None });
                index
            }
        };
        let place = self.places.get_mut(index as usize)?;
        place.is_used = true;
        Some(u64::from(place.generation) << 32 | u64::from(index))
    }

    /// Where the value of a member is; `None` if it is gone.
    pub(super) fn get_mut(&mut self, id: u64) -> Option<&mut Option<T>> {
        self.place(id).map(|place| &mut place.value)
    }

    /// Forgets a member. Returns its value.
    pub(super) fn remove(&mut self, id: u64) -> Option<T> {
        let place = self.place(id)?;
        place.is_used = false;
        place.generation = place.generation.wrapping_add(1);
        let (generation, value) = (place.generation, place.value.take());
        self.highest = self.highest.max(generation);
        self.free.push(id as u32);
        if self.is_empty() && self.places.len() > KEPT {
            let base = self.highest.wrapping_add(1);
            *self = Self { base, highest: base, ..Self::new() };
        }
        value
    }

    /// The values of all, in the order of their places, which are kept.
    pub(super) fn take_values(&mut self) -> Vec<T> {
        self.places.iter_mut().filter_map(|place| place.value.take()).collect()
    }

    fn place(&mut self, id: u64) -> Option<&mut Place<T>> {
        let place = self.places.get_mut(id as u32 as usize)?;
        (place.is_used && place.generation == (id >> 32) as u32).then_some(place)
    }
}
