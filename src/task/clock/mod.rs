//! Time for code that awaits: deadlines, scopes that can be cancelled, and what happens again and again.

// Modules with methods of `EventLoop` come first, in the order of its page.
mod sleep;

mod timeout;

mod cancel_scope;

mod shield;

mod interval;

mod periodic;

mod alarm;
mod ticks;

pub use self::cancel_scope::CancelScope;
pub use self::interval::{Interval, interval, interval_at};
pub use self::periodic::PeriodicHandle;
pub use self::shield::{Shield, shield};
pub use self::sleep::{Sleep, sleep, sleep_until};
pub use self::ticks::MissedTickBehavior;
pub use self::timeout::{move_on_after, move_on_at, timeout, timeout_at};
