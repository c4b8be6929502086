//! Answers for those who asked: what every client protocol needs.

mod by_id;
mod in_order;
mod table;

pub use self::by_id::RequestsById;
pub use self::in_order::Requests;
