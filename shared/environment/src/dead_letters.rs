//! The dead-letter queues of the hand-off.

use crate::environment::{Environment, Reading, Variable};
use crate::queue::parse_queue_url;

const DLQ_URL: Variable = Variable {
    name: "GRANARY_DLQ_URL",
    holds: "the URL of the dead-letter queue of GRANARY_QUEUE_URL",
};
const PRIORITY_DLQ_URL: Variable = Variable {
    name: "GRANARY_PRIORITY_DLQ_URL",
    holds: "the URL of the dead-letter queue of GRANARY_PRIORITY_QUEUE_URL",
};

/// The dead-letter queues, by URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetterSection {
    /// Of the queue for ordinary priority.
    pub dlq_url: Option<String>,
    /// Of the queue for priority 5 and above.
    pub priority_dlq_url: Option<String>,
}

impl DeadLetterSection {
    /// Reads `GRANARY_DLQ_URL` and `_PRIORITY_DLQ_URL`.
    pub fn read(env: &mut Environment) -> Reading<Self> {
        let dlq_url = env.optional_parsed(DLQ_URL, parse_queue_url);
        let priority_dlq_url = env.optional_parsed(PRIORITY_DLQ_URL, parse_queue_url);
        Ok(Self {
            dlq_url: dlq_url?,
            priority_dlq_url: priority_dlq_url?,
        })
    }
}
