//! What tasks get of those before them.

use std::rc::Rc;

use serde_json::value::RawValue;

use super::spec::MOST_ARGUMENTS;
use super::{Input, Spec};

impl Spec {
    /// Puts what the tasks before it have returned, in their order, into its arguments. From then on it needs them no more.
    ///
    /// # Errors
    /// It is too large, which the text says.
    pub(crate) fn filled_in(&self, results: &[Rc<RawValue>]) -> Result<Self, Rc<str>> {
        let Some(input) = self.input else { return Ok(self.clone()) };
        let results: Vec<_> = results.iter().map(|result| result.get()).collect();
        let mut text = results.join(",");
        if input == Input::Results {
            text = format!("[{text}]");
        }
        let own = self.args.get();
        if own != "null" {
            text = format!("[{text},{own}]");
        }
        if text.len() > MOST_ARGUMENTS {
            let error = format!(
                "what those before it returned is too large: arguments have at most {MOST_ARGUMENTS} bytes"
            );
            return Err(error.into());
        }
        let args = RawValue::from_string(text)
            .map_err(|error| Rc::from(format!("what it gets is no JSON: {error}")))?;
        Ok(Self { args, input: None, ..self.clone() })
    }
}
