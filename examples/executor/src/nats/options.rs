use std::time::Duration;

/// How an executor is laid out on NATS.
///
/// Whoever comes first creates the stream and the bucket; those who come later find them as they are, whatever they ask
/// for.
#[derive(Clone, Debug)]
pub struct NatsOptions {
    /// What stream, bucket and subjects begin with: letters, digits, `-` and `_`. Executors of different names on the same
    /// servers do not see one another.
    pub name: Box<str>,
    /// On how many servers everything is kept: 1, 3 or 5. More than one needs a cluster.
    pub replicas: usize,
    /// A worker of which nothing was heard for so long has lost its tasks. One second at least.
    pub lease: Duration,
    /// How long records are kept. A task that asks for more is refused.
    pub keep: Duration,
}

impl Default for NatsOptions {
    fn default() -> Self {
        Self {
            name: "wharf".into(),
            replicas: 1,
            lease: Duration::from_secs(15),
            keep: Duration::from_secs(24 * 60 * 60),
        }
    }
}
