//! The queues of the hand-off.

use crate::address::parse_http;
use crate::environment::{Environment, Reading, Variable};

const QUEUE_URL: Variable = Variable {
    name: "GRANARY_QUEUE_URL",
    holds: "the URL of the SQS queue that batches are sent to",
};
const PRIORITY_QUEUE_URL: Variable = Variable {
    name: "GRANARY_PRIORITY_QUEUE_URL",
    holds: "the URL of the SQS queue that urgent batches are sent to",
};

/// The queues of the hand-off, by URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueSection {
    /// Batches of ordinary priority.
    pub queue_url: String,
    /// Batches of priority 5 and above.
    pub priority_queue_url: String,
}

impl QueueSection {
    /// Reads `GRANARY_QUEUE_URL` and `_PRIORITY_QUEUE_URL`.
    pub fn read(env: &mut Environment) -> Reading<Self> {
        let queue_url = env.required_parsed(QUEUE_URL, parse_queue_url);
        let priority_queue_url = env.required_parsed(PRIORITY_QUEUE_URL, parse_queue_url);
        Ok(Self {
            queue_url: queue_url?,
            priority_queue_url: priority_queue_url?,
        })
    }
}

pub(crate) fn parse_queue_url(text: &str) -> Result<String, String> {
    parse_http(text).map(|_| text.to_owned())
}
