//! What an endpoint starts with.

use super::DropPolicy;
use crate::transport::WaterMarks;

/// How much waits to be sent at most, unless set.
const QUEUE_LIMIT: usize = 1024 * 1024;

/// What an endpoint starts with; all can be changed later through its transport.
#[derive(Clone, Debug)]
pub(crate) struct DatagramOptions {
    pub(crate) marks: WaterMarks,
    pub(crate) queue_limit: usize,
    pub(crate) drop_policy: DropPolicy,
}

impl Default for DatagramOptions {
    fn default() -> Self {
        Self {
            marks: WaterMarks::default(),
            queue_limit: QUEUE_LIMIT,
            drop_policy: DropPolicy::default(),
        }
    }
}
