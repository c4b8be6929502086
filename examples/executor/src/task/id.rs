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
                if is_valid(text) { Ok(Self(text.into())) } else { Err(InvalidName) }
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

impl fmt::Display for InvalidName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "a name has 1 to {LONGEST} of letters, digits, '.', '_', ':' and '-'")
    }
}

impl std::error::Error for InvalidName {}

fn is_valid(text: &str) -> bool {
    let may_be = |byte: u8| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte);
    (1..=LONGEST).contains(&text.len()) && text.bytes().all(may_be)
}
