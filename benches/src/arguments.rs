//! The command line of these programs: words first, then `--name value` options in any order.

use std::ffi::OsString;
use std::fmt::Display;
use std::str::FromStr;

use crate::Result;

/// What was typed, from which a program takes what it knows; [`finish`](Self::finish) refuses the
/// rest.
#[derive(Debug)]
pub struct Arguments {
    rest: Vec<String>,
}

impl Arguments {
    /// The arguments of this process.
    ///
    /// # Errors
    /// An argument that is not UTF-8.
    pub fn from_environment() -> Result<Self> {
        let rest = std::env::args_os()
            .skip(1)
            .map(OsString::into_string)
            .collect::<Result<_, _>>()
            .map_err(|argument| format!("not UTF-8: {}", argument.display()))?;
        Ok(Self { rest })
    }

    /// Takes `--name` if it is there.
    pub fn flag(&mut self, name: &str) -> bool {
        let place = self.rest.iter().position(|argument| argument == name);
        place.map(|place| self.rest.remove(place)).is_some()
    }

    /// Takes `--name value` if it is there.
    ///
    /// # Errors
    /// The value is missing or does not parse.
    pub fn option<T: FromStr<Err: Display>>(&mut self, name: &str) -> Result<Option<T>> {
        let Some(place) = self.rest.iter().position(|argument| argument == name) else {
            return Ok(None);
        };
        if place + 1 == self.rest.len() {
            return Err(format!("{name} needs a value").into());
        }
        self.rest.remove(place);
        let value = self.rest.remove(place);
        match value.parse() {
            Ok(value) => Ok(Some(value)),
            Err(error) => Err(format!("{name} {value}: {error}").into()),
        }
    }

    /// Takes `--name value`, or gives `default`.
    ///
    /// # Errors
    /// As [`option`](Self::option).
    pub fn option_or<T: FromStr<Err: Display>>(&mut self, name: &str, default: T) -> Result<T> {
        Ok(self.option(name)?.unwrap_or(default))
    }

    /// Takes `--name value`, which must be there.
    ///
    /// # Errors
    /// As [`option`](Self::option), and when it is missing.
    pub fn required<T: FromStr<Err: Display>>(&mut self, name: &str) -> Result<T> {
        self.option(name)?.ok_or_else(|| format!("{name} is missing").into())
    }

    /// Takes the first argument if it is a word, not an option.
    pub fn word(&mut self) -> Option<String> {
        self.rest.first().filter(|argument| !argument.starts_with("--"))?;
        Some(self.rest.remove(0))
    }

    /// Ends the taking.
    ///
    /// # Errors
    /// Something was not taken.
    pub fn finish(self) -> Result {
        match self.rest.first() {
            Some(argument) => Err(format!("unexpected argument: {argument}").into()),
            None => Ok(()),
        }
    }
}

impl<const N: usize> From<[&str; N]> for Arguments {
    fn from(words: [&str; N]) -> Self {
        Self { rest: words.map(String::from).to_vec() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_words_flags_and_options() {
        let mut arguments = Arguments::from(["echo", "--spin", "200", "--check"]);
        assert_eq!(arguments.word().as_deref(), Some("echo"));
        assert_eq!(arguments.word(), None);
        assert!(arguments.flag("--check"));
        assert!(!arguments.flag("--check"));
        assert_eq!(arguments.option::<u32>("--spin").unwrap(), Some(200));
        assert_eq!(arguments.option_or("--rounds", 7).unwrap(), 7);
        arguments.finish().unwrap();
    }

    #[test]
    fn refuses_what_is_missing_malformed_or_unknown() {
        let mut arguments = Arguments::from(["--spin", "often", "--unknown", "--size"]);
        let malformed = arguments.option::<u32>("--spin").unwrap_err().to_string();
        assert!(malformed.starts_with("--spin often: "), "{malformed}");
        let valueless = arguments.option::<u32>("--size").unwrap_err().to_string();
        assert_eq!(valueless, "--size needs a value");
        let missing = arguments.required::<u32>("--connect").unwrap_err().to_string();
        assert_eq!(missing, "--connect is missing");
        let unknown = arguments.finish().unwrap_err().to_string();
        assert_eq!(unknown, "unexpected argument: --unknown");
    }
}
