//! The load generator while it is measured with.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use crate::Result;
use crate::child_process::ChildProcess;
use crate::contender::program;

/// The longest a warm-up or a measured part may take; under strace and valgrind everything is some
/// fifty times slower.
const LIMIT: Duration = Duration::from_secs(300);

/// A `load` that is ready to start.
#[derive(Debug)]
pub struct LoadProcess {
    child: ChildProcess,
}

impl LoadProcess {
    /// Starts `load` with `arguments` against `server`, pinned to `core`, and waits until it is
    /// warmed up.
    ///
    /// # Errors
    /// It fails.
    pub fn start(server: SocketAddr, arguments: &[String], core: Option<usize>) -> Result<Self> {
        let mut command = Command::new(program("load")?);
        command.args(arguments).arg("--controlled").arg("--connect").arg(server.to_string());
        let load = Self { child: ChildProcess::spawn(command, core)? };
        load.ready()?;
        Ok(load)
    }

    /// Lets it run to the next point where it is ready.
    ///
    /// # Errors
    /// It fails.
    pub fn go_on(&mut self) -> Result {
        self.child.go_on()?;
        self.ready()
    }

    /// Lets it run to its result. It keeps its connections open.
    ///
    /// # Errors
    /// It fails.
    pub fn result(&mut self) -> Result<LoadResult> {
        self.child.go_on()?;
        Ok(LoadResult::new(self.child.line(LIMIT)?))
    }

    /// Lets it close its connections and end.
    ///
    /// # Errors
    /// It fails.
    pub fn finish(mut self) -> Result {
        self.child.go_on()?;
        self.child.wait(LIMIT)
    }

    fn ready(&self) -> Result {
        match self.child.line(LIMIT)?.as_str() {
            "ready" => Ok(()),
            line => Err(format!("load says {line} instead of ready").into()),
        }
    }
}

/// The line of `key=value` pairs with which `load` ends.
#[derive(Debug)]
pub struct LoadResult {
    line: String,
}

impl LoadResult {
    pub(crate) fn new(line: String) -> Self {
        Self { line }
    }

    /// One of the values.
    ///
    /// # Errors
    /// It is missing or not a number.
    pub fn number(&self, key: &str) -> Result<f64> {
        let pairs = self.line.split(' ').filter_map(|pair| pair.split_once('='));
        let value = pairs.into_iter().find(|(name, _)| *name == key).map(|(_, value)| value);
        Ok(value.ok_or_else(|| format!("load reports no {key}: {}", self.line))?.parse()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_values_by_name() {
        let result = LoadResult::new("messages=100 seconds=0.25".to_owned());
        assert_eq!(result.number("seconds").unwrap(), 0.25);
        assert!(result.number("second").is_err());
    }
}
