//! The client.

mod address;
mod credentials;
mod error;
mod event;
mod handle;
mod link;
mod message;
mod options;
mod queue;
mod shared;
mod subscribed;
mod subscription;
#[cfg(test)]
mod tests;
#[cfg(feature = "tls")]
mod tls;
mod user;

pub use credentials::Credentials;
pub use error::NatsError;
pub use event::{Event, Events};
pub use handle::Client;
pub use message::{Message, Publish};
pub use options::Options;
pub use queue::SlowConsumer;
pub use subscription::{SubscribeBuilder, Subscription, SubscriptionHandle};
