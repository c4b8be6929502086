//! What hyper ends a connection with.

use std::error::Error as StdError;
use std::io;

use crate::error::{Error, Failure};

/// What hyper ended a connection with, as what a handler of [`start_server`](crate::EventLoop::start_server) returns.
///
/// What ended the connection itself comes out as it was: [`Error::is_timeout`] and its kin tell. What else the peer has
/// done (a request that is none, one cut short, headers that do not come in time) becomes an
/// [`Error::protocol_violation`], also where a service or a body has passed it on. Neither is reported to the exception
/// handler. Other errors of a service or a body ([`hyper::Error::is_user`]), and those that are not hyper's, stay what
/// they are, and are reported.
///
/// ```
/// use wharf::Error;
/// use wharf::hyper::failure;
///
/// let own = failure("the database is gone");
/// assert!(!Error::from(own).is_protocol_violation());
/// ```
///
/// It takes a [`hyper::Error`], and the boxed one of hyper-util's connections.
///
/// [`hyper::Error`]: ::hyper::Error
/// [`hyper::Error::is_user`]: ::hyper::Error::is_user
pub fn failure(error: impl Into<Failure>) -> Failure {
    let failure = error.into();
    let mut is_the_peers = false;
    let mut next: Option<&(dyn StdError + 'static)> = Some(&*failure);
    while let Some(error) = next {
        let own = own(error);
        if let Some(own) = own
            && !own.is_reported()
        {
            return own.clone().into();
        }
        // An error of the application has it inside, and is not above it in the chain.
        let hypers = own.map_or(error.downcast_ref(), Error::downcast_ref::<::hyper::Error>);
        is_the_peers |= hypers.is_some_and(|error| !error.is_user());
        next = error.source();
    }
    if is_the_peers { Error::protocol_violation(failure).into() } else { failure }
}

/// An error of wharf, also inside an [`io::Error`].
fn own<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a Error> {
    match error.downcast_ref::<io::Error>() {
        Some(error) => error.get_ref()?.downcast_ref(),
        None => error.downcast_ref(),
    }
}
