//! The loads that tables have rows for.

use std::fmt;

/// A load of the `echo` kind.
#[derive(Debug, Clone, Copy)]
pub struct EchoScenario {
    /// How many connections.
    pub connections: usize,
    /// The size of a message, in bytes.
    pub size: usize,
    /// How many messages each connection has under way.
    pub in_flight: usize,
    /// How many messages make up one measurement of time: about half a second's worth.
    pub messages: u64,
}

impl EchoScenario {
    /// What to give to `load` to send this many messages after the warm-up.
    pub fn arguments(&self, messages: u64) -> Vec<String> {
        let Self { connections, size, in_flight, .. } = self;
        let warm_up = (connections * in_flight * 4).max(500);
        format!(
            "echo --connections {connections} --size {size} --in-flight {in_flight} \
             --messages {messages} --warm-up {warm_up}"
        )
        .split(' ')
        .map(String::from)
        .collect()
    }
}

impl fmt::Display for EchoScenario {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { connections, size, in_flight, .. } = self;
        match size {
            1024.. if size % 1024 == 0 => write!(formatter, "{} KiB", size / 1024)?,
            _ => write!(formatter, "{size} B")?,
        }
        let plural = if *connections == 1 { "" } else { "s" };
        write!(formatter, ", {connections} connection{plural}")?;
        match in_flight {
            1 => Ok(()),
            _ => write!(formatter, ", {in_flight} in flight"),
        }
    }
}

const SMALL: usize = 64;
const MEDIUM: usize = 4 * 1024;
const BULK: usize = 64 * 1024;

/// The rows of the time table.
pub const TIMED: [EchoScenario; 10] = [
    EchoScenario { connections: 1, size: SMALL, in_flight: 1, messages: 10_000 },
    EchoScenario { connections: 50, size: SMALL, in_flight: 1, messages: 60_000 },
    EchoScenario { connections: 1000, size: SMALL, in_flight: 1, messages: 60_000 },
    EchoScenario { connections: 1, size: MEDIUM, in_flight: 1, messages: 10_000 },
    EchoScenario { connections: 50, size: MEDIUM, in_flight: 1, messages: 50_000 },
    EchoScenario { connections: 1000, size: MEDIUM, in_flight: 1, messages: 50_000 },
    EchoScenario { connections: 1, size: BULK, in_flight: 1, messages: 6_000 },
    EchoScenario { connections: 50, size: BULK, in_flight: 1, messages: 10_000 },
    EchoScenario { connections: 1, size: SMALL, in_flight: 16, messages: 150_000 },
    EchoScenario { connections: 50, size: SMALL, in_flight: 16, messages: 600_000 },
];

/// 64 B messages on 50 connections, for counting.
pub const MANY: EchoScenario =
    EchoScenario { connections: 50, size: SMALL, in_flight: 1, messages: 0 };

/// 64 B messages on one connection, for counting.
pub const ONE: EchoScenario =
    EchoScenario { connections: 1, size: SMALL, in_flight: 1, messages: 0 };

/// 64 KiB messages on 50 connections, for counting.
pub const MANY_BULK: EchoScenario =
    EchoScenario { connections: 50, size: BULK, in_flight: 1, messages: 0 };

/// 64 KiB messages on one connection, for counting.
pub const ONE_BULK: EchoScenario =
    EchoScenario { connections: 1, size: BULK, in_flight: 1, messages: 0 };

/// What to give to `load` to make this many short connections, 50 at a time.
pub fn churn_arguments(connections: u64) -> Vec<String> {
    let connections = connections.to_string();
    let words = ["churn", "--concurrent", "50", "--connections", &connections, "--warm-up", "500"];
    words.map(String::from).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scenarios_read_as_a_reader_would_put_them() {
        assert_eq!(TIMED[0].to_string(), "64 B, 1 connection");
        assert_eq!(TIMED[5].to_string(), "4 KiB, 1000 connections");
        assert_eq!(TIMED[9].to_string(), "64 B, 50 connections, 16 in flight");
    }
}
