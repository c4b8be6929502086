//! What tasks get of those before them.

use std::rc::Rc;

use super::Coordinator;
use crate::store::{Store, StoreError};
use crate::task::{MOST_ARGUMENTS, Record};

/// A task cannot get what it should, and why.
type Lacking = Rc<str>;

impl<S: Store> Coordinator<S> {
    /// Puts what the tasks before it have returned into a task's arguments. From then on it needs them no more: they may
    /// expire, and it may be tried again.
    pub(super) fn fill_in(&self, record: &mut Record) -> Result<Result<(), Lacking>, StoreError> {
        if record.spec.input.is_none() {
            return Ok(Ok(()));
        }
        let (mut results, mut length) = (Vec::new(), 0);
        for id in &record.spec.after {
            let parent = self.find(id)?.map(|(_, parent)| parent);
            let Some(result) = parent.and_then(|parent| parent.result.clone()) else {
                return Ok(Err(format!("what {id} returned is not there any more").into()));
            };
            length += result.get().len();
            results.push(result);
            if length > MOST_ARGUMENTS {
                // That is too much whatever follows.
                break;
            }
        }
        Ok(record.spec.filled_in(&results).map(|spec| record.spec = Rc::new(spec)))
    }
}
