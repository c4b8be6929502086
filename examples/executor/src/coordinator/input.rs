//! What tasks get of those before them.

use std::rc::Rc;

use serde_json::value::RawValue;

use super::Coordinator;
use crate::store::{Store, StoreError};
use crate::task::{Input, MOST_ARGUMENTS, Record, Spec};

/// A task cannot get what it should, and why.
type Lacking = Rc<str>;

impl<S: Store> Coordinator<S> {
    /// Puts what the tasks before it have returned into a task's arguments. From then on it needs them no more: they may
    /// expire, and it may be tried again.
    pub(super) fn fill_in(&self, record: &mut Record) -> Result<Result<(), Lacking>, StoreError> {
        let Some(input) = record.spec.input else { return Ok(Ok(())) };
        let mut text = String::new();
        let own = Some(record.spec.args.get()).filter(|own| *own != "null");
        if own.is_some() {
            text.push('[');
        }
        if input == Input::Results {
            text.push('[');
        }
        for (index, id) in record.spec.after.iter().enumerate() {
            let parent = self.find(id)?.map(|(_, parent)| parent);
            let Some(result) = parent.and_then(|parent| parent.result.clone()) else {
                return Ok(Err(format!("what {id} returned is not there any more").into()));
            };
            if index > 0 {
                text.push(',');
            }
            text.push_str(result.get());
            if text.len() > MOST_ARGUMENTS {
                break;
            }
        }
        if input == Input::Results {
            text.push(']');
        }
        if let Some(own) = own {
            text.push(',');
            text.push_str(own);
            text.push(']');
        }
        if text.len() > MOST_ARGUMENTS {
            let error = format!(
                "what those before it returned is too large: arguments have at most {MOST_ARGUMENTS} bytes"
            );
            return Ok(Err(error.into()));
        }
        let args = match RawValue::from_string(text) {
            Ok(args) => args,
            Err(error) => return Ok(Err(format!("what it gets is no JSON: {error}").into())),
        };
        record.spec = Rc::new(Spec { args, input: None, ..Spec::clone(&record.spec) });
        Ok(Ok(()))
    }
}
