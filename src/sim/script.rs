//! Faults at their times.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::disk::DiskFault;
use super::fault::Fault;
use super::host;
use super::kernel::KernelFault;

/// Faults at their times, as text: `3 cut a b; 8.5 heal; 9 crash a`.
///
/// Times are seconds since the simulation began to run, and probabilities 0 to 1.
///
/// ```
/// use wharf::sim::{Fault, Script};
///
/// let script: Script = "3 cut a b; 8.5 heal".parse()?;
/// assert_eq!(script.events()[1].1, Fault::Heal);
/// assert_eq!(script.to_string(), "3 cut a b; 8.5 heal");
/// # Ok::<(), wharf::sim::InvalidScript>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[must_use = "it happens in the simulation that it is given to"]
pub struct Script(Vec<(Duration, Fault)>);

impl Script {
    /// Nothing happens.
    pub fn new() -> Self {
        Self::default()
    }

    /// Also this, after that time.
    pub fn at(mut self, time: Duration, fault: Fault) -> Self {
        self.0.push((time, fault));
        self
    }

    /// What happens, and when.
    pub fn events(&self) -> &[(Duration, Fault)] {
        &self.0
    }

    /// Without the events of these numbers, but with each [`Fault::Recover`]: what must come right in the end is tried
    /// after all faults.
    pub(super) fn without(&self, range: std::ops::Range<usize>) -> Self {
        let stays = |(index, (_, fault)): &(usize, &(Duration, Fault))| {
            !range.contains(index) || *fault == Fault::Recover
        };
        let kept = self.0.iter().enumerate().filter(stays);
        Self(kept.map(|(_, event)| event.clone()).collect())
    }
}

impl fmt::Display for Script {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (at, fault)) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(formatter, "{separator}{} {fault}", at.as_secs_f64())?;
        }
        Ok(())
    }
}

impl FromStr for Script {
    type Err = InvalidScript;

    fn from_str(text: &str) -> Result<Self, InvalidScript> {
        let events = text.split(';').map(str::trim).filter(|event| !event.is_empty());
        events.map(event).collect::<Result<_, _>>().map(Self)
    }
}

fn event(text: &str) -> Result<(Duration, Fault), InvalidScript> {
    let invalid = || InvalidScript(text.to_owned());
    let words: Vec<&str> = text.split_whitespace().collect();
    let name = |text: &str| text.to_owned();
    let number = |text: &str| {
        text.parse::<f64>().ok().filter(|number| number.is_finite()).ok_or_else(invalid)
    };
    let probability = |text: &str| match number(text)? {
        probability if (0.0..=1.0).contains(&probability) => Ok(probability),
        _ => Err(invalid()),
    };
    let [at, words @ ..] = words.as_slice() else { return Err(invalid()) };
    let fault = match words {
        ["cut", from, to] => Fault::Cut(name(from), name(to)),
        ["clog", from, to] => Fault::Clog(name(from), name(to)),
        ["join", from, to] => Fault::Join(name(from), name(to)),
        ["heal"] => Fault::Heal,
        ["loss", text] => Fault::Loss(probability(text)?),
        ["crash", host] => Fault::Crash(name(host)),
        ["kill", host] => Fault::Kill(name(host)),
        ["restart", host] => Fault::Restart(name(host)),
        ["pause", host] => Fault::Pause(name(host)),
        ["resume", host] => Fault::Resume(name(host)),
        ["signal", host, signal] => {
            Fault::Signal(name(host), host::named(signal).ok_or_else(invalid)?)
        }
        ["clock", host, seconds] => Fault::Clock(name(host), number(seconds)?),
        ["disk", host, fault] => {
            Fault::Disk(name(host), DiskFault::from_name(fault).ok_or_else(invalid)?)
        }
        ["recover"] => Fault::Recover,
        [fault, host, text] => {
            let fault = KernelFault::named(fault).ok_or_else(invalid)?;
            Fault::Kernel(name(host), fault, probability(text)?)
        }
        _ => return Err(invalid()),
    };
    let at = Duration::try_from_secs_f64(number(at)?).map_err(|_| invalid())?;
    Ok((at, fault))
}

/// A text that is no [`Script`]: the event that is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidScript(String);

impl fmt::Display for InvalidScript {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "`{}` is no event of a script", self.0.escape_debug())
    }
}

impl std::error::Error for InvalidScript {}
