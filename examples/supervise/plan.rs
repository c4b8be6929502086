//! What is to be run, and how.

use std::ffi::OsStr;
use std::io::IsTerminal;
use std::time::Duration;

use wharf::Result;

pub(crate) struct Plan {
    pub(crate) services: Vec<Service>,
    /// How often a program is started again in a row.
    pub(crate) restarts: usize,
    pub(crate) delay: Duration,
    pub(crate) stable: Duration,
    pub(crate) grace: Duration,
    pub(crate) color: bool,
}

#[derive(Clone)]
pub(crate) struct Service {
    pub(crate) name: String,
    pub(crate) command: String,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            services: Vec::new(),
            restarts: 5,
            delay: Duration::from_millis(200),
            stable: Duration::from_secs(10),
            grace: Duration::from_secs(5),
            color: std::io::stdout().is_terminal(),
        }
    }
}

impl Plan {
    /// Adds `NAME: COMMAND`.
    pub(crate) fn add_line(&mut self, line: &str) -> Result<(), lexopt::Error> {
        let (name, command) = line
            .split_once(':')
            .map(|(name, command)| (name.trim(), command.trim()))
            .filter(|(name, command)| !name.is_empty() && !command.is_empty())
            .ok_or_else(|| lexopt::Error::from(format!("{line:?} is not 'NAME: COMMAND'")))?;
        if name.contains(char::is_control) {
            return Err(format!("the name {name:?} cannot be shown").into());
        }
        if self.services.iter().any(|service| service.name == name) {
            return Err(format!("two programs are called {name}").into());
        }
        self.services.push(Service { name: name.to_owned(), command: command.to_owned() });
        Ok(())
    }

    /// Adds the lines of a file, but those that are empty or begin with `#`.
    pub(crate) fn read_file(&mut self, path: &OsStr) -> Result {
        let name = path.display();
        let text = std::fs::read_to_string(path).map_err(|error| format!("{name}: {error:#}"))?;
        for (number, line) in (1..).zip(text.lines().map(str::trim)) {
            if !line.is_empty() && !line.starts_with('#') {
                self.add_line(line)
                    .map_err(|error| lexopt::Error::from(format!("{name}:{number}: {error:#}")))?;
            }
        }
        Ok(())
    }
}
