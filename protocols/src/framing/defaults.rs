use wharf::{Protocol, Result, Transport};

/// What [`Protocol`] does where nothing else is said.
pub(crate) struct Defaults;

impl Protocol for Defaults {
    fn data_received(&mut self, _: &dyn Transport, _: &[u8]) -> Result {
        Ok(())
    }
}
