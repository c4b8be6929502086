//! What a protocol's type is called, for reports.

use std::any::{Any, type_name};
use std::cell::Cell;

/// Every type has it; as a supertrait of the protocols it can be asked for behind a `dyn`.
#[allow(unnameable_types, unreachable_pub)]
pub trait TypeName {
    fn type_name(&self) -> &'static str;
}

impl<T: Any> TypeName for T {
    fn type_name(&self) -> &'static str {
        let name = type_name::<T>();
        // What is installed as `Buffered(x)` was written as `x`.
        let inner = name.strip_prefix("wharf::protocol::Buffered<");
        inner.and_then(|name| name.strip_suffix('>')).unwrap_or(name)
    }
}

/// The type of the protocol in `place`, where none is while one of its callbacks runs.
pub(crate) fn type_name_in<P: TypeName + ?Sized>(place: &Cell<Option<Box<P>>>) -> &'static str {
    let protocol = place.take();
    let name = protocol.as_deref().map_or("a protocol", TypeName::type_name);
    place.set(protocol);
    name
}
