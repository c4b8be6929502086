//! The error in the output of a future that nobody waits for.

use std::any::Any;
use std::error::Error as StdError;
use std::io;

use crate::error::{Error, Failure};

/// The error in `output`, if that is a `Result` without a value; else `output` stays as it is.
///
/// Rust cannot ask an output of any type whether it is a `Result`. So it is compared with `Result`s of the
/// usual types of errors, those that `?` in a task leads to.
pub(super) fn take_error<T: 'static>(output: &mut Option<T>) -> Option<Error> {
    take::<T, Failure>(output, Error::from)
        .or_else(|| take::<T, Error>(output, |error| error))
        .or_else(|| take::<T, io::Error>(output, Error::from))
        .or_else(|| {
            take::<T, Box<dyn StdError + Send + Sync>>(output, |error| Failure::from(error).into())
        })
        .or_else(|| take::<T, Box<dyn StdError>>(output, |error| error.to_string().into()))
        .or_else(|| take::<T, String>(output, Error::from))
}

fn take<T: 'static, E: 'static>(
    output: &mut Option<T>,
    convert: impl FnOnce(E) -> Error,
) -> Option<Error> {
    let output: &mut dyn Any = output;
    let output = output.downcast_mut::<Option<Result<(), E>>>()?;
    if !matches!(output, Some(Err(_))) {
        return None;
    }
    output.take()?.err().map(convert)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<E: 'static>(error: E) {
        let mut output = Some(Err::<(), E>(error));
        let error = take_error(&mut output).expect("it is an error");
        assert_eq!(format!("{error:#}"), "no luck");
        assert!(output.is_none());
    }

    #[test]
    fn errors_of_the_usual_types_are_found() {
        check::<Failure>("no luck".into());
        check::<Error>("no luck".into());
        check(io::Error::other("no luck"));
        check::<Box<dyn StdError + Send + Sync>>("no luck".into());
        check::<Box<dyn StdError>>("no luck".into());
        check("no luck".to_owned());
    }

    #[test]
    fn other_outputs_are_left_alone() {
        let mut done = Some(Ok::<(), Failure>(()));
        assert!(take_error(&mut done).is_none() && done.is_some());
        let mut number = Some(7);
        assert!(take_error(&mut number).is_none());
        assert_eq!(number, Some(7));
    }
}
