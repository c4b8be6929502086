//! Names of tasks and of what they do.

use std::fmt;
use std::sync::Arc;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The longest name, in bytes.
const LONGEST: usize = 64;

/// Which task: what its client chose, or what the coordinator made up. Letters, digits, and `.`, `_`, `:`, `-`; at most 64
/// bytes.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskId(Arc<str>);

/// What a task does: the name under which workers registered a function. It looks as a [`TaskId`].
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Kind(Arc<str>);

/// A name that is empty, too long, or has other characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidName;

macro_rules! name {
    ($name:ident) => {
        impl $name {
            /// A name.
            ///
            /// # Errors
            /// It is empty, longer than 64 bytes, or has other characters than letters, digits, `.`, `_`, `:` and `-`.
            pub fn new(text: &str) -> Result<Self, InvalidName> {
                if is_name(text) { Ok(Self(text.into())) } else { Err(InvalidName) }
            }

            /// Its text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_str(Name(Self::new))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, formatter)
            }
        }
    };
}

name!(TaskId);
name!(Kind);

/// Takes a name from where it is read, without a copy in between: each task has two.
struct Name<T>(fn(&str) -> Result<T, InvalidName>);

impl<T> Visitor<'_> for Name<T> {
    type Value = T;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a name")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        (self.0)(text).map_err(E::custom)
    }
}

impl InvalidName {
    /// What is wrong.
    pub(crate) const TEXT: &str = "a name has 1 to 64 of letters, digits, '.', '_', ':' and '-'";
}

impl fmt::Display for InvalidName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(Self::TEXT)
    }
}

impl std::error::Error for InvalidName {}

/// Whether a text is a name, for the compiler as well.
pub(crate) const fn is_name(text: &str) -> bool {
    let bytes = text.as_bytes();
    let mut index = 0;
    while index < bytes.len() {
        if !(bytes[index].is_ascii_alphanumeric()
            || matches!(bytes[index], b'.' | b'_' | b':' | b'-'))
        {
            return false;
        }
        index += 1;
    }
    !bytes.is_empty() && bytes.len() <= LONGEST
}
